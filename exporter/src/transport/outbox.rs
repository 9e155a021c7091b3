//! The send queue, requests in flight, and what becomes of each envelope. The rules are in the guide, page `delivery`.
//!
//! One transaction is one request, so many requests are in flight at a time. Time is an argument.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::otel_warn;
use opentelemetry_http::{Bytes, HttpClient, Request};
use tokio::task::{Id, JoinError, JoinSet};
use uuid::Uuid;

use super::{
    checkup::Reply,
    compress::{Compressor, Encoding},
    delivery::{Answer, Asking, deliver},
    destination::Destinations,
    link::{Era, Link},
    rate_limit::{Category, RateLimits},
    spool::{Spool, Spooled},
};
use crate::{
    account::{DropReason, Ledger, Load, Report, Reports},
    packing::{Envelope, MAX_TRANSACTION},
};

/// Requests that wait for their answer at the same time.
const MAX_IN_FLIGHT: usize = 64;

/// Copies for Spotlight that wait for their answer at the same time; more are left out.
const MAX_COPIES: usize = 16;

/// How often an envelope is sent that gets no answer.
const MAX_TRIES: u32 = 3;

/// The time between two envelopes from the disk.
const REPLAY_PACE: Duration = Duration::from_millis(100);

/// How often the disk is looked at for what other processes left there.
const REPLAY_IDLE: Duration = Duration::from_secs(30);

/// Envelopes on their way out.
#[derive(Debug)]
pub(crate) struct Outbox {
    client: Arc<dyn HttpClient>,
    destinations: Arc<Destinations>,
    ledger: Arc<Ledger>,
    /// Bytes of envelopes that may wait.
    limit: usize,
    queue: VecDeque<Parcel>,
    queued_bytes: usize,
    requests: JoinSet<Answer>,
    in_flight: HashMap<Id, Sent>,
    /// Requests that are out and are copies only.
    copies: usize,
    compressor: Compressor,
    limits: RateLimits,
    link: Link,
    reports: Reports,
    spool: Option<Spool>,
    next_replay: Instant,
    /// Once set, what is on disk stays there.
    is_closing: bool,
    /// Whether the server is asked something already.
    is_asking: Arc<AtomicBool>,
    /// Numbers of parcels that left since they were asked for.
    left: Vec<u64>,
}

/// What an outbox is set up with.
#[derive(Debug)]
pub(crate) struct OutboxSetup {
    pub(crate) client: Arc<dyn HttpClient>,
    pub(crate) destinations: Arc<Destinations>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) limit: usize,
    pub(crate) encoding: Encoding,
    pub(crate) reports: Reports,
    pub(crate) spool: Option<Spool>,
}

/// An envelope that waits.
#[derive(Debug)]
struct Parcel {
    /// Of the trace that it is a part of.
    number: Option<u64>,
    envelope: Envelope,
    tries: u32,
    /// Where it came from, if that was the disk.
    spooled: Option<Spooled>,
}

/// A parcel that waits for its answer.
#[derive(Debug)]
struct Sent {
    parcel: Parcel,
    report: Option<Report>,
    encoding: Option<&'static str>,
    era: Option<Era>,
}

impl Outbox {
    pub(crate) fn new(setup: OutboxSetup, now: Instant) -> Self {
        let OutboxSetup { client, destinations, ledger, limit, encoding, reports, spool } = setup;
        Self {
            client,
            destinations,
            ledger,
            limit,
            queue: VecDeque::new(),
            queued_bytes: 0,
            requests: JoinSet::new(),
            in_flight: HashMap::new(),
            copies: 0,
            compressor: Compressor::new(encoding),
            limits: RateLimits::default(),
            link: Link::default(),
            reports,
            spool,
            next_replay: now,
            is_closing: false,
            is_asking: Arc::default(),
            left: Vec::new(),
        }
    }

    /// Whether the next transaction may not fit into the queue. What is kept on disk always fits.
    pub(crate) fn is_full(&self) -> bool {
        self.spool.is_none() && !self.queue.is_empty() && self.queued_bytes + MAX_TRANSACTION > self.limit
    }

