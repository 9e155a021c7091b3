//! A real Sentry ingest on loopback, for tests of what is sent to Sentry.
//!
//! [`LocalIngest`] is an HTTP server on a free port of 127.0.0.1. It makes the checks that Sentry makes
//! (credentials, content type, compression, framing, sizes), refuses a request with Sentry's status and reason, and keeps
//! the parsed envelopes, and what comes by OTLP. With [`Answer`] a test chooses how the ingest answers well-formed requests: rate limits, outages
//! and slow servers.
//!
//! ```
//! use std::{io::Write, net::TcpStream, time::Duration};
//! use opentelemetry_sentry_testing::LocalIngest;
//!
//! let ingest = LocalIngest::start()?;
//!
//! // Any client that sends to `ingest.dsn()` will do. This one is the shortest.
//! let body = "{}\n{\"type\":\"client_report\"}\n{}";
//! let mut connection = TcpStream::connect(ingest.address())?;
//! write!(
//!     connection,
//!     "POST /api/1/envelope/ HTTP/1.1\r\nHost: localhost\r\n\
//!      Content-Type: application/x-sentry-envelope\r\n\
//!      X-Sentry-Auth: Sentry sentry_version=7, sentry_client=doc/1, sentry_key=public\r\n\
//!      Content-Length: {}\r\n\r\n{body}",
//!     body.len(),
//! )?;
//!
//! let envelopes = ingest.wait_for(1, Duration::from_secs(10))?;
//! assert_eq!(envelopes[0].items()[0].item_type(), "client_report");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! - It does not check the content of items: a transaction must be a JSON object, and that is all. Streamed spans,
//!   logs, metrics and check-ins are checked: where Sentry would drop or change one or an attribute of it in silence, the
//!   envelope is refused. Only a unit that Sentry does not know is read as Sentry does: the metric has none.
//! - It does not trim, normalise or group events, and it keeps everything in memory until [`LocalIngest::clear`].
//! - It speaks HTTP/1.1 without TLS, and knows one project with one key.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod by_otlp;
mod captured;
mod check;
mod check_in;
mod container;
mod decode;
mod envelope;
mod framing;
mod gate;
mod invalid_envelope;
mod item;
mod journal;
mod otlp;
mod record;
mod refusal;
mod server;
mod typed;
mod unit;
mod wait_timeout;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

pub use self::{
    answer::Answer,
    captured::Captured,
    check_in::CheckIn,
    envelope::Envelope,
    gate::Gate,
    invalid_envelope::InvalidEnvelope,
    item::Item,
    journal::RecordedRequest,
    otlp::{OtlpLog, OtlpSpan},
    typed::{ErrorEvent, Log, Metric, Span, StreamedSpan, Transaction},
    wait_timeout::WaitTimeout,
};
use self::{
    journal::{Journal, SharedJournal},
    server::Server,
};

/// A real HTTP ingest on a free port of 127.0.0.1.
///
/// It runs on its own thread with telemetry suppressed, and works inside and outside of an async runtime. Dropping it
/// closes all connections and joins the thread. It keeps everything that arrives until [`clear`](Self::clear).
///
/// # OTLP
///
/// It takes protocol buffers or JSON of up to 12 MiB at the paths of `Dsn::otlp_traces_url` and `otlp_logs_url`, and answers
/// 202 without a body. `X-Sentry-Auth` needs only the key. A span or log with invalid ids is refused.
/// [`otlp_spans`](Self::otlp_spans) and [`otlp_logs`](Self::otlp_logs) return what arrived.
///
/// # Files for other programs
///
/// If the environment variable `SENTRY_LOCAL_INGEST_RECORD` names a directory when [`start`](Self::start) is called,
/// the ingest appends each accepted `event` and `transaction` to a file in that directory, as one line of JSON:
///
/// ```json
/// {"trace":{"trace_id":"…","public_key":"…"},"event":{"event_id":"…","type":"transaction"}}
/// ```
///
/// `trace` is the header `trace` of the envelope, and is missing if the envelope has no such header; `event` is the
/// payload. Each ingest has its own file, `<process id>-<port>.ndjson`. An event that cannot be written is answered with
/// 500, so that no event is lost without notice. Envelopes to [`spotlight_url`](Self::spotlight_url) are not written.
pub struct LocalIngest {
    journal: Arc<SharedJournal>,
    server: Server,
}

