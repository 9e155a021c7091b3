//! Which spans were sent lately? A span whose parent is among them is late and need not wait for it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;
use opentelemetry::{SpanId, TraceId};

use super::{context::TraceContext, ended::EndedSpan};

/// How many sent spans are remembered: a few minutes of a busy service, in about 2 MiB.
const MAX_SPANS: usize = 65_536;

/// For how many traces the context is remembered.
const MAX_TRACES: usize = 16_384;

/// The most bytes of all contexts. One that came in can be as long as a `baggage` header.
const MAX_BYTES: usize = 8 << 20;

/// The spans that were sent last, and the contexts of their traces. Without it, a span that ends after its parent was
/// sent would wait five minutes for that parent, and would be sent without a `trace` header.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Hashes of trace id and span id: a third of the memory of the ids.
    spans: HashSet<u64, RandomState>,
    /// `spans` in the order in which they were sent. Without it the oldest could not make room.
    order: VecDeque<u64>,
    contexts: HashMap<TraceId, Arc<TraceContext>, RandomState>,
    /// The traces of `contexts` in the order in which they were first sent, with their bytes. Without it the oldest
    /// could not make room.
    traces: VecDeque<(TraceId, usize)>,
    /// The sum of the bytes in `traces`. The number of contexts alone would not bound the memory.
    bytes: usize,
}

impl Sent {
    pub(super) fn remember(&mut self, trace_id: TraceId, spans: &[EndedSpan], context: Option<&Arc<TraceContext>>) {
        for span in spans {
            let key = key(trace_id, span.span_context.span_id());
            if self.spans.insert(key) {
                self.order.push_back(key);
            }
        }
        while self.order.len() > MAX_SPANS {
            if let Some(oldest) = self.order.pop_front() {
                self.spans.remove(&oldest);
            }
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
        self.spans.contains(&key(trace_id, span_id))
    }

    /// The context that a trace was sent with.
    pub(super) fn context(&self, trace_id: TraceId) -> Option<&Arc<TraceContext>> {
        self.contexts.get(&trace_id)
    }
}

/// Mixes both ids into a key. Span ids are random, so two remembered spans practically never share one.
fn key(trace_id: TraceId, span_id: SpanId) -> u64 {
    let trace = u128::from_be_bytes(trace_id.to_bytes());
    let trace = (trace as u64 ^ (trace >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u64::from_be_bytes(span_id.to_bytes()) ^ trace.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures::span, *};

    #[test]
    fn the_oldest_spans_and_contexts_make_room() {
        let mut sent = Sent::default();
        for number in 1..=(MAX_SPANS + 1) as u64 {
            let trace_id = TraceId::from_bytes(u128::from(number).to_be_bytes());
            let mut root = span(1, 0);
            root.data_mut().attributes =
                vec![opentelemetry::KeyValue::new("sentry.dsc", format!("sentry-release={}", "x".repeat(800)))];
            let context = Arc::new(TraceContext::of(&root, root.attributes()));
            sent.remember(trace_id, &[root], Some(&context));
        }
        let trace = |number: u64| TraceId::from_bytes(u128::from(number).to_be_bytes());
        let id = SpanId::from_bytes(1_u64.to_be_bytes());
        assert!(!sent.has(trace(1), id) && sent.has(trace(2), id));
        assert!(sent.bytes <= MAX_BYTES && sent.contexts.len() == sent.traces.len());
        assert!(sent.context(trace(MAX_SPANS as u64 + 1)).is_some(), "the last one is known");
        assert!(sent.context(trace(1)).is_none());
    }
}
