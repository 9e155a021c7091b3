//! The send queue, the requests in flight, and what becomes of each envelope. The rules are in the guide, page
//! `delivery`.
//!
//! One transaction is one request, so many requests are in flight at a time. Time and randomness are arguments.

use std::{
    mem,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use opentelemetry_http::{Bytes, Request};

use super::{
    checkup::Reply,
    compress::{Compressor, Encoding},
    destination::Destinations,
    disk::{Disk, DiskDone, DiskJob},
    in_flight::{Flight, InFlight, MAX_IN_FLIGHT, Sent},
    link::Link,
    queue::{Queue, Queued, Turn, pause_after},
    rate_limit::{Category, RateLimits},
    spotlight::Spotlight,
    verdict::{Answer, Verdict},
};
use crate::{
    account::{Counts, DropReason, Ledger, Now, Reports},
    packing::{Envelope, MAX_TRANSACTION},
};

/// The largest transaction, with the header lines of its envelope: a context that came in can be long.
const MAX_ENVELOPE: usize = MAX_TRANSACTION + (64 << 10);

/// After this many requests without an answer, while other envelopes got answers, an envelope is dropped.
const MAX_TRIES: u32 = 8;

/// A request that hung while others got answers counts as this many. Otherwise two of these a second would take all the
/// room that there is for what hangs.
const TRIES_OF_HANGING: u32 = 3;

/// The same for Spotlight without a DSN. Here each request without an answer counts: a developer's viewer is often off.
const MAX_SPOTLIGHT_TRIES: u32 = 3;

/// Envelopes on their way out.
#[derive(Debug)]
pub(crate) struct Outbox {
    destinations: Arc<Destinations>,
    ledger: Arc<Ledger>,
    /// The most bytes of envelopes that may wait in memory.
    limit: usize,
    queue: Queue,
    in_flight: InFlight,
    compressor: Compressor,
    limits: RateLimits,
    link: Link,
    reports: Reports,
    spotlight: Spotlight,
    /// `None` without a spool directory.
    disk: Option<Disk>,
    check: Check,
    /// Varies the pauses. It is handed in, so that a test repeats exactly.
    random: fastrand::Rng,
    /// The number of the trace of each envelope that left since the last [`take_left`](Self::take_left). The machine
    /// needs them to know when a flush is done.
    left: Vec<u64>,
    /// A flush or a shutdown waits: pauses are short, and failures do not count as tries.
    is_hurried: bool,
    /// Since when requests are out to which no answer came.
    silent_since: Option<Instant>,
}

/// Everything that an outbox needs.
#[derive(Debug)]
pub(crate) struct OutboxSetup {
    pub(crate) destinations: Arc<Destinations>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) limit: usize,
    pub(crate) encoding: Encoding,
    pub(crate) reports: Reports,
    pub(crate) has_spool: bool,
    pub(crate) random: fastrand::Rng,
}

/// A request to send. Its answer comes back with the same number.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: u64,
    pub(crate) request: Request<Bytes>,
}

/// A caller's question whether the server accepts the DSN.
#[derive(Debug, Default)]
enum Check {
    #[default]
    None,
    Asked(mpsc::Sender<Result<Reply, String>>),
    /// The request is in flight. A second question gets an error, so that they do not pile up at a server that hangs.
    Out,
}

impl Outbox {
    pub(crate) fn new(setup: OutboxSetup) -> Self {
        let OutboxSetup { destinations, ledger, limit, encoding, reports, has_spool, random } = setup;
        Self {
            destinations,
            ledger,
            limit,
            queue: Queue::new(),
            in_flight: InFlight::default(),
            compressor: Compressor::new(encoding),
            limits: RateLimits::default(),
            link: Link::default(),
            reports,
            spotlight: Spotlight::default(),
            disk: has_spool.then(Disk::default),
            check: Check::None,
            random,
            left: Vec::new(),
            is_hurried: false,
            silent_since: None,
        }
    }

    /// Whether the next transaction may not fit into the queue. With a disk that
    /// works there is room until the disk is behind.
    pub(crate) fn is_full(&self) -> bool {
        match &self.disk {
            Some(disk) if !disk.has_failed() => disk.is_behind(),
            _ => !self.queue.is_empty() && self.queue.bytes() + MAX_ENVELOPE > self.limit,
        }
    }

