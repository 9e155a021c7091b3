//! Did the spans really arrive, and in a form that Sentry takes?
//!
//! [`LocalIngest`] is a real HTTP server on a free port of 127.0.0.1. It refuses whatever Sentry would
//! refuse (credentials, content type, compression, framing, sizes) and keeps the parsed envelopes.
//! What it is told with [`Answer`] it says to well-formed requests, so that rate limits, outages and slow
//! servers can be rehearsed.
//!
//! ```
//! use std::{io::Write, net::TcpStream, time::Duration};
//! use opentelemetry_sentry_testing::LocalIngest;
//!
//! let ingest = LocalIngest::start()?;
//!
//! // Any client that knows `ingest.dsn()` would do; this one is the shortest.
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
//! It does not judge the content of items: a transaction has to be a JSON object, and that is all.

mod answer;
mod check;
mod decode;
mod envelope;
mod framing;
mod invalid_envelope;
mod item;
mod journal;
mod record;
mod refusal;
mod server;
mod wait_timeout;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

pub use self::{
    answer::Answer, envelope::Envelope, invalid_envelope::InvalidEnvelope, item::Item, journal::RecordedRequest,
    wait_timeout::WaitTimeout,
};
use self::{
    journal::{Journal, SharedJournal},
    server::Server,
};

/// A real HTTP ingest on a free port of 127.0.0.1.
///
/// It runs on a thread of its own with telemetry suppressed, and works inside and outside of any
/// runtime. Dropping it closes all connections and joins the thread. Everything that arrives is kept
/// until [`clear`](Self::clear).
///
/// # For judges outside of the process
///
/// When the environment variable `SENTRY_LOCAL_INGEST_RECORD` names a directory at the time of [`start`](Self::start),
/// each `event` and `transaction` that is accepted is also appended to a file in there, as one line of JSON:
///
/// ```json
/// {"trace":{"trace_id":"…","public_key":"…"},"event":{"event_id":"…","type":"transaction"}}
/// ```
///
/// `trace` is that header of the envelope, and is missing when the envelope has none; `event` is the payload. Each
/// ingest has a file of its own, `<process id>-<port>.ndjson`. What cannot be written is answered with 500, so that no
/// event is missed in silence. What comes to [`spotlight_url`](Self::spotlight_url) is not recorded.
pub struct LocalIngest {
    journal: Arc<SharedJournal>,
    server: Server,
}

impl LocalIngest {
    /// Starts listening.
    ///
    /// # Errors
    ///
    /// When there is no free port or no thread to be had.
    pub fn start() -> io::Result<Self> {
        let journal = Arc::new(SharedJournal::default());
        let server = Server::start(Arc::clone(&journal))?;
        Ok(Self { journal, server })
    }

    /// Says this to every request from now on, once those of [`answer_next`](Self::answer_next) are used up.
    ///
    /// Only requests that pass the checks get it; the others get the refusal they deserve.
    /// Defaults to [`Answer::ok`].
    pub fn answer_with(&self, answer: Answer) {
        self.journal.change(|journal| journal.answer = answer);
    }

    /// Says these first, one for each request in order of arrival.
    ///
    /// They queue up behind those of earlier calls that are not used up yet.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        let answers: Vec<_> = answers.into_iter().collect();
        self.journal.change(|journal| journal.next_answers.extend(answers));
    }

    /// Forgets what arrived so far. What was set with `answer_with` and `answer_next` stays.
    ///
    /// A request that still waits for its answer is forgotten too.
    pub fn clear(&self) {
        self.journal.change(Journal::clear);
    }

    /// The DSN to send to: `http://public@127.0.0.1:PORT/1`.
    #[must_use]
    pub fn dsn(&self) -> String {
        let (key, project) = (check::PUBLIC_KEY, check::PROJECT_ID);
        format!("http://{key}@{}/{project}", self.address())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The URL that plays Spotlight, Sentry's local viewer.
    ///
    /// It asks for no credentials and always answers 200. See [`spotlight`](Self::spotlight).
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

    fn payloads(&self, kind: &str) -> Vec<Value> {
        let envelopes = self.envelopes();
        let items = envelopes.iter().flat_map(Envelope::items).filter(|item| item.item_type() == kind);
        items.filter_map(|item| item.json().ok()).collect()
    }

    /// The envelopes that came to [`spotlight_url`](Self::spotlight_url), in order of arrival.
    #[must_use]
    pub fn spotlight(&self) -> Vec<Envelope> {
        self.journal.read(Journal::spotlight)
    }

    /// Every request that was read whole, refused ones and Spotlight's too, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.journal.read(Journal::requests)
    }

    /// Waits until at least `count` envelopes were accepted, and returns all that were.
    ///
    /// An envelope counts a moment before its answer leaves, so the client may not have read it yet.
    ///
    /// # Errors
    ///
    /// When fewer came within `timeout`. The message says how many, and what was refused last.
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Result<Vec<Envelope>, WaitTimeout> {
        let missing = |journal: &Journal| journal.accepted() < count;
        self.journal.wait_while(timeout, missing, |journal| {
            if missing(journal) {
                return Err(WaitTimeout::new(Some(count), timeout, journal));
            }
            Ok(journal.envelopes())
        })
    }

    /// Waits until `f` holds for the accepted envelopes, and returns them.
    ///
    /// `f` is asked at once and after each change of anything that this ingest records. It may call back:
    /// `|_| !ingest.spotlight().is_empty()` waits for Spotlight, and
    /// `|_| ingest.requests().len() == 2` for two requests however they were answered.
    ///
    /// # Errors
    ///
    /// When `f` did not hold within `timeout`.
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
