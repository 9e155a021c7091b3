//! What the worker has taken out of the intake.

use opentelemetry::TraceId;

use crate::trace::EndedSpan;

/// The most lists that are kept: about those of a portion. All spans of a full buffer would leave tens of megabytes of them.
const MAX_EMPTY: usize = 128;

/// What was picked up, and the memory for it.
#[derive(Debug, Default)]
pub(crate) struct PickedUp {
    /// Ended spans.
    pub(super) lists: Vec<Vec<EndedSpan>>,
    /// Traces that lost a span.
    pub(crate) dropped: Vec<TraceId>,
    /// Empty lists for the shards.
    pub(super) empty: Vec<Vec<EndedSpan>>,
}

impl PickedUp {
    /// Takes the spans out, each with the number of those of its trace that come right after it.
    pub(crate) fn each(&mut self, mut take: impl FnMut(EndedSpan, usize)) {
        // What the shards have not needed is freed, but for one: the next trace is in another shard.
        self.empty.truncate(self.lists.len().max(1));
        for mut list in self.lists.drain(..) {
            let mut spans = list.drain(..);
            let mut following = 0_usize;
            while let Some(span) = spans.next() {
                let is_same = |next: &&EndedSpan| next.span_context.trace_id() == span.span_context.trace_id();
                following = match following {
                    0 => spans.as_slice().iter().take_while(is_same).count(),
                    _ => following - 1,
                };
                take(span, following);
            }
            drop(spans);
            if self.empty.len() < MAX_EMPTY {
                self.empty.push(list);
            }
        }
    }
}