    /// What is on disk is safe, and whoever shuts down waits: the next process sends it.
    pub(crate) const fn close(&mut self) {
        self.is_closing = true;
    }

    pub(crate) const fn has_spool(&self) -> bool {
        self.spool.is_some()
    }

    /// Whether the server takes less than it is given.
    pub(crate) fn is_unhealthy(&self, now: Instant) -> bool {
        let is_limited = |category| self.limits.is_limited(category, now);
        self.is_full() || is_limited(Category::Transaction) || is_limited(Category::Error)
    }

    /// Numbers of parcels that left since they were asked for.
    pub(crate) fn take_left(&mut self) -> Vec<u64> {
        mem::take(&mut self.left)
    }

    pub(crate) fn push(&mut self, number: u64, envelope: Envelope, now: Instant) {
        self.copy(&envelope);
        let parcel = Parcel { number: Some(number), envelope, tries: 0, spooled: None };
        if self.limits.is_limited(category(parcel.envelope.load), now) {
            self.drop(parcel, DropReason::RateLimitBackoff);
        } else if self.queued_bytes + parcel.envelope.size() > self.limit {
            self.keep_or_drop(parcel, DropReason::QueueOverflow);
        } else {
            self.queued_bytes += parcel.envelope.size();
            self.queue.push_back(parcel);
        }
    }

    /// Starts as many requests as may be out. In a hurry the server is asked even if it did not answer before.
    pub(crate) fn start(&mut self, now: Instant, is_hurried: bool) {
        loop {
            let out = self.in_flight.len();
            let room =
                if is_hurried { MAX_IN_FLIGHT.saturating_sub(out) } else { self.link.room(now, out, MAX_IN_FLIGHT) };
            let Some(parcel) = (room > 0).then(|| self.next(now)).flatten() else { break };
            self.send(parcel, now);
        }
        // It may take long. What waits in memory leaves at once when the server is back, but there is only so much room.
        while self.link.is_away() && self.spool.is_some() && self.queued_bytes > self.limit / 2 {
            let Some(parcel) = self.queue.pop_front() else { break };
            self.queued_bytes -= parcel.envelope.size();
            self.keep_or_drop(parcel, DropReason::NetworkError);
        }
        self.ledger.set_in_flight(self.queue.len() + self.in_flight.len(), self.queued_bytes);
    }

    /// What is sent next: what waits, then what is on disk, then losses that nothing came to be told with.
    fn next(&mut self, now: Instant) -> Option<Parcel> {
        while let Some(parcel) = self.queue.pop_front() {
            self.queued_bytes -= parcel.envelope.size();
            if !self.limits.is_limited(category(parcel.envelope.load), now) {
                return Some(parcel);
            }
            self.drop(parcel, DropReason::RateLimitBackoff);
        }
        self.kept_on_disk(now).or_else(|| self.losses(now))
    }

    fn kept_on_disk(&mut self, now: Instant) -> Option<Parcel> {
        if self.is_closing || now < self.next_replay || self.limits.is_limited(Category::Transaction, now) {
            return None;
        }
        let (spooled, lost) = self.spool.as_mut()?.next(SystemTime::now());
        self.lost_on_disk(lost);
        self.next_replay = now + if spooled.is_some() { REPLAY_PACE } else { REPLAY_IDLE };
        let mut spooled = spooled?;
        // It is on its way again, and counted as if it were new.
        self.ledger.received(usize::try_from(spooled.load.spans).unwrap_or(usize::MAX));
        let envelope = Envelope::kept(mem::take(&mut spooled.bytes), spooled.load);
        Some(Parcel { number: None, envelope, tries: 0, spooled: Some(spooled) })
    }

    fn losses(&mut self, now: Instant) -> Option<Parcel> {
        self.destinations.sentry.as_ref()?;
        let is_due = self.reports.due(now).is_some_and(|due| due <= now);
        is_due.then(|| Parcel { number: None, envelope: Envelope::empty(), tries: 0, spooled: None })
    }

