//! Requests of OTLP exporters on their way through the machine.

use super::{Machine, Ready};

impl Machine {
    /// Lines up what OTLP exporters have handed over. It is packed already, and waits for room in the queue.
    pub(super) fn take_in_otlp(&mut self) {
        if self.shared.otlp.is_used() {
            self.outbox.expect_otlp();
            self.shared.otlp.drain().into_iter().for_each(|envelope| self.number(Ready::Otlp(envelope)));
        }
    }

    /// Whether the queue has no room for what is packed next.
    pub(super) fn is_queue_full(&self) -> bool {
        match self.ready.front() {
            Some((_, Ready::Otlp(envelope))) => self.outbox.is_full_for(envelope.size()),
            _ => self.outbox.is_full(),
        }
    }
}