    pub(crate) const fn has_spool(&self) -> bool {
        self.disk.is_some()
    }

    /// Whether the server accepts less than the application sends.
    pub(crate) fn is_unhealthy(&self, now: Instant) -> bool {
        let is_limited = |category| self.limits.is_limited(category, now);
        let is_over = self.queue.bytes() + MAX_ENVELOPE > self.limit && !self.queue.is_empty();
        is_over || is_limited(Category::Transaction) || is_limited(Category::Error)
    }

    /// The number of the trace of each envelope that was delivered, dropped or stored since the last call.
    pub(crate) fn take_left(&mut self) -> Vec<u64> {
        mem::take(&mut self.left)
    }

    /// Queues an envelope. If the queue is full it goes to the disk or is dropped.
    pub(crate) fn push(&mut self, number: u64, envelope: Envelope, now: Now) {
        if self.destinations.sentry.is_some() && self.destinations.spotlight.is_some() {
            self.spotlight.copy(&envelope, now);
        }
        let queued = Queued::new(Some(number), envelope, now.instant);
        if self.limits.is_limited(Category::of(queued.envelope.counts), now.instant) {
            self.drop_envelope(queued, DropReason::RateLimitBackoff);
        } else if self.queue.bytes() + queued.envelope.size() > self.limit {
            self.keep_or_drop(queued, DropReason::QueueOverflow);
        } else {
            self.queue.push(queued);
        }
    }

    /// Sets whether a flush or a shutdown waits. Pauses are then short, and failures are not counted as tries: many
    /// short pauses would otherwise use up the tries of every envelope.
    pub(crate) fn hurry(&mut self, is_hurried: bool, now: Instant) {
        if is_hurried && !self.is_hurried {
            self.queue.end_pauses();
        }
        self.is_hurried = is_hurried;
        self.link.hurry(is_hurried, now);
    }

