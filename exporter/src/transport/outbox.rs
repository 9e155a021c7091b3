//! The send queue, the requests in flight, and what becomes of each envelope. The rules are in the guide, page
//! `delivery`.
//!
//! | file | contains |
//! | --- | --- |
//! | `answers` | what becomes of an envelope when its answer arrives |
//! | `keeping` | what goes to the disk, and what comes back |
//! | `limited` | what rate limits remove |
//!
//! One transaction is one request, so many requests are in flight at a time. Time and randomness are arguments.

mod answers;
mod keeping;
mod limited;

use std::{mem, sync::Arc};

use opentelemetry_http::{Bytes, Request};
use web_time::Instant;

use super::{
    checkup::Asker,
    compress::{Compressor, Encoding},
    destination::Destinations,
    disk::Disk,
    in_flight::{Flight, InFlight, MAX_IN_FLIGHT, Sent},
    link::Link,
    queue::{Queue, Queued, Turn},
    rate_limit::{Category, RateLimits},
    spotlight::Spotlight,
};
use crate::{
    account::{DropReason, Ledger, Now, Reports},
    packing::Envelope,
    trace::TraceLifecycle,
};

/// The most bytes of the header lines of an envelope: a context that came in can be long.
const MAX_HEADERS: usize = 64 << 10;

/// Envelopes on their way out.
#[derive(Debug)]
pub(crate) struct Outbox {
    destinations: Arc<Destinations>,
    ledger: Arc<Ledger>,
    /// The most bytes of envelopes that may wait in memory.
    limit: usize,
    /// The most bytes of one envelope.
    largest: usize,
    /// What the envelopes on disk are limited as.
    category: Category,
    /// Some of them may be requests of an OTLP exporter, which are limited as spans or logs.
    takes_otlp: bool,
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
    /// The most bytes of one item.
    pub(crate) largest: usize,
    pub(crate) lifecycle: TraceLifecycle,
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
    Asked(Asker),
    /// The request is in flight. A second question gets an error, so that they do not pile up at a server that hangs.
    Out,
}

impl Outbox {
    pub(crate) fn new(setup: OutboxSetup) -> Self {
        let OutboxSetup { destinations, ledger, limit, largest, lifecycle, encoding, reports, has_spool, random } =
            setup;
        Self {
            destinations,
            ledger,
            limit,
            largest: largest + MAX_HEADERS,
            category: if lifecycle.is_stream() { Category::Span } else { Category::Transaction },
            takes_otlp: false,
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
        self.is_full_for(0)
    }

    /// The same for an envelope of this size, which may be larger than a transaction.
    pub(crate) fn is_full_for(&self, size: usize) -> bool {
        match &self.disk {
            Some(disk) if !disk.has_failed() => disk.is_behind(),
            _ => !self.queue.is_empty() && self.queue.bytes() + self.largest.max(size) > self.limit,
        }
    }

    /// Requests of OTLP exporters are sent, too, perhaps from the disk. Limits on spans then hold for it.
    pub(crate) const fn expect_otlp(&mut self) {
        self.takes_otlp = true;
    }

    pub(crate) const fn has_spool(&self) -> bool {
        self.disk.is_some()
    }

    /// Whether the server accepts less than the application sends.
    pub(crate) fn is_unhealthy(&self, now: Instant) -> bool {
        let is_limited = |category| self.limits.is_limited(category, now);
        let is_over = self.queue.bytes() + self.largest > self.limit && !self.queue.is_empty();
        is_over
            || [Category::Transaction, Category::Span, Category::Error, Category::LogItem, Category::TraceMetric]
                .into_iter()
                .any(is_limited)
    }

    /// The number of the trace of each envelope that was delivered, dropped or stored since the last call.
    pub(crate) fn take_left(&mut self) -> Vec<u64> {
        mem::take(&mut self.left)
    }

    /// Queues an envelope. If the queue is full it goes to the disk or is dropped.
    pub(crate) fn push(&mut self, number: u64, envelope: Envelope, now: Now) {
        let is_otlp = envelope.otlp_form().is_some();
        if self.destinations.sentry.is_some() && self.destinations.spotlight.is_some() && !is_otlp {
            self.spotlight.copy(&envelope, now);
        }
        let queued = Queued::new(Some(number), envelope, now.instant);
        let Some(queued) = self.within_limits(queued, now.instant) else { return };
        if self.queue.bytes() + queued.envelope.size() > self.limit {
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
    pub(crate) fn check(&mut self, asker: Asker) {
        if matches!(self.check, Check::None) {
            self.check = Check::Asked(asker);
        } else {
            asker.refuse();
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
        let Check::Asked(asker) = mem::take(&mut self.check) else { return None };
        let destinations = Arc::clone(&self.destinations);
        let Some(sentry) = &destinations.sentry else {
            asker.answer(Err("there is no DSN".to_owned()));
            return None;
        };
        let mut body = Vec::new();
        Envelope::empty().write_body(now.wall, sentry.dsn(), &[], &mut body);
        let request = sentry.request(self.compressor.plain(body));
        self.check = Check::Out;
        Some(self.out(Flight::Check(asker), request, now.instant))
    }

    fn copy_request(&mut self, now: Now) -> Option<Outgoing> {
        let body = self.spotlight.next(now.instant)?;
        let body = self.compressor.plain(body);
        let request = self.destinations.spotlight.as_ref()?.request(body);
        Some(self.out(Flight::Copy, request, now.instant))
    }

    fn out(&mut self, flight: Flight, request: Request<Bytes>, now: Instant) -> Outgoing {
        Outgoing { id: self.in_flight.add(flight, now), request }
    }

    /// The next envelope to send. If none waits and losses are to be reported, an empty one that carries the report.
    fn next_envelope(&mut self, now: Now) -> Option<Queued> {
        let turn = Turn { now: now.instant, is_asking: self.link.is_away() };
        while let Some(queued) = self.queue.pop(turn, |category| self.in_flight.has_room(category)) {
            if let Some(queued) = self.within_limits(queued, now.instant) {
                return Some(queued);
            }
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
        // A request of an OTLP exporter has no room for a report, which goes out alone.
        let form = queued.envelope.otlp_form();
        let report = if to_sentry && form.is_none() { self.reports.take() } else { None };
        let item = report.as_ref().map(|report| report.item(now.wall)).unwrap_or_default();
        if queued.envelope.items.is_empty() && item.is_empty() {
            return None;
        }
        let write = |body: &mut Vec<u8>| queued.envelope.write_body(now.wall, destination.dsn(), &item, body);
        let body =
            if to_sentry { self.compressor.body(write) } else { self.compressor.plain(queued.envelope.body(now.wall)) };
        let encoding = body.encoding;
        let request = match form {
            Some(form) => destination.otlp_request(form, body)?,
            None => destination.request(body),
        };
        let in_pause = self.link.is_away();
        self.link.sent(now.instant);
        self.silent_since.get_or_insert(now.instant);
        let sent = Sent::new(queued, report, encoding, in_pause);
        Some(self.out(Flight::Envelope(Box::new(sent)), request, now.instant))
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