    /// Asks the server whether it would take something, with an envelope that has nothing in it.
    pub(crate) fn ask(&self, reply: mpsc::Sender<Result<Reply, String>>) {
        let body = self.compressor.plain(Envelope::empty().body(SystemTime::now(), &[]));
        let Some(request) = self.destinations.sentry.as_ref().and_then(|sentry| sentry.request(body).ok()) else {
            return;
        };
        if self.is_asking.swap(true, Ordering::AcqRel) {
            let _ = reply.send(Err("an earlier check still waits for its answer".to_owned()));
            return;
        }
        let (client, asking) = (Arc::clone(&self.client), Asking::new(&self.is_asking));
        tokio::spawn(async move {
            let answer = match deliver(client.as_ref(), request).await {
                Answer::Status(status, headers) => Ok(Reply::new(status, &headers, SystemTime::now())),
                Answer::Nothing(reason) => Err(reason),
            };
            drop(asking);
            // Whoever asked may have stopped waiting.
            let _ = reply.send(answer);
        });
    }

    /// Sends the losses that nothing came to be told with, for a shutdown.
    pub(crate) fn send_losses(&mut self, now: Instant) {
        if self.destinations.sentry.is_some() && self.reports.due(now).is_some() {
            self.send(Parcel { number: None, envelope: Envelope::empty(), tries: 0, spooled: None }, now);
        }
    }

    fn send(&mut self, parcel: Parcel, now: Instant) {
        let destinations = Arc::clone(&self.destinations);
        let Some(destination) = destinations.sentry.as_ref().or(destinations.spotlight.as_ref()) else {
            return self.drop(parcel, DropReason::InternalSdkError);
        };
        let to_sentry = destinations.sentry.is_some();
        let report = if to_sentry { self.reports.take() } else { None };
        let item = report.as_ref().map(|report| report.item(SystemTime::now())).unwrap_or_default();
        if parcel.envelope.items.is_empty() && item.is_empty() {
            return;
        }
        let body = parcel.envelope.body(SystemTime::now(), &item);
        let body = if to_sentry { self.compressor.body(body) } else { self.compressor.plain(body) };
        let encoding = body.encoding;
        match destination.request(body) {
            Ok(request) => {
                let id = self.spawn(request);
                let era = self.link.sent(now);
                self.in_flight.insert(id, Sent { parcel, report, encoding, era });
            }
            Err(_) => self.drop(parcel, DropReason::InternalSdkError),
        }
    }

    fn spawn(&mut self, request: Request<Bytes>) -> Id {
        let client = Arc::clone(&self.client);
        self.requests.spawn(async move { deliver(client.as_ref(), request).await }).id()
    }

    /// Spotlight gets a copy of everything, whatever becomes of the original.
    fn copy(&mut self, envelope: &Envelope) {
        let Destinations { sentry: Some(_), spotlight: Some(spotlight) } = &*self.destinations else { return };
        let body = self.compressor.plain(envelope.body(SystemTime::now(), &[]));
        if let Some(request) = spotlight.request(body).ok().filter(|_| self.copies < MAX_COPIES) {
            self.spawn(request);
            self.copies += 1;
        }
    }

    /// The next answer; none ever comes while nothing is out.
    pub(crate) async fn answered(&mut self) -> Option<Result<(Id, Answer), JoinError>> {
        self.requests.join_next_with_id().await
    }

