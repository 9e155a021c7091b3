//! Writes accepted events to a directory, for programs outside of this process to check.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
    process,
};

use hyper::StatusCode;

use crate::{check::is_event, envelope::Envelope, item::Item, refusal::Refusal};

/// Appends events and transactions to the file of one ingest, which the first of them creates.
#[derive(Debug)]
pub(super) struct Recorder {
    file: Option<PathBuf>,
}

impl Recorder {
    /// Records to the directory that the environment names; records nothing if it names none.
    pub(super) fn from_env(port: u16) -> Self {
        let directory = env::var_os(RECORD).filter(|name| !name.is_empty()).map(PathBuf::from);
        // Two live processes have different ids, and two ingests of a process different ports. A later ingest that
        // gets the same id and port appends to the file.
        Self { file: directory.map(|directory| directory.join(format!("{}-{port}.ndjson", process::id()))) }
    }

    /// # Errors
    ///
    /// If the event cannot be written. The request must then fail, or the program that checks the events would miss one
    /// without notice.
    pub(super) fn record(&self, envelope: &Envelope) -> Result<(), Refusal> {
        let event = envelope.items().iter().find(|item| is_event(item)); // the checks allow no second one
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

/// `{"trace":{…},"event":{…}}`, with the bytes of the event as they arrived, but for newlines.
fn line(envelope: &Envelope, event: &Item) -> Vec<u8> {
    let trace = envelope.headers().get("trace").map(|trace| format!("\"trace\":{trace},")).unwrap_or_default();
    let mut line = format!("{{{trace}\"event\":").into_bytes();
    // Outside of strings a newline means what a blank means, and in strings JSON has it escaped.
    line.extend(event.payload().iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
    line.extend_from_slice(b"}\n");
    line
}

/// The environment variable that names the directory.
const RECORD: &str = "SENTRY_LOCAL_INGEST_RECORD";
