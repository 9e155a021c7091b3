//! Which spans were sent lately? A span whose parent is among them is late and need not wait for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;
use opentelemetry::{SpanId, TraceId};

use super::{context::TraceContext, ended::EndedSpan};

/// How many groups of sent spans there are. With [`GROUP`] they take 512 KiB, and hold a few minutes of a busy service.
const GROUPS: usize = 1 << GROUP_BITS;
const GROUP_BITS: u32 = 12;

/// The spans of one group.
const GROUP: usize = 16;

/// For how many traces the context is remembered.
const MAX_TRACES: usize = 16_384;

/// The most bytes of all contexts. One that came in can be as long as a `baggage` header.
const MAX_BYTES: usize = 8 << 20;

/// The spans that were sent last, and the contexts of their traces. Without it, a span that ends after its parent was
/// sent would wait five minutes for that parent, and would be sent without a `trace` header.
#[derive(Debug, Default)]
pub(super) struct Sent {
    spans: Spans,
    contexts: HashMap<TraceId, Arc<TraceContext>, RandomState>,
    /// The traces of `contexts` in the order in which they were first sent, with their bytes. Without it the oldest
    /// could not make room.
    traces: VecDeque<(TraceId, usize)>,
    /// The sum of the bytes in `traces`. The number of contexts alone would not bound the memory.
    bytes: usize,
}

/// Hashes of trace id and span id: about the last 65,000. The hash names the group of a span, and the oldest of the group
/// makes room for it. A set with the order of all spans would take four times the memory.
#[derive(Debug, Default)]
struct Spans {
    /// The latest of each group is first; 0 is a free place. Empty until a span is sent.
    groups: Vec<[u64; GROUP]>,
}

impl Spans {
    fn insert(&mut self, key: u64) {
        if self.groups.is_empty() {
            self.groups = vec![[0; GROUP]; GROUPS];
        }
        let Some(group) = self.groups.get_mut(group_of(key)) else { return };
        if !group.contains(&key) {
            group.rotate_right(1);
            group[0] = key;
        }
    }

    fn contains(&self, key: u64) -> bool {
        self.groups.get(group_of(key)).is_some_and(|group| group.contains(&key))
    }
}

const fn group_of(key: u64) -> usize {
    (key >> (u64::BITS - GROUP_BITS)) as usize
}

impl Sent {
    pub(super) fn remember(&mut self, trace_id: TraceId, spans: &[EndedSpan], context: Option<&Arc<TraceContext>>) {
        for span in spans {
            self.spans.insert(key(trace_id, span.span_context.span_id()));
        }
        if let Some(context) = context {
            self.remember_context(trace_id, context);
        }
    }

    fn remember_context(&mut self, trace_id: TraceId, context: &Arc<TraceContext>) {
        if self.contexts.contains_key(&trace_id) {
            return;
        }
        let bytes = context.size();
        self.contexts.insert(trace_id, Arc::clone(context));
        self.traces.push_back((trace_id, bytes));
        self.bytes += bytes;
        while self.bytes > MAX_BYTES || self.traces.len() > MAX_TRACES {
            let Some((oldest, bytes)) = self.traces.pop_front() else { break };
            self.contexts.remove(&oldest);
            self.bytes -= bytes;
        }
    }

    /// Whether a span was sent lately. Older ones are forgotten.
    pub(super) fn has(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        self.spans.contains(key(trace_id, span_id))
    }

    /// The context that a trace was sent with.
    pub(super) fn context(&self, trace_id: TraceId) -> Option<&Arc<TraceContext>> {
        self.contexts.get(&trace_id)
    }
}

/// Mixes both ids into a key. Two remembered spans practically never share one. Its first bits, which name the group,
/// depend on all bits of the ids: not every generator of ids is random.
fn key(trace_id: TraceId, span_id: SpanId) -> u64 {
    let trace = u128::from_be_bytes(trace_id.to_bytes());
    let trace = (trace as u64 ^ (trace >> 64) as u64).wrapping_mul(ODD);
    (u64::from_be_bytes(span_id.to_bytes()) ^ trace.rotate_left(32)).wrapping_mul(ODD).max(1)
}

/// 2^64 divided by the golden ratio: multiples of it are spread evenly.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::{super::fixtures::span, *};

    fn trace(number: u64) -> TraceId {
        TraceId::from_bytes(u128::from(number).to_be_bytes())
    }

    #[test]
    fn the_oldest_contexts_make_room() {
        let mut sent = Sent::default();
        let last = 2 * MAX_TRACES as u64;
        for number in 1..=last {
            let mut root = span(1, 0);
            root.data_mut().attributes =
                vec![opentelemetry::KeyValue::new("sentry.dsc", format!("sentry-release={}", "x".repeat(800)))];
            let context = Arc::new(TraceContext::of(&root, root.attributes()));
            sent.remember(trace(number), &[root], Some(&context));
        }
        assert!(sent.bytes <= MAX_BYTES && sent.contexts.len() == sent.traces.len());
        assert!(sent.context(trace(last)).is_some(), "the last one is known");
        assert!(sent.context(trace(1)).is_none());
    }

    #[test]
    fn the_last_spans_are_remembered_and_old_ones_forgotten_whatever_bits_the_ids_differ_in() {
        let id = |bits: u64| SpanId::from_bytes(bits.to_be_bytes());
        let ids: [fn(u64) -> (u64, u64); 4] = [
            |number| (number, 1),
            |number| (1, number),
            |number| (number << 40, 1),
            |number| (number / 21, number.rotate_right(20)),
        ];
        for (case, ids) in ids.into_iter().enumerate() {
            let key = |number: u64| {
                let (trace_id, span_id) = ids(number);
                key(trace(trace_id), id(span_id))
            };
            let (mut spans, room) = (Spans::default(), (GROUPS * GROUP) as u64);
            let last = 4 * room;
            assert!(!spans.contains(key(1)));
            (1..=last).for_each(|number| spans.insert(key(number)));
            let known = |from: u64, to: u64| (from..to).filter(|number| spans.contains(key(*number))).count() as u64;
            assert_eq!(known(last - room / 8, last), room / 8, "{case}: the last ones");
            assert!(known(last - room / 2, last) > room * 49 / 100, "{case}: nearly all of the last half");
            assert!(known(1, last - 3 * room) < room / 100, "{case}: hardly any old one");
        }
    }

    #[test]
    fn a_span_that_is_sent_twice_takes_one_place() {
        let mut spans = Spans::default();
        (0..100).for_each(|_| spans.insert(7));
        assert_eq!(spans.groups.iter().flatten().filter(|key| **key != 0).count(), 1);
    }
}
