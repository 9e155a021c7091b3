//! Which spans belong together, and is their trace ready to be sent?
//!
//! Spans arrive in the order in which they ended, traces mixed. They wait for their *local root*, the span that has
//! no parent in this process. When it has ended, it and all its descendants become one [`Trace`].
//!
//! | a span whose | goes |
//! | --- | --- |
//! | local root has ended | with its root |
//! | parent was sent already | out at once, with its own descendants: it is late |
//! | root is still open after [`MAX_WAIT`] | out with its own descendants: it is early |
//! | trace has more than [`MAX_SPANS`] spans | in several traces, each a subtree with its real parent |
//!
//! Nothing here knows a clock, a thread or a lock: time is an argument.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;

use crate::{
    convert::Head,
    intake::is_local_root,
    tree::{Fate, Tree},
};

/// How long spans wait for a local root that is still open.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(300);

/// The most spans of a transaction that Sentry keeps.
pub(crate) const MAX_SPANS: usize = 1000;

/// How many sent spans are remembered, to tell late children from early ones.
const REMEMBERED: usize = 65_536;

/// How many bytes they and the heads of their traces may take; with heads of usual size the number above comes first.
const REMEMBERED_BYTES: usize = 16 << 20;

/// Spans that leave together: the first one becomes the transaction.
#[derive(Debug)]
pub(crate) struct Trace {
    /// What is known from the head of the trace; `None` if its local root was not seen.
    pub(crate) head: Option<Arc<Head>>,
    /// At least one; the first is an ancestor of all others.
    pub(crate) spans: Vec<SpanData>,
    pub(crate) fate: Fate,
}

/// Turns ended spans into traces.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    waiting: HashMap<TraceId, Waiting>,
    /// All that wait, by how long they have.
    oldest: BTreeSet<(Instant, [u8; 16])>,
    sent: Sent,
}

/// The spans of one trace that wait for their root.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    spans: Vec<SpanData>,
}

impl Assembler {
    /// Takes in ended spans, and returns the traces that are ready because of them.
    pub(crate) fn push(&mut self, spans: impl IntoIterator<Item = SpanData>, now: Instant) -> Vec<Trace> {
        let mut ready = HashSet::new();
        for span in spans {
            let trace_id = span.span_context.trace_id();
            if is_local_root(&span) || self.sent.head(trace_id, span.parent_span_id).is_some() {
                ready.insert(trace_id);
            }
            let waiting = self.waiting.entry(trace_id).or_insert_with(|| {
                self.oldest.insert((now, trace_id.to_bytes()));
                Waiting { since: now, spans: Vec::new() }
            });
            waiting.spans.push(span);
        }
        ready.into_iter().flat_map(|trace_id| self.assemble(trace_id, false)).collect()
    }

    /// Returns what has waited too long.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Trace> {
        let mut expired = Vec::new();
        while self.next_expiry().is_some_and(|expiry| expiry <= now) {
            expired.extend(self.drain_oldest());
        }
        expired
    }

    /// Returns everything that waits.
    pub(crate) fn drain(&mut self) -> Vec<Trace> {
        let all: Vec<_> = self.waiting.keys().copied().collect();
        all.into_iter().flat_map(|trace_id| self.assemble(trace_id, true)).collect()
    }

    /// Returns what waited longest, if anything waits.
    pub(crate) fn drain_oldest(&mut self) -> Vec<Trace> {
        let oldest = self.oldest.first().map(|(_, id)| TraceId::from_bytes(*id));
        oldest.into_iter().flat_map(|trace_id| self.assemble(trace_id, true)).collect()
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.oldest.first().map(|(since, _)| *since + MAX_WAIT)
    }

    /// How many spans wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.values().map(|waiting| waiting.spans.len()).sum()
    }

    /// Takes out the spans of a trace that can go, or all of them.
    fn assemble(&mut self, trace_id: TraceId, all: bool) -> Vec<Trace> {
        let Some(Waiting { since, spans }) = self.waiting.remove(&trace_id) else { return Vec::new() };
        let (groups, rest) = Tree::new(spans).take_apart(all, |parent| self.sent.head(trace_id, parent).is_some());
        if rest.is_empty() {
            self.oldest.remove(&(since, trace_id.to_bytes()));
        } else {
            self.waiting.insert(trace_id, Waiting { since, spans: rest });
        }
        let mut traces = Vec::new();
        for group in groups {
            let root = group.spans.first();
            let head = match group.fate {
                Fate::Whole => root.map(|root| Arc::new(Head::of(root))),
                Fate::Late | Fate::Early => {
                    root.and_then(|root| self.sent.head(trace_id, root.parent_span_id)).cloned().flatten()
                }
            };
            self.sent.remember(trace_id, group.spans.iter().map(|span| span.span_context.span_id()), head.as_ref());
            let trace = Trace { head, spans: group.spans, fate: group.fate };
            traces.extend(split(trace, MAX_SPANS, usize::MAX));
        }
        traces
    }
}

