//! One of the lists in which ended spans wait, and what is known about the traces that use it.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    mem,
    sync::Arc,
};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sentry_protocol::{Decision, SampleRand};

use super::{picked_up::PickedUp, starts::Starts};
use crate::{account::DropReason, trace::EndedSpan};

/// Spans of one list in a shard: somewhat more than most traces have, as each shard keeps the memory of one list.
const LIST: usize = 32;

/// After this many full lists in a shard the worker is woken, even if no local root has ended.
const WAKE_EVERY: usize = 8;

/// How many incomplete traces each shard remembers, in order to drop the rest of their spans too.
const MAX_DROPPED_TRACES: usize = 4096;

/// What the traces of one shard have under its lock.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Why it accepts no more spans, once it does not. It is read under the lock. As an atomic, a span could be pushed
    /// after the worker's last pick-up and be in no count.
    pub(super) closed: Option<DropReason>,
    /// Those that ended last, in their order, at most [`LIST`].
    pub(super) spans: Vec<EndedSpan>,
    /// Those that ended before, in full lists: a single list would be copied whenever it grows.
    full: Vec<Vec<EndedSpan>>,
    /// Empty lists, as many as were handed over at the last pick-up. Without them a thread that ends spans would allocate lists,
    /// and the worker would free them.
    empty: Vec<Vec<EndedSpan>>,
    /// Without it, spans that leave before their root would have no `trace` header.
    pub(super) open: HashMap<TraceId, OpenTrace>,
    /// The spans that have started, in a stream.
    pub(super) starts: Starts,
    pub(super) dropped: DroppedTraces,
}

/// A trace with local roots that have begun and not ended.
#[derive(Debug)]
pub(super) struct OpenTrace {
    /// One trace can have several in a process: one for each request that continues it.
    pub(super) roots: Vec<SpanId>,
    /// The sampler's decision; `None` if another sampler than Sentry's decided.
    pub(super) decided: Option<(Arc<Decision>, SampleRand)>,
}

/// Traces that lost a span to an overflow. An incomplete trace misleads, so the rest of it is dropped too. This ends
/// when the pressure is over, because a trace can be open for days.
#[derive(Debug, Default)]
pub(super) struct DroppedTraces {
    pub(super) all: HashSet<TraceId>,
    /// `all` in the order of arrival. Without it the oldest could not make room, and the set would grow without limit.
    pub(super) order: VecDeque<TraceId>,
    /// Those that the worker does not know yet. It must discard the spans that it holds of them.
    pub(super) new: Vec<TraceId>,
}

impl DroppedTraces {
    pub(super) fn add(&mut self, trace_id: TraceId) {
        if self.all.insert(trace_id) {
            self.new.push(trace_id);
            self.order.push_back(trace_id);
        }
        if self.order.len() > MAX_DROPPED_TRACES {
            if let Some(oldest) = self.order.pop_front() {
                self.all.remove(&oldest);
            }
            // A worker that is blocked for long may miss some: it then sends what it holds of them.
            self.new.truncate(MAX_DROPPED_TRACES);
        }
    }
}

impl Shard {
    /// Makes room for one more span. Returns whether so many wait that the worker is to be woken.
    pub(super) fn make_room(&mut self) -> bool {
        if self.spans.len() < self.spans.capacity() {
            return false;
        }
        let full = mem::replace(&mut self.spans, self.empty.pop().unwrap_or_else(|| Vec::with_capacity(LIST)));
        if full.is_empty() {
            return false;
        }
        self.full.push(full);
        self.full.len() % WAKE_EVERY == 0
    }

    /// Hands over all spans, in exchange for as many empty lists. What a flood has left of these goes, too, but for one: the next
    /// trace needs it.
    pub(super) fn take(&mut self, picked: &mut PickedUp) {
        if !self.spans.is_empty() {
            self.full.push(mem::take(&mut self.spans));
        }
        let wanted = self.full.len().max(1);
        picked.empty.extend(self.empty.drain(wanted.min(self.empty.len())..));
        let missing = self.full.len().saturating_sub(self.empty.len());
        let rest = picked.empty.len().saturating_sub(missing);
        self.empty.extend(picked.empty.drain(rest..));
        picked.lists.append(&mut self.full);
    }

    #[cfg(test)]
    pub(super) fn empty_bytes(&self) -> usize {
        self.empty.iter().map(|list| list.capacity() * size_of::<EndedSpan>()).sum()
    }

    /// Those that wait, in the order in which they ended.
    pub(super) fn all(&self) -> impl Iterator<Item = &EndedSpan> {
        self.full.iter().flatten().chain(&self.spans)
    }

    /// Notes that a span has ended, which may be an open local root.
    pub(super) fn ended(&mut self, trace_id: TraceId, span_id: SpanId) {
        if let Entry::Occupied(mut open) = self.open.entry(trace_id) {
            let roots = &mut open.get_mut().roots;
            if let Some(place) = roots.iter().position(|root| *root == span_id) {
                roots.swap_remove(place);
            }
            if roots.is_empty() {
                open.remove();
            }
        }
    }
}
