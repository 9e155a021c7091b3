//! What errors say: the part, what was expected and what was found, and never a secret.

use std::{fmt, str::FromStr};

use opentelemetry_sentry_protocol::{Dsn, SampleRand, SampleRate, SentryTrace, TraceParent};

const T: &str = "771a43a4192642f0b136d5159a501700";
const P: &str = "7c7c2e6c5e1c4b0a";

#[test]
fn a_header_error_names_the_part_and_what_was_found() {
    assert_eq!(
        message::<SentryTrace>("7-1-1"),
        "sentry-trace: the trace id must be 32 hex digits, not all zero, found \"7\""
    );
    assert_eq!(message::<SentryTrace>(T), "sentry-trace: the span id must be 16 hex digits, not all zero, found \"\"");
    assert_eq!(
        message::<SentryTrace>(&format!("{T}-{P}-1-x")),
        "sentry-trace: the sampling flag must be 0, 1 or missing, found \"1-x\""
    );
    assert_eq!(
        message::<TraceParent>(&format!("ff-{T}-{P}-01")),
        "traceparent: the version must be two lower-case hex digits other than ff, found \"ff\""
    );
    assert_eq!(
        message::<TraceParent>(&format!("00-{T}-{P}-01-x")),
        "traceparent: the length of version 00 must be 55 characters, found 57"
    );
}

#[test]
fn a_number_error_shows_what_was_found() {
    assert_eq!(message::<SampleRate>("1.5"), "a sample rate must be a number from 0 to 1, found \"1.5\"");
    assert_eq!(message::<SampleRand>("1"), "a sample_rand must be a number from 0 to below 1, found \"1\"");
}

#[test]
fn a_long_or_hostile_value_is_cut_and_escaped() {
    let long = message::<SampleRate>(&"\n".repeat(100_000));
    assert_eq!(long, format!("a sample rate must be a number from 0 to 1, found \"{}\"…", "\\n".repeat(64)));
}

#[test]
fn a_dsn_error_hides_the_secret() {
    let message = message::<Dsn>("https://public:hidden@sentry.example.com/x");
    assert_eq!(
        message,
        "the project id at the end of a DSN must be a number, found \"https://public:***@sentry.example.com/x\""
    );
}

fn message<T: FromStr<Err: fmt::Display> + fmt::Debug>(text: &str) -> String {
    match text.parse::<T>() {
        Ok(value) => panic!("accepted as {value:?}"),
        Err(error) => error.to_string(),
    }
}