/// Splits a trace so that no part has more than `max` spans or about as many bytes. The first part keeps the root; every other part is a
/// subtree of it, and its root keeps its real parent.
pub(crate) fn split(trace: Trace, max: usize, max_bytes: usize) -> Vec<Trace> {
    let Trace { head, spans, fate } = trace;
    let parts = Tree::new(spans).split(max.max(1), max_bytes);
    let part = |spans| Trace { head: head.clone(), spans, fate };
    parts.into_iter().map(part).collect()
}

/// The spans that were sent last, each with the head of its trace.
#[derive(Debug, Default)]
struct Sent {
    heads: HashMap<(TraceId, SpanId), Option<Arc<Head>>>,
    /// In the order in which they were sent, each with the bytes that go with it.
    order: VecDeque<((TraceId, SpanId), usize)>,
    bytes: usize,
}

impl Sent {
    fn remember(&mut self, trace_id: TraceId, spans: impl Iterator<Item = SpanId>, head: Option<&Arc<Head>>) {
        // The head is shared by all, and counted with the first.
        let mut bytes = head.map_or(0, |head| head.size());
        for span_id in spans {
            let key = (trace_id, span_id);
            if self.heads.insert(key, head.cloned()).is_none() {
                bytes += 2 * size_of_val(&key);
                self.order.push_back((key, bytes));
                self.bytes += mem::take(&mut bytes);
            }
        }
        while self.order.len() > REMEMBERED || self.bytes > REMEMBERED_BYTES {
            let Some((oldest, bytes)) = self.order.pop_front() else { break };
            self.bytes -= bytes;
            self.heads.remove(&oldest);
        }
    }

