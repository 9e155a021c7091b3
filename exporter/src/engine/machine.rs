//! The engine: spans, orders, answers and the time come in; requests, jobs for the disk and the time of the next step
//! come out.
//!
//! It has no thread, no clock, no socket and no disk of its own. A driver calls it in a loop:
//!
//! ```text
//! step ─> next_request* ─> next_job ─> work* ─> wait until wake_at, an answer, a span or an order
//! ```
//!
//! The worker's thread is one such driver, the application itself can be another (`driven`), and the simulations of the tests
//! are the third.

mod check_ins;
mod driven;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
mod no_metrics;
mod otlp;
mod packing;
mod pick_up;
mod shutdown;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use web_time::Instant;

use super::{
    backpressure::Backpressure,
    callers::Callers,
    held::CheckIns,
    intake::{Intake, PickedUp},
    logs::LogIntake,
    order::{Mailbox, Orders},
    otlp::OtlpInbox,
    phase::Phase,
    ready::Ready,
};
use crate::{
    account::{Ledger, Now},
    packing::Packer,
    trace::Gatherer,
    transport::{Answer, DiskDone, DiskJob, Outbox, Outgoing},
};

/// How often spans under an open local root are picked up. Their waiting time begins with the pick-up.
const PICK_UP_EVERY: Duration = Duration::from_secs(5);

/// When nothing has overflowed for this time, spans of incomplete traces are accepted again.
const PRESSURE_OVER: Duration = Duration::from_secs(5);

/// How long the last envelopes may take if the application dropped the exporter without a shutdown.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// What callers and the machine share. Each part has its own locks or atomics.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) intake: Arc<Intake>,
    pub(super) logs: Arc<LogIntake>,
    pub(super) otlp: Arc<OtlpInbox>,
    #[cfg(feature = "metrics")]
    pub(super) metrics: Arc<super::metrics::MetricStore>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) mailbox: Arc<Mailbox>,
}

/// The state of everything between an ended span and its delivery.
#[derive(Debug)]
pub(super) struct Machine {
    shared: Shared,
    packer: Packer,
    gatherer: Gatherer,
    outbox: Outbox,
    /// Empty between two pick-ups. It is a field so that its memory is reused.
    picked: PickedUp,
    /// A round over the intake has not come to its end. Without it the rest of a burst would wait until a trace is due.
    has_more: bool,
    /// When the round began that goes on or has ended last.
    round_began: Instant,
    /// When the round began that has ended last: all spans that had ended by then are here. Without it a trace would leave
    /// without its late spans, which wait in a part of the intake that the round has not come to.
    seen_until: Instant,
    /// What waits to be packed, with the number of its trace. Packing can wait here for room in the queue; without it a
    /// large trace would overflow the queue.
    ready: VecDeque<(u64, Ready)>,
    /// Traces are numbered in the order in which they become ready, so that a flush can wait for all before it.
    next_number: u64,
    /// How many pieces (traces, parts or envelopes) of each trace have not left yet, by number. A flush waits for all
    /// numbers below its own. A mere count would make it wait for spans that end after it.
    pieces: BTreeMap<u64, usize>,
    check_ins: CheckIns,
    callers: Callers,
    /// `None` unless the application turned it on.
    backpressure: Option<Backpressure>,
    phase: Phase,
    /// Without it, spans of a root that never ends would stay in the intake forever.
    next_pick_up: Instant,
    /// When the intake was crowded last; `None` when incomplete traces are accepted again. Without it a long-lived
    /// trace that overflowed once would be dropped forever.
    crowded_at: Option<Instant>,
    /// When the logs that wait must leave; `None` while none wait. Without it they would wait until an envelope is full.
    logs_due: Option<Instant>,
    /// When instruments are collected next; `None` while there are none.
    #[cfg(feature = "metrics")]
    metrics_due: Option<Instant>,
    /// The disk got a job since the last step. A second one would keep orders, answers and deadlines waiting longer, and a
    /// disk can be slow.
    has_used_disk: bool,
}

impl Machine {
    pub(super) fn new(
        shared: Shared,
        packer: Packer,
        gatherer: Gatherer,
        outbox: Outbox,
        backpressure: Option<Backpressure>,
        now: Now,
    ) -> Self {
        shared.logs.set_default_size(packer.size_of_empty_log());
        #[cfg(feature = "metrics")]
        shared.metrics.set_default_size(packer.size_of_metric_defaults());
        Self {
            shared,
            packer,
            gatherer,
            outbox,
            picked: PickedUp::default(),
            has_more: false,
            round_began: now.instant,
            seen_until: now.instant,
            ready: VecDeque::new(),
            next_number: 0,
            pieces: BTreeMap::new(),
            check_ins: CheckIns::default(),
            callers: Callers::default(),
            backpressure,
            phase: Phase::Running,
            next_pick_up: now.instant + PICK_UP_EVERY,
            crowded_at: None,
            logs_due: None,
            #[cfg(feature = "metrics")]
            metrics_due: None,
            has_used_disk: false,
        }
    }

