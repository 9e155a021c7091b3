//! What a machine does for an application that drives it, and at the end of a request.

use opentelemetry::TraceId;

use super::{
    super::{flush_error::FlushError, lines::Then},
    Machine,
};
use crate::{account::Now, transport::Outgoing};

impl Machine {
    /// Lines up what has ended of one trace, without the wait for late spans, and all logs. What is below a local root that
    /// is still open stays, so nothing of another request is torn.
    pub(in crate::engine) fn take_in_trace(&mut self, trace_id: TraceId, now: Now) {
        self.pick_up(usize::MAX, now);
        let ended = self.gatherer.take_ended(trace_id, &*self.shared.intake);
        self.line_up(ended);
        self.take_in_logs(Then::Everything);
    }

    /// Lines up everything but what is below a local root that is still open, so nothing of another request is torn.
    pub(in crate::engine) fn take_in_ended(&mut self, now: Now) {
        self.pick_up(usize::MAX, now);
        let ended = self.gatherer.take_all_ended(&*self.shared.intake);
        self.line_up(ended);
        self.take_in_logs(Then::Everything);
        self.take_in_metrics(now);
    }

    /// Packs what is lined up. Returns all requests that may be sent now.
    pub(in crate::engine) fn requests(&mut self, now: Now) -> Vec<Outgoing> {
        let mut requests = Vec::new();
        loop {
            while self.has_work() {
                self.work(now);
            }
            let before = requests.len();
            while let Some(outgoing) = self.next_request(now) {
                requests.push(outgoing);
            }
            // Each request makes room for further packing.
            if requests.len() == before {
                self.settle();
                return requests;
            }
        }
    }

    /// The request that reports losses which no other request has reported.
    pub(in crate::engine) fn report_losses(&mut self, now: Now) -> Option<Outgoing> {
        if self.outbox.has_unreported(now.instant) { self.outbox.losses_request(now) } else { None }
    }

    /// Writes what has left into the account, and frees what is packed: the application's thread packs, and nothing is to stay
    /// in a process that freezes.
    pub(in crate::engine) fn settle(&mut self) {
        self.shared.intake.free_spent();
        self.pieces_left();
        self.outbox.publish();
    }

    /// What became of everything that was taken so far.
    pub(in crate::engine) fn result(&mut self) -> Result<(), FlushError> {
        let is_waiting = !self.outbox.is_empty() || self.has_ready();
        if is_waiting { Err(FlushError::Waiting) } else { self.callers.result(false, &self.shared.ledger) }
    }
}
