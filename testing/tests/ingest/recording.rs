//! The files that the ingest writes for other programs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use opentelemetry_sentry_testing::Answer;

use crate::support::{ID, TYPE, post, post_envelope, start, statuses, transaction};

/// The path of a directory that does not exist.
fn missing_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("it is ours");
    }
    directory
}

/// Runs the test that sends events in a process of its own, as the environment variable belongs to the process.
fn run_recording(directory: &Path) -> Output {
    let mut child = Command::new(env::current_exe().expect("a file"));
    child
        .args(["--exact", "recording::events_of_all_kinds_are_sent"])
        .env("SENTRY_LOCAL_INGEST_RECORD", directory)
        .output()
        .expect("it runs")
}

#[test]
fn accepted_events_are_written() {
    let directory = missing_directory("recorded");
    fs::create_dir(&directory).expect("a directory");
    let output = run_recording(&directory);
    assert!(output.status.success(), "{output:?}");

    let files: Vec<_> = fs::read_dir(&directory).expect("a directory").collect::<Result<_, _>>().expect("files");
    assert_eq!(files.len(), 1, "an ingest without events has no file: {files:?}");
    assert_eq!(files[0].path().extension().and_then(|extension| extension.to_str()), Some("ndjson"));
    let text = fs::read_to_string(files[0].path()).expect("a text");
    let bare = String::from_utf8(transaction("bare")).expect("a text");
    let bare = bare.lines().nth(2).expect("a payload");
    let wanted = [format!("{{\"event\":{bare}}}"), r#"{"trace":{"trace_id":"t"},"event":{ "a":1.50}}"#.to_owned()];
    assert!(text.lines().eq(wanted), "{text}");
}

#[test]
fn an_event_that_cannot_be_written_is_refused() {
    let output = run_recording(&missing_directory("missing"));
    assert!(!output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("500"), "{text}");
    assert!(text.contains("the event cannot be recorded: SENTRY_LOCAL_INGEST_RECORD: "), "{text}");
}

#[test]
fn events_of_all_kinds_are_sent() {
    let (ingest, _without_events) = (start(), start());
    ingest.answer_next([Answer::status(429)]);
    let spread = format!(
        "{{\"event_id\":\"{ID}\",\"trace\":{{\"trace_id\":\"t\"}}}}\n{{\"type\":\"log\"}}\n{{}}\n\
         {{\"type\":\"event\",\"length\":11}}\n{{\n\"a\":1.50}}\n"
    );
    post_envelope(&ingest, &[], &transaction("limited"));
    post_envelope(&ingest, &[], b"{}");
    post_envelope(&ingest, &[], &transaction("bare"));
    post_envelope(&ingest, &[], spread.as_bytes());
    post(&ingest, "POST /stream", &[TYPE], &transaction("for Spotlight"));
    let refusals: Vec<_> = ingest.requests().iter().map(|request| request.refusal().map(str::to_owned)).collect();
    assert_eq!(statuses(&ingest), [429, 200, 200, 200, 200].map(Some), "{refusals:?}");
}