    /// Does everything that is due: orders, spans, answers to callers, the phases of a shutdown.
    pub(super) fn step(&mut self, now: Now) {
        self.has_used_disk = false;
        let orders = self.shared.mailbox.take();
        self.obey(orders, now);
        self.take_in_check_ins();
        self.take_in_otlp();
        let is_due = |at: Instant| at <= now.instant;
        // While a round goes on, a trace that is due waits for its end.
        let has_due = !self.has_more && self.gatherer.next_expiry().is_some_and(is_due);
        let is_time = has_due || self.takes_more() || is_due(self.next_pick_up);
        if self.is_running() && (is_time || self.shared.intake.is_crowded()) {
            self.take_in(now);
        }
        self.logs_expired(now);
        self.metrics_expired(now);
        let is_closing = !self.is_running();
        self.outbox.hurry(is_closing || self.callers.are_waiting(now.instant), now.instant);
        if let Some(backpressure) = &mut self.backpressure {
            backpressure.check_up(now.instant, || self.outbox.is_unhealthy(now.instant));
        }
        self.pieces_left();
        // Before the answers: a caller that gets one reads the statistics at once.
        self.outbox.publish();
        self.answer_callers(now);
        self.advance(now);
        self.relax(now.instant);
        if !self.shared.intake.is_filling() {
            self.shared.intake.free_spent();
        }
        self.shared.intake.set_stuck(self.outbox.is_full());
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Whether the next portion of a round is to be picked up: what can be packed is packed before.
    fn takes_more(&self) -> bool {
        self.has_more && !self.has_work()
    }

    /// Whether the machine has stopped.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    fn obey(&mut self, orders: Orders, now: Now) {
        let Orders { resource, check, mut flushes, shutdown, is_abandoned } = orders;
        // The callers of these have stopped waiting. Taking everything in for them would cost the spans that come later their
        // transactions.
        flushes.retain(|flush| flush.deadline > now.instant);
        if let Some(resource) = resource {
            self.packer.set_resource(&resource);
            self.shared.logs.set_default_size(self.packer.size_of_empty_log());
            #[cfg(feature = "metrics")]
            self.shared.metrics.set_default_size(self.packer.size_of_metric_defaults());
        }
        check.into_iter().for_each(|check| self.outbox.check(check));
        if !flushes.is_empty() {
            if flushes.iter().all(|flush| flush.leaves_open) {
                self.take_in_ended(now);
            } else {
                self.take_in_all(now);
            }
            for waiter in flushes {
                self.callers.add(waiter, self.next_number, self.outbox.has_spool(), now.instant);
            }
        }
        if let Some(waiter) = shutdown {
            let deadline = waiter.deadline;
            self.close(Some(waiter), deadline, now);
        } else if is_abandoned && self.is_running() {
            self.close(None, now.instant + LAST_CHANCE, now);
        }
    }

    /// Accepts incomplete traces again when the pressure is over.
    fn relax(&mut self, now: Instant) {
        if self.shared.intake.is_crowded() {
            self.crowded_at = Some(now);
        } else if self.crowded_at.is_some_and(|at| now >= at + PRESSURE_OVER) {
            self.crowded_at = None;
            self.shared.intake.forgive();
        }
    }

    /// The next request to send. Its answer is handed to [`answered`](Self::answered).
    pub(super) fn next_request(&mut self, now: Now) -> Option<Outgoing> {
        match &mut self.phase {
            Phase::Running | Phase::Closing { .. } => self.outbox.next_request(now),
            Phase::Reporting { is_sent: is_sent @ false, .. } => {
                *is_sent = true;
                self.outbox.losses_request(now)
            }
            Phase::Reporting { .. } | Phase::GivingUp { .. } | Phase::Stopped => None,
        }
    }

    pub(super) fn answered(&mut self, id: u64, answer: Answer, now: Now) {
        self.outbox.answered(id, answer, now);
    }

    /// The next job for the disk, one in each step. Its result is handed to [`job_done`](Self::job_done).
    pub(super) fn next_job(&mut self, now: Now) -> Option<DiskJob> {
        let is_late = matches!(self.phase, Phase::GivingUp { deadline, .. } if deadline <= now.instant);
        if is_late || self.is_over() || self.has_used_disk {
            return None;
        }
        let job = self.outbox.next_job(now).or_else(|| self.outbox.last_job().filter(|_| self.is_at_its_end()));
        self.has_used_disk = job.is_some();
        job
    }

    pub(super) fn job_done(&mut self, done: DiskDone, now: Now) {
        self.outbox.job_done(done, now);
    }

    fn answer_callers(&mut self, now: Now) {
        // A shutdown answers them at its end, when everything is counted.
        if !self.is_running() || !self.callers.are_waiting(now.instant) {
            return;
        }
        if self.callers.need_disk(now.instant) {
            self.outbox.keep_waiting();
        }
        let oldest = self.pieces.keys().next().copied().unwrap_or(self.next_number);
        let is_on_disk = self.outbox.has_kept();
        self.callers.answer(oldest, is_on_disk, &self.shared.ledger, now.instant);
    }

    /// When the driver must call [`step`](Self::step) at the latest.
    pub(super) fn wake_at(&mut self, now: Now) -> Instant {
        // A shutdown answers them at its end.
        let flushes = self.callers.wake_at().filter(|_| self.is_running());
        let phase = match self.phase {
            Phase::Running | Phase::Stopped => None,
            Phase::Closing { give_up_at, .. } => Some(give_up_at),
            Phase::Reporting { deadline, .. } | Phase::GivingUp { deadline, .. } => Some(deadline),
        };
        let check_up = self.backpressure.as_ref().map(Backpressure::due);
        let pick_up = Some(self.next_pick_up).filter(|_| self.is_running());
        let expiry = self.gatherer.next_expiry().filter(|_| self.is_running());
        let logs = self.logs_due().filter(|_| self.is_running());
        let metrics = self.metrics_due().filter(|_| self.is_running());
        let forgive = self.crowded_at.map(|at| at + PRESSURE_OVER);
        let more = Some(now.instant).filter(|_| self.is_running() && self.takes_more());
        let all =
            [more, flushes, phase, check_up, pick_up, expiry, logs, metrics, forgive, self.outbox.wake_at(now.instant)];
        all.into_iter().flatten().fold(now.instant + PICK_UP_EVERY, Instant::min)
    }

    /// When a trace leaves next. If that is soon, the driver need not wake up for a local root before.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.gatherer.next_expiry()
    }
}
