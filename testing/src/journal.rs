//! Everything that arrived, and the answers that are due.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{HeaderMap, http::request::Parts};

use crate::{
    answer::Answer,
    check::{Payload, Route},
    envelope::Envelope,
    otlp::Otlp,
    refusal::Refusal,
};

/// One HTTP request as it arrived, and how it was answered.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    head: Parts,
    body_size: usize,
    status: Option<u16>,
    refusal: Option<String>,
}

impl RecordedRequest {
    /// The status of the answer.
    ///
    /// `None` until the answer is sent. It stays `None` after [`Answer::close`] and [`Answer::hang`], and if the
    /// client closed its connection first.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The method, such as `POST`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// The path without the query, such as `/api/1/envelope/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The part after the `?`, not decoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The first value of a header, if the request has it and it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The size of the body in bytes, without chunk headers and before decompression.
    #[must_use]
    pub fn body_size(&self) -> usize {
        self.body_size
    }

    /// Why the checks refused the request, or why it could not be recorded.
    ///
    /// `None` if it passed the checks, whichever [`Answer`] it got.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

/// A request that was read to its end and checked.
pub(super) struct Arrival {
    pub(super) head: Parts,
    pub(super) body_size: usize,
    pub(super) route: Option<Route>,
    pub(super) verdict: Result<Payload, Refusal>,
}

impl Arrival {
    /// The envelope, if it was sent to Sentry's path and passed the checks. It shares its content.
    pub(super) fn for_sentry(&self) -> Option<Envelope> {
        match &self.verdict {
            Ok(Payload::Envelope(envelope)) if self.route == Some(Route::Ingest) => Some(envelope.clone()),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Record {
    request: RecordedRequest,
    route: Option<Route>,
    payload: Option<Payload>,
}

impl Record {
    /// What was answered with a 2xx status.
    fn accepted(&self) -> Option<&Payload> {
        self.payload.as_ref().filter(|_| matches!(self.request.status, Some(200..=299)))
    }

    /// The envelope, if it came by this route and was accepted.
    fn envelope(&self, route: Route) -> Option<&Envelope> {
        match self.accepted() {
            Some(Payload::Envelope(envelope)) if self.route == Some(route) => Some(envelope),
            _ => None,
        }
    }

    fn otlp(&self) -> Option<&Otlp> {
        if let Some(Payload::Otlp(otlp)) = self.accepted() { Some(otlp) } else { None }
    }
}

/// Everything that one ingest remembers. It grows until it is cleared.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) answer: Answer,
    pub(super) next_answers: VecDeque<Answer>,
    records: BTreeMap<u64, Record>,
    accepted: usize,
    changes: u64,
}

impl Journal {
    /// Records a request and returns the number by which [`answered`](Self::answered) finds it.
    pub(super) fn arrived(&mut self, arrival: Arrival) -> u64 {
        let (payload, refusal) = match arrival.verdict {
            Ok(payload) => (Some(payload), None),
            Err(refusal) => (None, Some(refusal.to_string())),
        };
        let request = RecordedRequest { head: arrival.head, body_size: arrival.body_size, status: None, refusal };
        let record = Record { request, route: arrival.route, payload };
        // Each arrival is one change, so the count of changes is a new and larger number each time.
        self.records.insert(self.changes, record);
        self.changes
    }

    pub(super) fn next_answer(&mut self) -> Answer {
        self.next_answers.pop_front().unwrap_or_else(|| self.answer.clone())
    }

    /// Records the status of the answer, and the refusal if the request could not be recorded to a file.
    ///
    /// Does nothing if the journal was cleared since the request arrived.
    pub(super) fn answered(&mut self, number: u64, status: u16, refusal: Option<&Refusal>) {
        let Some(record) = self.records.get_mut(&number) else {
            return;
        };
        record.request.status = Some(status);
        if let Some(refusal) = refusal {
            record.request.refusal = Some(refusal.to_string());
        }
        if record.envelope(Route::Ingest).is_some() {
            self.accepted += 1;
        }
    }

    pub(super) fn clear(&mut self) {
        self.accepted = 0;
        mem::take(&mut self.records);
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn envelopes(&self) -> Vec<Envelope> {
        self.by_route(Route::Ingest)
    }

    pub(super) fn spotlight(&self) -> Vec<Envelope> {
        self.by_route(Route::Spotlight)
    }

    /// The accepted OTLP requests.
    pub(super) fn otlp(&self) -> Vec<Otlp> {
        self.records.values().filter_map(Record::otlp).cloned().collect()
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.records.values().map(|record| record.request.clone()).collect()
    }

    pub(super) fn refusals(&self) -> Vec<&str> {
        self.records.values().filter_map(|record| record.request.refusal()).collect()
    }

    fn by_route(&self, route: Route) -> Vec<Envelope> {
        self.records.values().filter_map(|record| record.envelope(route)).cloned().collect()
    }
}

/// The journal that the server's thread and the test's share. It stays readable after a panic on either.
#[derive(Debug, Default)]
pub(super) struct SharedJournal {
    journal: Mutex<Journal>,
    changed: Condvar,
}

impl SharedJournal {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Journal) -> T) -> T {
        let mut journal = self.lock();
        journal.changes += 1;
        let result = change(&mut journal);
        self.changed.notify_all();
        result
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Journal) -> T) -> T {
        read(&self.lock())
    }

    /// Waits while `condition` holds, at most for `timeout`, and then reads.
    pub(super) fn wait_while<T>(
        &self,
        timeout: Duration,
        condition: impl Fn(&Journal) -> bool,
        read: impl FnOnce(&Journal) -> T,
    ) -> T {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |journal| condition(journal));
        let (journal, _) = waited.unwrap_or_else(PoisonError::into_inner);
        read(&journal)
    }

    fn lock(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
