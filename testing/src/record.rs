//! What was accepted, kept in a directory for judges outside of this process.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
    process,
};

use hyper::StatusCode;

use crate::{check::is_event, envelope::Envelope, item::Item, refusal::Refusal};

/// Appends events and transactions to the file of one ingest. There is none until the first comes.
#[derive(Debug)]
pub(super) struct Recorder {
    file: Option<PathBuf>,
}

impl Recorder {
    /// Records to the directory that the environment names, or not at all.
    pub(super) fn from_env(port: u16) -> Self {
        let directory = env::var_os(RECORD).filter(|name| !name.is_empty()).map(PathBuf::from);
        // No two processes that live have one id, and no two ingests of a process one port. What comes after them appends.
        Self { file: directory.map(|directory| directory.join(format!("{}-{port}.ndjson", process::id()))) }
    }

    /// # Errors
    ///
    /// When it cannot be written. A judge that misses an event has to hear of it, so the request must fail.
    pub(super) fn record(&self, envelope: &Envelope) -> Result<(), Refusal> {
        let event = envelope.items().iter().find(|item| is_event(item)); // the checks let no second one pass
        let (Some(file), Some(event)) = (&self.file, event) else {
            return Ok(());
        };
        let line = line(envelope, event);
        let append = || OpenOptions::new().create(true).append(true).open(file)?.write_all(&line);
        append().map_err(|error: io::Error| {
            let reason = format!("{RECORD}: {}: {error}", file.display());
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the event cannot be recorded", reason)
        })
    }
}

/// `{"trace":{…},"event":{…}}`, with the event byte for byte as it came.
fn line(envelope: &Envelope, event: &Item) -> Vec<u8> {
    let trace = envelope.headers().get("trace").map(|trace| format!("\"trace\":{trace},")).unwrap_or_default();
    let mut line = format!("{{{trace}\"event\":").into_bytes();
    // Newlines in JSON are blanks: those in strings are escaped.
    line.extend(event.payload().iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
    line.extend_from_slice(b"}\n");
    line
}

/// The environment variable that names the directory.
const RECORD: &str = "SENTRY_LOCAL_INGEST_RECORD";