    /// Notes what became of a parcel, or that a copy arrived or did not.
    pub(crate) fn account(&mut self, done: Result<(Id, Answer), JoinError>, now: Instant) {
        let (id, answer) = match done {
            Ok((id, answer)) => (id, Some(answer)),
            Err(error) => {
                otel_warn!(name: "SentryExporter.HttpClientPanicked", message = error.to_string());
                let id = error.id();
                // Dropping what somebody panicked with may panic, too.
                mem::forget(error);
                (id, None)
            }
        };
        let Some(Sent { parcel, report, encoding, era }) = self.in_flight.remove(&id) else {
            self.copies -= 1;
            return;
        };
        let outcome = answer.as_ref().map_or(Some(Err(DropReason::InternalSdkError)), Answer::outcome);
        if let Some(report) = report.filter(|_| outcome != Some(Ok(()))) {
            self.reports.put_back(report);
        }
        match &answer {
            Some(Answer::Status(status, headers)) => {
                if self.link.worked() {
                    self.next_replay = now;
                }
                self.limits.update(*status, headers, now, SystemTime::now());
                if encoding == Some("zstd") && matches!(*status, 400 | 415) {
                    self.compressor.fall_back();
                    return self.back(parcel);
                }
            }
            Some(Answer::Nothing(_)) => {
                self.link.failed(era, now, f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0);
                self.next_replay = now + REPLAY_IDLE;
            }
            None => {}
        }
        match outcome {
            Some(Ok(())) => {
                self.ledger.sent(parcel.envelope.load);
                self.gone(parcel);
            }
            Some(Err(reason)) => self.drop(parcel, reason),
            None if parcel.tries + 1 < MAX_TRIES && parcel.spooled.is_none() => {
                self.back(Parcel { tries: parcel.tries + 1, ..parcel });
            }
            None => self.keep_or_drop(parcel, DropReason::NetworkError),
        }
    }

    /// To the front of the queue again.
    fn back(&mut self, parcel: Parcel) {
        self.queued_bytes += parcel.envelope.size();
        self.queue.push_front(parcel);
    }

    fn drop(&mut self, parcel: Parcel, reason: DropReason) {
        self.ledger.dropped(reason, parcel.envelope.load);
        self.gone(parcel);
    }

    fn keep_or_drop(&mut self, mut parcel: Parcel, reason: DropReason) {
        let Some(spool) = &mut self.spool else { return self.drop(parcel, reason) };
        if parcel.envelope.items.is_empty() {
            return;
        }
        let load = parcel.envelope.load;
        if let Some(spooled) = parcel.spooled.take() {
            spool.put_back(spooled);
            self.ledger.spooled(load);
            return self.gone(parcel);
        }
        let parts: [&[u8]; 3] = [&parcel.envelope.headers, b"\n", &parcel.envelope.items];
        let (kept, lost) = spool.store(load, &parts, SystemTime::now());
        self.lost_on_disk(lost);
        match kept {
            Ok(()) => {
                self.ledger.spooled(load);
                self.gone(parcel);
            }
            Err(_) => self.drop(parcel, reason),
        }
    }

    /// What was kept on disk, perhaps by another process, and had to go.
    fn lost_on_disk(&self, lost: Load) {
        if lost != Load::default() {
            self.ledger.received(usize::try_from(lost.spans).unwrap_or(usize::MAX));
            self.ledger.dropped(DropReason::CacheOverflow, lost);
        }
    }

    /// It waits no longer, whatever became of it.
    fn gone(&mut self, parcel: Parcel) {
        if let (Some(spool), Some(spooled)) = (&mut self.spool, parcel.spooled) {
            spool.remove(spooled);
        }
        self.left.extend(parcel.number);
    }

    /// When [`start`](Self::start) has something to do next that nobody else would wake it for.
    pub(crate) fn wake_at(&mut self, now: Instant) -> Option<Instant> {
        let pause = self.link.pause_ends(now).filter(|_| !self.queue.is_empty());
        let replay = (self.spool.is_some() && !self.is_closing).then_some(self.next_replay).filter(|at| *at > now);
        [pause, replay, self.reports.due(now)].into_iter().flatten().min()
    }

    /// Whether nothing waits and nothing is out, copies included.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_empty() && self.copies == 0
    }

    /// The end: keeps on disk what is still here, or counts it.
    pub(crate) fn give_up(&mut self, reason: DropReason) {
        let queue = mem::take(&mut self.queue);
        let out = mem::take(&mut self.in_flight).into_values().map(|sent| sent.parcel);
        for parcel in queue.into_iter().chain(out) {
            self.keep_or_drop(parcel, reason);
        }
        self.ledger.set_in_flight(0, 0);
    }
}

/// Which limits an envelope is under.
const fn category(load: Load) -> Category {
    if load.transactions > 0 {
        Category::Transaction
    } else if load.errors > 0 {
        Category::Error
    } else {
        Category::ClientReport
    }
}
