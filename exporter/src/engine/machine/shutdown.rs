//! The end of a machine: by a shutdown, or by a panic.

use std::{mem, sync::Arc, thread};

use web_time::Instant;

use super::{
    super::{callers::time_for_disk, order::Waiter, phase::Phase},
    Machine, Ready, Shared,
};
use crate::account::{Counts, DropReason, Now, Stats};

impl Machine {
    pub(super) fn close(&mut self, waiter: Option<Waiter>, deadline: Instant, now: Now) {
        self.shared.intake.close(DropReason::Shutdown);
        self.shared.logs.close(DropReason::Shutdown);
        self.shared.otlp.close(DropReason::Shutdown);
        #[cfg(feature = "metrics")]
        self.shared.metrics.close(DropReason::Shutdown);
        self.take_in_all(now);
        self.outbox.close();
        // Some of the time is reserved for the disk: envelopes that are not on it by the deadline are lost.
        let for_disk = time_for_disk(deadline, self.outbox.has_spool(), now.instant);
        self.phase = Phase::Closing { waiter, give_up_at: deadline - for_disk, deadline };
    }

    /// Enters the next phase of a shutdown when the current one is over.
    pub(super) fn advance(&mut self, now: Now) {
        let is_done = self.pieces.is_empty() && self.outbox.is_empty();
        let phase = match mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Closing { waiter, deadline, .. } if is_done => Phase::Reporting { waiter, deadline, is_sent: false },
            phase => phase,
        };
        self.phase = match phase {
            Phase::Closing { waiter, give_up_at, deadline } if give_up_at <= now.instant => {
                Phase::GivingUp { waiter, deadline }
            }
            Phase::Reporting { waiter, deadline, is_sent } => {
                // One attempt only, see `is_sent`.
                let is_reported = is_sent || !self.outbox.has_unreported(now.instant);
                if (is_reported && self.outbox.is_empty() && self.outbox.is_closed()) || deadline <= now.instant {
                    self.stop(waiter)
                } else {
                    Phase::Reporting { waiter, deadline, is_sent }
                }
            }
            phase => phase,
        };
        if let Phase::GivingUp { deadline, .. } = self.phase {
            self.outbox.give_up(DropReason::Shutdown);
            self.pieces_left();
            // Its start is on disk or dropped, so nothing waits for it any more.
            self.check_ins.release();
            if (self.is_kept() && self.outbox.is_closed()) || deadline <= now.instant {
                if let Phase::GivingUp { waiter, .. } = mem::replace(&mut self.phase, Phase::Stopped) {
                    self.drop_rest(DropReason::Shutdown);
                    self.stop(waiter);
                }
            }
        }
    }

    /// Whether all that a shutdown could not deliver is on disk, or there is none.
    fn is_kept(&self) -> bool {
        self.outbox.is_empty() && (!self.has_ready() || !self.outbox.has_spool())
    }

    /// Whether a shutdown has nothing more to store.
    pub(super) fn is_at_its_end(&self) -> bool {
        match self.phase {
            Phase::Running | Phase::Closing { .. } | Phase::Stopped => false,
            Phase::Reporting { .. } => true,
            Phase::GivingUp { .. } => self.is_kept(),
        }
    }

    fn stop(&mut self, waiter: Option<Waiter>) -> Phase {
        self.outbox.publish();
        let is_on_disk = self.outbox.has_kept();
        self.callers.answer_all(waiter, is_on_disk, &self.shared.ledger);
        Phase::Stopped
    }

    /// Counts everything that the machine still holds as dropped.
    pub(super) fn drop_rest(&mut self, reason: DropReason) {
        let ledger = Arc::clone(&self.shared.ledger);
        ledger.dropped(reason, Counts::spans(self.gatherer.len()));
        #[cfg(feature = "metrics")]
        let mut uncollected = Vec::new();
        for (_, ready) in self.ready.drain(..) {
            match ready {
                Ready::Trace(trace) => ledger.dropped(reason, Counts::transaction(trace.spans.len())),
                Ready::Part(part) => ledger.dropped(reason, Counts::transaction(part.len())),
                Ready::Bucket(bucket) => ledger.dropped(reason, Counts::spans(bucket.spans.len())),
                Ready::Logs(lines) => self.packer.drop_logs(lines.lines, reason, &ledger),
                #[cfg(feature = "metrics")]
                Ready::Metrics(walk) => uncollected.extend(walk.into_ready()),
                Ready::Envelope(envelope) | Ready::Otlp(envelope) => ledger.dropped(reason, envelope.counts),
            }
        }
        if let Some(envelope) = self.packer.close_logs() {
            ledger.dropped(reason, envelope.counts);
        }
        #[cfg(feature = "metrics")]
        uncollected.iter().for_each(|measured| self.drop_measured(measured, reason));
        self.drop_metrics(reason);
        ledger.dropped(reason, Counts::errors(self.packer.drop_errors()));
        ledger.dropped(reason, Counts::check_ins(self.check_ins.drain()));
        self.outbox.give_up(reason);
        self.outbox.abandon_jobs(reason);
        self.pieces.clear();
    }
}

impl Drop for Machine {
    /// After a shutdown or a panic: counts what did not leave, and answers the callers that wait.
    fn drop(&mut self) {
        let Shared { intake, logs, otlp, ledger, mailbox, .. } = self.shared.clone();
        let is_panicking = thread::panicking();
        let reason = if is_panicking { DropReason::InternalSdkError } else { DropReason::Shutdown };
        intake.close(reason);
        logs.close(reason);
        otlp.close(reason);
        mailbox.close();
        let unseen = intake.abandon(&ledger);
        ledger.dropped(reason, unseen);
        self.packer.drop_logs(logs.drain(&ledger), reason, &ledger);
        otlp.drain().iter().for_each(|envelope| ledger.dropped(reason, envelope.counts));
        self.drop_rest(reason);
        if is_panicking {
            // What the panic lost between two stages. The size of logs and metrics is not known any more.
            let Stats { spans_pending: spans, logs_pending: logs, .. } = ledger.stats();
            let Stats { metrics_pending: metrics, check_ins_pending: check_ins, .. } = ledger.stats();
            ledger.dropped(reason, Counts { spans, logs, metrics, check_ins, ..Counts::NOTHING });
        }
        let phase = mem::replace(&mut self.phase, Phase::Stopped);
        if let Phase::Closing { waiter, .. } | Phase::Reporting { waiter, .. } | Phase::GivingUp { waiter, .. } = phase
        {
            self.stop(waiter);
        }
    }
}