    /// A shutdown has begun: what is on disk stays there for the next process.
    pub(crate) fn close(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.close();
        }
    }

    /// Asks the server whether it accepts the DSN, with an envelope without items.
    pub(crate) fn check(&mut self, reply: mpsc::Sender<Result<Reply, String>>) {
        if matches!(self.check, Check::None) {
            self.check = Check::Asked(reply);
        } else {
            // The caller may have stopped waiting.
            let _ = reply.send(Err("an earlier check still waits for its answer".to_owned()));
        }
    }

    /// The next request to send, if there is one and room for it.
    pub(crate) fn next_request(&mut self, now: Now) -> Option<Outgoing> {
        if let Some(outgoing) = self.check_request(now) {
            return Some(outgoing);
        }
        if let Some(outgoing) = self.copy_request(now) {
            return Some(outgoing);
        }
        while self.link.room(now.instant, self.in_flight.taking_room(), MAX_IN_FLIGHT) > 0 {
            let queued = self.next_envelope(now)?;
            if let Some(outgoing) = self.envelope_request(queued, now) {
                return Some(outgoing);
            }
        }
        None
    }

    fn check_request(&mut self, now: Now) -> Option<Outgoing> {
        if !matches!(self.check, Check::Asked(_)) {
            return None;
        }
        let Check::Asked(reply) = mem::take(&mut self.check) else { return None };
        let body = self.compressor.plain(Envelope::empty().body(now.wall, &[]));
        let request = self.destinations.sentry.as_ref().and_then(|sentry| sentry.request(body).ok());
        let Some(request) = request else {
            let _ = reply.send(Err("no request can be made for this DSN".to_owned()));
            return None;
        };
        self.check = Check::Out;
        Some(self.out(Flight::Check(reply), request, now.instant))
    }

    fn copy_request(&mut self, now: Now) -> Option<Outgoing> {
        let body = self.spotlight.next(now.instant)?;
        let body = self.compressor.plain(body);
        let request = self.destinations.spotlight.as_ref()?.request(body).ok()?;
        Some(self.out(Flight::Copy, request, now.instant))
    }

    fn out(&mut self, flight: Flight, request: Request<Bytes>, now: Instant) -> Outgoing {
        Outgoing { id: self.in_flight.add(flight, now), request }
    }

    /// The next envelope to send. If none waits and losses are to be reported, an empty one that carries the report.
    fn next_envelope(&mut self, now: Now) -> Option<Queued> {
        let turn = Turn { now: now.instant, is_asking: self.link.is_away() };
        while let Some(queued) = self.queue.pop(turn, |category| self.in_flight.has_room(category)) {
            if !self.limits.is_limited(Category::of(queued.envelope.counts), now.instant) {
                return Some(queued);
            }
            self.drop_envelope(queued, DropReason::RateLimitBackoff);
        }
        let is_due =
            self.destinations.sentry.is_some() && self.reports.due(now.instant).is_some_and(|due| due <= now.instant);
        if is_due && self.in_flight.has_room(Category::ClientReport) {
            return Some(Queued::new(None, Envelope::empty(), now.instant));
        }
        None
    }

    /// A request that reports the last losses, at the end of a shutdown.
    pub(crate) fn losses_request(&mut self, now: Now) -> Option<Outgoing> {
        self.destinations.sentry.as_ref()?;
        self.reports.due(now.instant)?;
        self.envelope_request(Queued::new(None, Envelope::empty(), now.instant), now)
    }

    /// Whether envelopes of this process are on disk that it can still send.
    pub(crate) fn has_kept(&self) -> bool {
        let is_in_hand = !self.queue.is_empty() || self.in_flight.envelopes() > 0;
        let is_within_reach = self.disk.as_ref().is_some_and(|disk| !disk.is_elsewhere());
        self.ledger.has_spooled() && (is_within_reach || is_in_hand)
    }

    /// Whether some losses are not reported yet.
    pub(crate) fn has_unreported(&mut self, now: Instant) -> bool {
        self.destinations.sentry.is_some() && self.reports.due(now).is_some()
    }

    fn envelope_request(&mut self, queued: Queued, now: Now) -> Option<Outgoing> {
        let destinations = Arc::clone(&self.destinations);
        let to_sentry = destinations.sentry.is_some();
        let destination = destinations.sentry.as_ref().or(destinations.spotlight.as_ref())?;
        let report = if to_sentry { self.reports.take() } else { None };
        let item = report.as_ref().map(|report| report.item(now.wall)).unwrap_or_default();
        if queued.envelope.items.is_empty() && item.is_empty() {
            return None;
        }
        let body = queued.envelope.body(now.wall, &item);
        let body = if to_sentry { self.compressor.body(body) } else { self.compressor.plain(body) };
        let encoding = body.encoding;
        match destination.request(body) {
            Ok(request) => {
                let in_pause = self.link.is_away();
                self.link.sent(now.instant);
                self.silent_since.get_or_insert(now.instant);
                let sent = Sent::new(queued, report, encoding, in_pause);
                Some(self.out(Flight::Envelope(Box::new(sent)), request, now.instant))
            }
            Err(_) => {
                self.drop_envelope(queued, DropReason::InternalSdkError);
                None
            }
        }
    }

    /// Takes in the answer to a request.
    pub(crate) fn answered(&mut self, id: u64, answer: Answer, now: Now) {
        match self.in_flight.remove(id) {
            Some(Flight::Envelope(sent)) => self.account(*sent, answer, now),
            Some(Flight::Copy) => self.spotlight.answered(!matches!(answer, Answer::Status(..)), now.instant),
            Some(Flight::Check(reply)) => {
                self.check = Check::None;
                // The caller may have stopped waiting.
                let _ = reply.send(match answer {
                    Answer::Status(status, headers) => Ok(Reply::new(status, &headers, now.wall)),
                    Answer::Nothing(reason) => Err(reason),
                    Answer::Panic => Err("the HTTP client panicked".to_owned()),
                });
            }
            None => {}
        }
    }

    /// Counts an envelope as delivered or dropped, or queues it again.
    fn account(&mut self, sent: Sent, answer: Answer, now: Now) {
        let Sent { queued, report, encoding, in_pause, hangs } = sent;
        if matches!(answer, Answer::Status(..)) {
            self.in_flight.note_hanging(now.instant);
        }
        let are_out = self.in_flight.taking_room() > 0;
        if !are_out || matches!(answer, Answer::Status(..)) {
            self.silent_since = Some(now.instant).filter(|_| are_out);
        }
        let verdict = answer.verdict(encoding);
        if let Some(report) = report.filter(|_| verdict != Verdict::Delivered) {
            self.reports.put_back(report);
        }
        if let Answer::Status(status, headers) = &answer {
            if self.link.answered() {
                self.queue.end_pauses();
                self.disk.iter_mut().for_each(|disk| disk.look_at(now.instant));
            }
            self.limits.update(*status, headers, now.instant, now.wall);
        }
        match verdict {
            Verdict::Delivered => {
                let counts = queued.envelope.counts;
                self.gone(queued);
                self.ledger.sent(counts);
            }
            Verdict::Dropped(reason) => self.drop_envelope(queued, reason),
            Verdict::InGzip => {
                self.compressor.fall_back();
                self.queue.push_front(queued);
            }
            Verdict::Later => {
                let tries = if hangs { TRIES_OF_HANGING } else { 1 };
                self.again(queued, tries, in_pause, now.instant);
            }
        }
    }

    /// Queues an envelope that got no answer again, or drops it after [`MAX_TRIES`].
    fn again(&mut self, mut queued: Queued, tries: u32, in_pause: bool, now: Instant) {
        let era = self.link.era();
        // Other envelopes got answers since this one failed last, so the link works.
        let is_own_fault = queued.blamed_in.is_some_and(|blamed| blamed != era);
        let to_spotlight = self.destinations.sentry.is_none();
        if (is_own_fault && !self.is_hurried) || to_spotlight {
            queued.tries += tries;
        }
        let jitter = self.random.f64();
        self.link.failed(queued.blamed_in.is_some(), in_pause, now, jitter);
        queued.blamed_in = Some(era);
        let max_tries = if to_spotlight { MAX_SPOTLIGHT_TRIES } else { MAX_TRIES };
        if queued.tries >= max_tries {
            return self.drop_envelope(queued, DropReason::NetworkError);
        }
        if queued.envelope.items.is_empty() {
            // It only carried a report, which was put back.
            return;
        }
        if self.link.is_away() {
            // The link's pause applies to all envelopes. A pause of its own would only delay this one.
            return self.queue.push(queued);
        }
        let pause = pause_after(queued.failures, jitter);
        queued.failures += 1;
        let pause =
            if self.is_hurried { pause.min(Duration::from_millis(50 << queued.failures.min(4))) } else { pause };
        self.queue.pause(queued, now + pause);
    }

    fn drop_envelope(&mut self, queued: Queued, reason: DropReason) {
        let counts = queued.envelope.counts;
        self.gone(queued);
        self.ledger.dropped(reason, counts);
    }

    /// Notes that an envelope was delivered or dropped.
    fn gone(&mut self, queued: Queued) {
        if let (Some(disk), Some(record)) = (&mut self.disk, queued.record) {
            disk.remove(record);
        }
        if queued.is_own {
            self.ledger.unspooled(queued.envelope.counts);
        }
        self.left.extend(queued.number);
    }

    /// Stores an envelope on disk, or drops it if there is no disk.
    fn keep_or_drop(&mut self, queued: Queued, reason: DropReason) {
        match &mut self.disk {
            Some(disk) if !queued.envelope.items.is_empty() => disk.keep(queued, reason),
            _ => self.drop_envelope(queued, reason),
        }
    }

    /// The next job for the disk, if there is one.
    pub(crate) fn next_job(&mut self, now: Now) -> Option<DiskJob> {
        let disk = self.disk.as_mut()?;
        let is_outage = self.link.is_away();
        if let Some(older_than) = disk.insures(now.instant) {
            // With few envelopes an outage shows in their failures alone, and a server that hangs in its silence. A disk
            // that failed is tried again when there is no room for more.
            let is_outage = is_outage
                || self.queue.next_pause_ends().is_some()
                || self.silent_since.is_some_and(|since| since <= older_than)
                || (disk.has_failed() && self.queue.bytes() + MAX_ENVELOPE > self.limit);
            if is_outage {
                let old = self.queue.take_older(older_than, Disk::MAX_STORED);
                old.into_iter().for_each(|queued| disk.keep(queued, DropReason::NetworkError));
            }
        }
        // `link.room` allows one during an outage: if the queue is empty, an envelope from the disk tries the server.
        let has_room = (self.queue.is_empty() || self.queue.bytes() < self.limit / 4)
            && self.link.room(now.instant, self.in_flight.taking_room(), MAX_IN_FLIGHT) > 0;
        let is_limited = self.limits.is_limited(Category::Transaction, now.instant);
        disk.next_job(now.instant, has_room && !is_limited)
    }

    /// Takes in the result of a job.
    pub(crate) fn job_done(&mut self, done: DiskDone, now: Now) {
        let Some(disk) = &mut self.disk else { return };
        let result = disk.done(done, &self.ledger, now.instant);
        result.gone.into_iter().for_each(|number| self.left.push(number));
        for queued in result.taken {
            self.queue.push(queued);
        }
        // A disk that fails must cost nothing that memory has room for. The queue is full then, so nothing more comes.
        let may_wait = !disk.is_closing();
        let limit = self.limit.saturating_add(2 * Disk::MAX_STORED);
        for (queued, reason) in result.refused {
            let has_room = self.queue.bytes() + queued.envelope.size() <= limit;
            if may_wait && has_room {
                self.queue.push(queued);
            } else {
                self.drop_envelope(queued, reason);
            }
        }
    }

    /// The time for delivery is over: hands everything that waits or is in flight to the disk, or drops it. The driver
    /// then runs the jobs.
    pub(crate) fn give_up(&mut self, reason: DropReason) {
        let out = self.in_flight.take_envelopes().into_iter().map(|sent| sent.queued);
        for queued in self.queue.drain().into_iter().chain(out) {
            match (&mut self.disk, queued.record) {
                (Some(disk), Some(record)) => {
                    if !queued.is_own {
                        self.ledger.spooled(queued.envelope.counts);
                    }
                    disk.put_back(record);
                    self.left.extend(queued.number);
                }
                // The server did not answer this one before, so an outage is the reason and not the shutdown.
                _ if queued.blamed_in.is_some() => self.keep_or_drop(queued, DropReason::NetworkError),
                _ => self.keep_or_drop(queued, reason),
            }
        }
    }

    /// Hands everything that waits to the disk, because a flush ends during an outage.
    pub(crate) fn keep_waiting(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        for queued in self.queue.drain() {
            match queued.record {
                Some(_) => self.queue.push(queued),
                None => disk.keep(queued, DropReason::NetworkError),
            }
        }
    }

    /// Drops what was not stored before the deadline.
    pub(crate) fn abandon_jobs(&mut self, reason: DropReason) {
        let kept = self.disk.as_mut().map(Disk::abandon).unwrap_or_default();
        kept.into_iter().for_each(|queued| self.drop_envelope(queued, reason));
    }

    /// When [`next_request`](Self::next_request) or [`next_job`](Self::next_job) has something to do, if no answer and
    /// no envelope comes first.
    pub(crate) fn wake_at(&mut self, now: Instant) -> Option<Instant> {
        // Times in the past are left out: what is due already waits for room, which only an answer makes.
        let link = self.link.pause_ends(now).filter(|_| !self.queue.is_empty());
        let pause = self.queue.next_pause_ends().filter(|_| !self.link.is_away());
        let oldest = self.queue.oldest();
        let outage = if self.link.is_away() || pause.is_some() { oldest } else { self.silent_since };
        let insurance = self.disk.as_ref().zip(outage);
        let insurance = insurance.and_then(|(disk, since)| disk.next_insurance(oldest?, since));
        let disk = self.disk.as_ref().and_then(Disk::next_look);
        let disk = disk.map(|look| look.max(self.link.pause_ends(now).unwrap_or(look)));
        let report = self.destinations.sentry.as_ref().and_then(|_| self.reports.due(now));
        let report = report.map(|due| due.max(self.link.pause_ends(now).unwrap_or(due)));
        [link, pause, insurance, disk, report].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Whether no envelope waits, is in flight or is on its way to the disk. Copies for Spotlight do not count, because
    /// a viewer that hangs must not delay a shutdown.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.envelopes() == 0 && self.disk.as_ref().is_none_or(Disk::is_idle)
    }

    /// Writes what waits and is in flight into the statistics.
    pub(crate) fn publish(&self) {
        self.ledger.set_in_flight(self.queue.len() + self.in_flight.envelopes(), self.queue.bytes());
    }
}

impl Category {
    /// The category whose rate limits apply to an envelope.
    pub(super) const fn of(counts: Counts) -> Self {
        if counts.transactions > 0 {
            Self::Transaction
        } else if counts.errors > 0 {
            Self::Error
        } else {
            Self::ClientReport
        }
    }
}
