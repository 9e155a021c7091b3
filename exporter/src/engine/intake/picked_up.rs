//! What the worker has taken out of the intake.

use opentelemetry::TraceId;

use crate::trace::EndedSpan;

/// What was picked up, and the memory for it.
#[derive(Debug, Default)]
pub(crate) struct PickedUp {
    /// Ended spans.
    pub(super) lists: Vec<Vec<EndedSpan>>,
    /// Traces that lost a span.
    pub(crate) dropped: Vec<TraceId>,
    /// Empty lists for the shards, at most twice as many as the last pick-up had.
    pub(super) empty: Vec<Vec<EndedSpan>>,
}

impl PickedUp {
    /// Takes the spans out.
    pub(crate) fn each(&mut self, mut take: impl FnMut(EndedSpan)) {
        self.empty.truncate(self.lists.len());
        for mut list in self.lists.drain(..) {
            list.drain(..).for_each(&mut take);
            self.empty.push(list);
        }
    }
}
