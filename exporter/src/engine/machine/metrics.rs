//! What instruments have measured, on its way through the machine.

use std::time::Duration;

use web_time::Instant;

use super::{super::metrics::Walk, Machine, Ready};
use crate::{
    account::{DropReason, Now},
    trace::Measured,
};

/// How often instruments are collected, as in Sentry's SDKs.
const COLLECT_EVERY: Duration = Duration::from_secs(5);

/// How many steps of a collection one step of the machine makes. Callbacks can be slow, and requests get their turn between.
const STEP: usize = 16;

impl Machine {
    /// Sets the timer when there are instruments.
    pub(in crate::engine) fn metrics_arrived(&mut self, now: Now) {
        if self.shared.metrics.is_used() {
            self.metrics_due.get_or_insert(now.instant + COLLECT_EVERY);
        }
    }

    /// Collects the instruments when it is time to.
    pub(super) fn metrics_expired(&mut self, now: Now) {
        self.metrics_arrived(now);
        if self.is_running() && self.metrics_due().is_some_and(|due| due <= now.instant) {
            self.take_in_metrics(now);
        }
    }

    /// Begins to collect the instruments.
    pub(super) fn take_in_metrics(&mut self, now: Now) {
        if self.shared.metrics.is_used() {
            self.metrics_due = Some(now.instant + COLLECT_EVERY);
            let walk = self.shared.metrics.walk(now.wall);
            self.number(Ready::Metrics(walk));
        }
    }

    /// Collects and packs some series.
    pub(super) fn work_on_metrics(&mut self, number: u64, mut walk: Walk) {
        let mut envelopes = Vec::new();
        for _ in 0..STEP {
            let Some(all) = walk.step() else {
                envelopes.extend(self.packer.close_metrics());
                return self.pieces(number, envelopes.into_iter().map(Ready::Envelope));
            };
            for measured in all {
                self.shared.ledger.metrics_received(measured.values.len() as u64);
                envelopes.extend(self.packer.pack_metrics(measured, &self.shared.ledger));
            }
        }
        self.pieces(number, envelopes.into_iter().map(Ready::Envelope).chain([Ready::Metrics(walk)]));
    }

    /// When instruments are collected next. `None` if they are being collected: while the queue is full, they would be due all
    /// the time.
    pub(super) fn metrics_due(&self) -> Option<Instant> {
        let is_walk = |(_, ready): &(u64, Ready)| matches!(ready, Ready::Metrics(_));
        self.metrics_due.filter(|_| !self.ready.iter().any(is_walk))
    }

    /// Counts what was measured and will not be packed.
    pub(super) fn drop_measured(&self, measured: &Measured, reason: DropReason) {
        self.shared.ledger.metrics_received(measured.values.len() as u64);
        self.packer.drop_metrics(measured, reason, &self.shared.ledger);
    }

    /// Counts everything that instruments still hold as dropped.
    pub(super) fn drop_metrics(&mut self, reason: DropReason) {
        self.shared.metrics.close(reason);
        self.shared.metrics.drain(|measured| self.drop_measured(&measured, reason));
        if let Some(envelope) = self.packer.close_metrics() {
            self.shared.ledger.dropped(reason, envelope.counts);
        }
    }
}