impl LocalIngest {
    /// Starts listening.
    ///
    /// # Errors
    ///
    /// If the system has no free port or no thread to give.
    pub fn start() -> io::Result<Self> {
        let journal = Arc::new(SharedJournal::default());
        let server = Server::start(Arc::clone(&journal))?;
        Ok(Self { journal, server })
    }

    /// Answers every request like this from now on, once the answers of [`answer_next`](Self::answer_next) are used up.
    ///
    /// Only requests that pass the checks get it; any other request gets Sentry's refusal.
    /// Defaults to [`Answer::ok`].
    pub fn answer_with(&self, answer: Answer) {
        self.journal.change(|journal| journal.answer = answer);
    }

    /// Answers the next requests like this, one each in order of arrival.
    ///
    /// Answers of earlier calls come first.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        let answers: Vec<_> = answers.into_iter().collect();
        self.journal.change(|journal| journal.next_answers.extend(answers));
    }

    /// Forgets what has arrived. Answers that were set with `answer_with` and `answer_next` stay.
    ///
    /// Requests that still wait for their answer are forgotten too.
    pub fn clear(&self) {
        self.journal.change(Journal::clear);
    }

    /// The DSN to send to: `http://public@127.0.0.1:PORT/1`.
    #[must_use]
    pub fn dsn(&self) -> String {
        let (key, project) = (check::PUBLIC_KEY, check::PROJECT_ID);
        format!("http://{key}@{}/{project}", self.address())
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The URL at which the ingest acts as Spotlight, Sentry's local viewer.
    ///
    /// There it requires no credentials and always answers 200. See [`spotlight`](Self::spotlight).
    #[must_use]
    pub fn spotlight_url(&self) -> String {
        format!("http://{}{}", self.address(), check::SPOTLIGHT_PATH)
    }

    /// The envelopes that were answered with a 2xx status, in order of arrival.
    #[must_use]
    pub fn envelopes(&self) -> Vec<Envelope> {
        self.journal.read(Journal::envelopes)
    }

    /// The payloads of all items of type `transaction` in [`envelopes`](Self::envelopes).
    #[must_use]
    pub fn transactions(&self) -> Vec<Value> {
        self.payloads("transaction")
    }

    /// The payloads of all items of type `event`, which are errors, in [`envelopes`](Self::envelopes).
    #[must_use]
    pub fn errors(&self) -> Vec<Value> {
        self.payloads("event")
    }

    /// Everything in [`envelopes`](Self::envelopes), as typed values.
    #[must_use]
    pub fn captured(&self) -> Captured {
        Captured::new(self.envelopes())
    }

    /// The transaction with this name, such as `GET /products/:id`.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the transactions.
    #[must_use]
    #[track_caller]
    pub fn transaction(&self, name: &str) -> Transaction {
        self.captured().transaction(name).clone()
    }

    /// The error event whose type and message, as in `shop::NoStock: no lamps left`, contain this text.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the errors.
    #[must_use]
    #[track_caller]
    pub fn error(&self, part: &str) -> ErrorEvent {
        self.captured().error(part).clone()
    }

    /// All streamed spans in [`envelopes`](Self::envelopes).
    #[must_use]
    pub fn spans(&self) -> Vec<Value> {
        self.envelopes().iter().flat_map(|envelope| container::items(envelope, &container::SPANS)).collect()
    }

    /// The streamed span with this name, such as `GET /products/:id`.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the spans.
    #[must_use]
    #[track_caller]
    pub fn span(&self, name: &str) -> StreamedSpan {
        let envelopes = self.envelopes();
        let all: Vec<_> = envelopes.iter().flat_map(Envelope::items).flat_map(Item::spans).collect();
        typed::only("streamed span", name, &all, |one| one.name == name, |one| &one.name).clone()
    }

    /// All logs in [`envelopes`](Self::envelopes), in the order in which they were sent.
    #[must_use]
    pub fn logs(&self) -> Vec<Log> {
        let items = |envelope| container::items(envelope, &container::LOGS);
        self.envelopes().iter().flat_map(items).map(Log::from_json).collect()
    }

    /// The log whose body contains this text.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the logs.
    #[must_use]
    #[track_caller]
    pub fn log(&self, part: &str) -> Log {
        typed::only("log", part, &self.logs(), |one| one.body.contains(part), |one| &one.body).clone()
    }

    /// All metrics in [`envelopes`](Self::envelopes), in the order in which they were sent.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let items = |envelope| container::items(envelope, &container::METRICS);
        self.envelopes().iter().flat_map(items).map(Metric::from_json).collect()
    }

    /// The metric with this name.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the metrics.
    #[must_use]
    #[track_caller]
    pub fn metric(&self, name: &str) -> Metric {
        typed::only("metric", name, &self.metrics(), |one| one.name == name, |one| &one.name).clone()
    }

    /// All check-ins of cron monitors in [`envelopes`](Self::envelopes), in order of arrival.
    #[must_use]
    pub fn check_ins(&self) -> Vec<CheckIn> {
        self.envelopes().iter().flat_map(CheckIn::all_in).collect()
    }

    fn payloads(&self, kind: &str) -> Vec<Value> {
        let envelopes = self.envelopes();
        let items = envelopes.iter().flat_map(Envelope::items).filter(|item| item.item_type() == kind);
        items.filter_map(|item| item.json().ok()).collect()
    }

    /// The envelopes that were sent to [`spotlight_url`](Self::spotlight_url), in order of arrival.
    #[must_use]
    pub fn spotlight(&self) -> Vec<Envelope> {
        self.journal.read(Journal::spotlight)
    }

    /// Every request that was read to its end, in order of arrival. Includes refused requests and those to Spotlight.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.journal.read(Journal::requests)
    }

    /// Waits until at least `count` envelopes are accepted, and returns all accepted envelopes.
    ///
    /// An envelope is accepted just before its answer is sent, so the client may not have read the answer yet.
    ///
    /// # Errors
    ///
    /// If fewer are accepted within `timeout`. The message has their number and the last refusal.
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Result<Vec<Envelope>, WaitTimeout> {
        let missing = |journal: &Journal| journal.accepted() < count;
        self.journal.wait_while(timeout, missing, |journal| {
            if missing(journal) {
                return Err(WaitTimeout::new(Some(count), timeout, journal));
            }
            Ok(journal.envelopes())
        })
    }

    /// Waits until `f` returns true for the accepted envelopes, and returns them.
    ///
    /// `f` is called at once and after each change of anything that this ingest records. It may use the ingest:
    /// `|_| !ingest.spotlight().is_empty()` waits for an envelope to Spotlight, and
    /// `|_| ingest.requests().len() == 2` for two requests, whatever their answers.
    ///
    /// # Errors
    ///
    /// If `f` does not return true within `timeout`.
    pub fn wait_until(&self, timeout: Duration, f: impl Fn(&[Envelope]) -> bool) -> Result<Vec<Envelope>, WaitTimeout> {
        let start = Instant::now();
        loop {
            let (seen, envelopes) = self.journal.read(|journal| (journal.changes(), journal.envelopes()));
            if f(&envelopes) {
                return Ok(envelopes);
            }
            let left = timeout.saturating_sub(start.elapsed());
            let unchanged = |journal: &Journal| journal.changes() == seen;
            self.journal.wait_while(left, unchanged, |journal| {
                if left.is_zero() || unchanged(journal) {
                    return Err(WaitTimeout::new(None, timeout, journal));
                }
                Ok(())
            })?;
        }
    }
}

impl fmt::Debug for LocalIngest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalIngest").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
