//! A command for WASI, which continues the trace of its caller and leaves its requests as files.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    process::Stdio,
};

use opentelemetry_sentry_testing::{Captured, LocalIngest};
use tokio::process::Command;

use crate::{
    Outcome, Programs,
    arrived::{refusals, wait_for},
    claims::Claims,
};

const TRACE_ID: &str = "0123456789abcdef0123456789abcdef";
const SPAN_ID: &str = "0123456789abcdef";

pub(crate) async fn play(programs: &Programs, claims: &mut Claims) -> Outcome {
    let ingest = LocalIngest::start()?;
    let folder = programs.command.with_extension("requests");
    let _ = fs::remove_dir_all(&folder); // of an earlier run
    fs::create_dir_all(&folder)?;
    let variables = [
        ("SENTRY_DSN", &*ingest.dsn()),
        ("SENTRY_TRACES_SAMPLE_RATE", "0"),
        ("SENTRY_TRACE", &format!("{TRACE_ID}-{SPAN_ID}-1")),
        ("SENTRY_BAGGAGE", &format!("sentry-trace_id={TRACE_ID},sentry-public_key=public,sentry-sampled=true")),
    ];
    let mut command = Command::new(&programs.python);
    command.arg("tests/interop/edge/command/command.py").args([&programs.command, &folder]);
    let output = command.envs(variables).stdout(Stdio::piped()).spawn()?.wait_with_output().await?;
    claims.same(
        "command: its statistics",
        String::from_utf8_lossy(&output.stdout).trim(),
        "4 received, 4 sent, 0 waiting",
    );

    let mut answers = Vec::new();
    for file in fs::read_dir(&folder)? {
        answers.push(send(&file?.path(), &ingest)?);
    }
    claims.same("command: answers", &answers, &["HTTP/1.1 200 OK"]);
    let job = wait_for(&ingest, "the job", |captured: &Captured| captured.transactions.first().cloned())?;
    claims.same("command: its trace", &*job.trace_id, TRACE_ID);
    claims.same("command: its parent", job.parent_span_id.as_deref(), Some(SPAN_ID));
    let steps: Vec<_> = job.spans.iter().map(|span| (&*span.name, span.parent_span_id.as_ref())).collect();
    claims.same("command: its steps", steps, ["read", "compute", "write"].map(|step| (step, Some(&job.span_id))));
    claims.same("command: refused requests", refusals(&ingest), [""; 0]);
    Ok(())
}

/// Sends a request. Returns the first line of the answer: a server forgets the request of a client that does not wait for it.
fn send(file: &Path, ingest: &LocalIngest) -> io::Result<String> {
    let mut connection = TcpStream::connect(ingest.address())?;
    connection.write_all(&fs::read(file)?)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