    fn head(&self, trace_id: TraceId, span_id: SpanId) -> Option<&Option<Arc<Head>>> {
        self.heads.get(&(trace_id, span_id))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::{
        TraceFlags,
        trace::{SpanContext, SpanKind, Status, TraceState},
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use proptest::prelude::*;

    use super::*;

    const T: TraceId = TraceId::from_bytes([7; 16]);

    /// A span of this id; parent 0 is none, and from 1000 on parents are remote.
    fn span(id: u64, parent: u64) -> SpanData {
        let context = |id: u64| SpanId::from_bytes(id.to_be_bytes());
        SpanData {
            span_context: SpanContext::new(T, context(id), TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: context(parent),
            parent_span_is_remote: parent >= 1000,
            span_kind: SpanKind::Internal,
            name: "work".into(),
            start_time: SystemTime::UNIX_EPOCH + Duration::from_secs(id),
            end_time: SystemTime::UNIX_EPOCH + Duration::from_secs(id + 1),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: opentelemetry::InstrumentationScope::default(),
        }
    }

    fn id(span: &SpanData) -> u64 {
        u64::from_be_bytes(span.span_context.span_id().to_bytes())
    }

    fn ids(traces: &[Trace]) -> Vec<(Fate, Vec<u64>)> {
        traces.iter().map(|trace| (trace.fate, trace.spans.iter().map(id).collect())).collect()
    }

    #[test]
    fn a_local_root_leaves_with_all_its_descendants_in_order_of_start() {
        let mut assembler = Assembler::default();
        let now = Instant::now();
        assert_eq!(ids(&assembler.push([span(4, 3), span(2, 1), span(3, 2)], now)), []);
        assert_eq!(ids(&assembler.push([span(1, 1000)], now)), [(Fate::Whole, vec![1, 2, 3, 4])]);
        assert_eq!(assembler.next_expiry(), None);
    }

    #[test]
    fn two_local_roots_of_one_trace_leave_apart() {
        let mut assembler = Assembler::default();
        let now = Instant::now();
        let traces = assembler.push([span(3, 1), span(4, 2), span(1, 1000)], now);
        assert_eq!(ids(&traces), [(Fate::Whole, vec![1, 3])]);
        assert_eq!(ids(&assembler.push([span(2, 1000)], now)), [(Fate::Whole, vec![2, 4])]);
    }

    #[test]
    fn a_late_child_leaves_at_once_with_what_waited_for_it() {
        let mut assembler = Assembler::default();
        let now = Instant::now();
        assembler.push([span(1, 0)], now);
        assert_eq!(ids(&assembler.push([span(3, 2)], now)), []);
        let traces = assembler.push([span(2, 1)], now);
        assert_eq!(ids(&traces), [(Fate::Late, vec![2, 3])]);
        assert!(traces[0].head.is_some(), "the head of its trace is still known");
    }

    #[test]
    fn what_waits_too_long_leaves_early_and_its_root_later() {
        let mut assembler = Assembler::default();
        let now = Instant::now();
        assembler.push([span(3, 2), span(2, 1)], now);
        assert_eq!(assembler.next_expiry(), Some(now + MAX_WAIT));
        assert_eq!(ids(&assembler.expire(now + MAX_WAIT - Duration::from_nanos(1))), []);
        assert_eq!(ids(&assembler.expire(now + MAX_WAIT)), [(Fate::Early, vec![2, 3])]);
        assert_eq!(ids(&assembler.push([span(1, 0)], now)), [(Fate::Whole, vec![1])]);
    }

    #[test]
    fn a_circle_of_parents_is_sent_all_the_same() {
        let mut assembler = Assembler::default();
        assembler.push([span(1, 2), span(2, 1), span(3, 3)], Instant::now());
        let sent: BTreeSet<_> = ids(&assembler.drain()).into_iter().flat_map(|(_, ids)| ids).collect();
        assert_eq!(sent, BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn spans_with_one_id_are_all_sent_within_the_limit() {
        // In the order in which they end; a circle hangs off the second span with id 5.
        let mut spans = vec![span(5, 7), span(7, 5), span(5, 1), span(1, 0)];
        spans[0].start_time += Duration::from_secs(60);
        let circle = Trace { head: None, spans: spans.clone(), fate: Fate::Whole };
        let mut assembler = Assembler::default();
        let mut traces = assembler.push(spans, Instant::now());
        traces.extend(assembler.drain());
        assert_eq!(traces.iter().map(|trace| trace.spans.len()).sum::<usize>(), 4);
        for trace in traces.into_iter().chain([circle]) {
            let spans = trace.spans.len();
            let parts = split(trace, 1, usize::MAX);
            assert_eq!(parts.len(), spans);
            assert!(parts.iter().all(|part| part.spans.len() == 1));
        }
    }

    #[test]
    fn what_waits_for_long_is_found_in_order() {
        let mut assembler = Assembler::default();
        let now = Instant::now();
        for number in 0..20_000_u64 {
            let mut waiting = span(2, 1);
            let trace_id = TraceId::from_bytes((u128::from(number) + 1).to_be_bytes());
            waiting.span_context = SpanContext::new(
                trace_id,
                SpanId::from_bytes([1; 8]),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            );
            assembler.push([waiting], now + Duration::from_millis(number));
        }
        assert_eq!(assembler.drain_oldest()[0].spans[0].span_context.trace_id().to_bytes()[15], 1);
        assert_eq!(assembler.expire(now + MAX_WAIT + Duration::from_secs(10)).len(), 10_000);
        assert_eq!(assembler.len(), 9_999);
        assert_eq!(assembler.drain().len(), 9_999);
        assert_eq!((assembler.len(), assembler.next_expiry()), (0, None));
    }

    #[test]
    fn what_is_remembered_is_bounded_in_bytes() {
        let mut assembler = Assembler::default();
        for number in 1..=4000_u64 {
            let mut root = span(number, 0);
            root.attributes =
                vec![opentelemetry::KeyValue::new("sentry.dsc", format!("sentry-release={}", "x".repeat(8000)))];
            assembler.push([root], Instant::now());
        }
        assert!(assembler.sent.bytes <= REMEMBERED_BYTES);
        assert!(assembler.sent.order.len() < 4000);
        assert_eq!(assembler.sent.order.len(), assembler.sent.heads.len());
        assert!(assembler.sent.head(T, SpanId::from_bytes(4000_u64.to_be_bytes())).is_some(), "the last one is known");
    }

    proptest! {
        /// Any forest, in any order of ending, torn anywhere: each span leaves exactly once, each part begins with
        /// an ancestor of all its spans, and no part is too large.
        #[test]
        fn every_span_leaves_exactly_once(
            parents in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
            ended in any::<u64>(),
            torn in 1..20_usize,
            max in 1..30_usize,
        ) {
            // The parent of each span is an earlier one, or none.
            let mut spans: Vec<_> = (1..).zip(&parents).map(|(id, parent)| span(id, parent.index(id as usize) as u64)).collect();
            let order = |span: &SpanData| (id(span) ^ ended).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            spans.sort_by_key(order);
            let now = Instant::now();
            let mut assembler = Assembler::default();
            let mut traces = Vec::new();
            for batch in spans.chunks(torn) {
                traces.extend(assembler.push(batch.to_vec(), now));
            }
            traces.extend(assembler.drain());
            let parts: Vec<_> = traces.into_iter().flat_map(|trace| split(trace, max, usize::MAX)).collect();
            let mut sent: Vec<_> = parts.iter().flat_map(|part| part.spans.iter().map(id)).collect();
            sent.sort_unstable();
            prop_assert_eq!(sent, (1..=parents.len() as u64).collect::<Vec<_>>());
            for part in &parts {
                prop_assert!(part.spans.len() <= max);
                let here: HashSet<_> = part.spans.iter().map(|span| span.span_context.span_id()).collect();
                prop_assert!(part.spans[1..].iter().all(|span| here.contains(&span.parent_span_id)));
            }
        }
    }
}
