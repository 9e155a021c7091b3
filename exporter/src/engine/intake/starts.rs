//! The spans of a stream that have started. From here each span knows the local root above it, and the parent that is sent.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;
use opentelemetry::{SpanId, TraceId};

use crate::trace::{EndedSpan, Segment};

/// The most bytes of ended spans that a shard remembers. A span can start after its parent has ended, for example in a
/// spawned task; the longer ago that was, the rarer it is. Beyond this such a span does not know its local root, and
/// Sentry finds it by the parents.
const MAX_ENDED: usize = 256 << 10;

/// What an entry takes in both collections, with their spare room.
const ENTRY: usize = 192;

type Key = (TraceId, SpanId);

/// The spans of a shard.
#[derive(Debug, Default)]
pub(super) struct Starts {
    all: HashMap<Key, Started, RandomState>,
    /// Those that have ended, in this order, each with its bytes. Without it they could not be forgotten.
    ended: VecDeque<(Key, usize)>,
    ended_bytes: usize,
}

/// What is known about a span since its start.
#[derive(Clone, Debug)]
pub(super) struct Started {
    /// The local root above it, or itself. `None` if its start was not noted.
    segment: Option<Arc<Segment>>,
    /// The nearest ancestor that is sent. It differs from the parent if the parent is ignored.
    parent: SpanId,
    /// A filter matches the span itself.
    is_ignored: bool,
}

impl Started {
    /// Whether the span is not sent.
    pub(super) fn is_ignored(&self) -> bool {
        self.is_ignored || self.segment.as_ref().is_some_and(|segment| segment.is_ignored)
    }

    /// Gives the span that has ended its segment, and the parent that is sent.
    pub(super) fn complete(self, span: &mut EndedSpan) {
        if !span.is_local_root() {
            span.set_parent(self.parent);
        }
        span.segment = self.segment;
    }
}

impl Starts {
    /// A local root has started.
    pub(super) fn root(&mut self, trace_id: TraceId, segment: Arc<Segment>) {
        let key = (trace_id, segment.id);
        self.all.insert(key, Started { segment: Some(segment), parent: SpanId::INVALID, is_ignored: false });
    }

    /// Another span has started. Returns the nearest ancestor that is sent.
    pub(super) fn child(&mut self, key: Key, parent: SpanId, is_ignored: bool) -> SpanId {
        let (segment, parent) = match self.all.get(&(key.0, parent)) {
            Some(above) if above.is_ignored => (above.segment.clone(), above.parent),
            Some(above) => (above.segment.clone(), parent),
            None => (None, parent),
        };
        if segment.is_some() || is_ignored {
            self.all.insert(key, Started { segment, parent, is_ignored });
        }
        parent
    }

    /// A span has ended. It is remembered for a while.
    pub(super) fn ended(&mut self, key: Key) -> Option<Started> {
        let started = self.all.get(&key)?.clone();
        let bytes = ENTRY + started.segment.as_ref().map_or(0, |segment| segment.size());
        self.ended.push_back((key, bytes));
        self.ended_bytes += bytes;
        while self.ended_bytes > MAX_ENDED {
            let Some((oldest, bytes)) = self.ended.pop_front() else { break };
            self.ended_bytes -= bytes;
            self.all.remove(&oldest);
        }
        Some(started)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixtures::TRACE;

    fn id(number: u64) -> SpanId {
        SpanId::from_bytes(number.to_be_bytes())
    }

    fn key(number: u64) -> Key {
        (TRACE, id(number))
    }

    fn with_root() -> Starts {
        let mut starts = Starts::default();
        starts.root(TRACE, Arc::new(Segment::new(id(1), "root", None)));
        starts
    }

    #[test]
    fn children_of_ignored_spans_hang_on_the_nearest_one_that_is_sent() {
        let mut starts = with_root();
        assert_eq!(starts.child(key(2), id(1), true), id(1));
        assert_eq!(starts.child(key(3), id(2), true), id(1));
        assert_eq!(starts.child(key(4), id(3), false), id(1));
        assert_eq!(starts.child(key(5), id(4), false), id(4));
        // Also when the ignored one has ended, and below a span that is not known.
        assert!(starts.ended(key(3)).is_some_and(|started| started.is_ignored()));
        assert_eq!(starts.child(key(6), id(3), false), id(1));
        assert_eq!(starts.child(key(8), id(7), true), id(7));
        assert_eq!(starts.child(key(9), id(8), false), id(7));
        let parents = [4, 5, 6].map(|number| starts.ended(key(number)).map(|started| started.parent));
        assert_eq!(parents, [Some(id(1)), Some(id(4)), Some(id(1))]);
    }

    #[test]
    fn a_span_that_ended_long_ago_is_forgotten_and_an_open_one_is_not() {
        let mut starts = with_root();
        let count = 10 * MAX_ENDED as u64 / ENTRY as u64;
        for number in 2..count {
            starts.child(key(number), id(1), false);
            assert!(starts.ended(key(number)).is_some());
        }
        assert!(starts.len() <= MAX_ENDED / ENTRY + 2);
        starts.child(key(count), id(count - 1), false);
        assert!(starts.ended(key(count)).is_some(), "the last one is remembered");
        starts.child(key(count + 1), id(2), false);
        assert!(starts.ended(key(count + 1)).is_none(), "the first one is not");
        starts.child(key(count + 2), id(1), false);
        assert!(starts.ended(key(count + 2)).is_some(), "the root is open");
    }
}
