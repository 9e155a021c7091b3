//! Log records on their way through the machine.

use std::time::Duration;

use web_time::Instant;

use super::{
    super::lines::{Lines, Then},
    Machine, Ready,
};
use crate::account::Now;

/// How long a log waits for others of its envelope.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// How many records one step packs. Hooks can be slow, and requests get their turn between two steps.
const STEP: usize = 16;

impl Machine {
    /// Sets the timer for records that wait, and picks them up if they fill an envelope.
    pub(in crate::engine) fn logs_arrived(&mut self, now: Now) {
        let waiting = self.shared.logs.waiting();
        if waiting > 0 {
            self.logs_due.get_or_insert(now.instant + MAX_WAIT);
        }
        if self.shared.logs.is_envelope_full() || self.shared.logs.take_urgency() {
            self.take_in_logs(Then::Full);
        }
    }

    /// Sends the logs that have waited long enough, and the exceptions among them.
    pub(super) fn logs_expired(&mut self, now: Now) {
        self.logs_arrived(now);
        if self.is_running() && self.logs_due().is_some_and(|due| due <= now.instant) {
            self.take_in_logs(Then::Logs);
        }
    }

    /// Picks up the records.
    pub(super) fn take_in_logs(&mut self, then: Then) {
        let lines = self.shared.logs.drain(&self.shared.ledger);
        if then != Then::Full || !lines.is_empty() {
            self.number(Ready::Logs(Lines { lines: lines.into_iter(), then }));
        }
    }

    /// Picks up the records before the spans, so that errors of spans know the lines before them.
    pub(super) fn take_in_lines_of_errors(&mut self) {
        self.packer.set_log_processor(self.shared.logs.has_processor());
        if self.packer.makes_errors() {
            self.take_in_logs(Then::Full);
        }
    }

    /// Packs some records.
    pub(super) fn work_on_logs(&mut self, number: u64, mut lines: Lines, now: Now) {
        let ledger = &self.shared.ledger;
        let mut envelopes = Vec::new();
        let (mut packed, mut bytes) = (0, 0);
        for line in lines.lines.by_ref().take(STEP) {
            bytes += line.size;
            envelopes.extend(self.packer.pack_log(line, now.instant, ledger));
            packed += 1;
        }
        self.shared.logs.release(packed, bytes);
        let is_done = lines.lines.len() == 0;
        if is_done && lines.then != Then::Full {
            envelopes.extend(self.packer.close_logs());
            let until = (lines.then == Then::Logs).then_some(now.instant);
            envelopes.extend(self.packer.due_errors(until, ledger));
            self.logs_due = None;
        }
        let rest = (!is_done).then_some(Ready::Logs(lines));
        self.pieces(number, envelopes.into_iter().map(Ready::Envelope).chain(rest));
    }

    /// Sets the timer if logs wait for others of their envelope.
    pub(super) fn set_logs_due(&mut self, now: Now) {
        if self.packer.has_logs() || self.shared.logs.waiting() > 0 {
            self.logs_due.get_or_insert(now.instant + MAX_WAIT);
        }
    }

    /// When logs or their exceptions must leave. `None` if they are on their way already: while the queue is full, they would
    /// be due all the time.
    pub(super) fn logs_due(&self) -> Option<Instant> {
        let is_last = |(_, ready): &(u64, Ready)| matches!(ready, Ready::Logs(lines) if lines.then != Then::Full);
        let due = [self.logs_due, self.packer.next_error_due()].into_iter().flatten().min();
        due.filter(|_| !self.ready.iter().any(is_last))
    }
}
