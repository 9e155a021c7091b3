//! Groups ended spans into traces. The rules are in the guide, page `delivery`, section "When a span leaves".
//!
//! Spans arrive in the order in which they ended, with traces mixed. Nothing here knows a clock, a thread or a lock: time
//! is an argument.

use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;

use super::{
    ended::is_local_root,
    head::Head,
    tree::{Fate, Tree},
};
use crate::account::Load;

/// How long spans wait for a local root that is still open.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(300);

/// How many traces are given grace at a time: where more end within it, spans are many and time is short.
const MAX_GRACED: usize = 256;

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

/// What the assembler is told whenever time has passed.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) time: Instant,
    /// Whether it is known of a trace that none of its local roots is open.
    pub(crate) is_over: &'a dyn Fn(TraceId) -> bool,
}

/// How long is waited, and for how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long a trace waits for late spans when its root has ended.
    pub(crate) grace: Duration,
    /// How many traces may wait.
    pub(crate) traces: usize,
}

/// Turns ended spans into traces.
#[derive(Debug)]
pub(crate) struct Assembler {
    patience: Patience,
    waiting: HashMap<TraceId, Waiting, RandomState>,
    /// All that wait, by when they are looked at next.
    due: BTreeSet<(Instant, [u8; 16])>,
    /// How many of them only wait for late spans.
    graced: usize,
    sent: Sent,
}

/// The spans of one trace that wait.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    due: Instant,
    /// Whether some of them only wait for late ones.
    is_ready: bool,
    spans: Vec<SpanData>,
}

/// Why spans are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A local root has ended, or a late span has come.
    Ready,
    /// They waited too long, and no local root of theirs is open: their parent will not come.
    Over,
    /// Everything has to go now.
    Asked,
}

impl Assembler {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, waiting: HashMap::default(), due: BTreeSet::new(), graced: 0, sent: Sent::default() }
    }

    /// Takes in ended spans, and returns the traces that are ready because of them.
    pub(crate) fn push(&mut self, spans: impl IntoIterator<Item = SpanData>, now: Now<'_>) -> Vec<Trace> {
        for span in spans {
            self.take_in(span, now.time);
        }
        let mut ready = self.expire(now);
        // Those that are ready are due first.
        while self.waiting.len() > self.patience.traces || self.graced > MAX_GRACED {
            ready.extend(self.drain_oldest());
        }
        ready
    }

    fn take_in(&mut self, span: SpanData, now: Instant) {
        let trace_id = span.span_context.trace_id();
        let is_ready = is_local_root(&span) || self.sent.head(trace_id, span.parent_span_id).is_some();
        let waiting = match self.waiting.entry(trace_id) {
            Entry::Occupied(waiting) => waiting.into_mut(),
            Entry::Vacant(vacant) => {
                let due = now + MAX_WAIT;
                self.due.insert((due, trace_id.to_bytes()));
                vacant.insert(Waiting { since: now, due, is_ready: false, spans: Vec::new() })
            }
        };
        waiting.spans.push(span);
        if is_ready && !waiting.is_ready {
            waiting.is_ready = true;
            self.graced += 1;
            self.due.remove(&(waiting.due, trace_id.to_bytes()));
            waiting.due = now + self.patience.grace.min(MAX_WAIT);
            self.due.insert((waiting.due, trace_id.to_bytes()));
        }
    }

    /// Returns what is due.
    pub(crate) fn expire(&mut self, now: Now<'_>) -> Vec<Trace> {
        let mut expired = Vec::new();
        while let Some(&(due, trace_id)) = self.due.first() {
            if due > now.time {
                break;
            }
            let trace_id = TraceId::from_bytes(trace_id);
            let why = if (now.is_over)(trace_id) { Why::Over } else { Why::Asked };
            expired.extend(self.take_out(trace_id, why));
        }
        expired
    }

    /// Returns everything that waits.
    pub(crate) fn drain(&mut self) -> Vec<Trace> {
        let all: Vec<_> = self.waiting.keys().copied().collect();
        all.into_iter().flat_map(|trace_id| self.assemble(trace_id, Why::Asked)).collect()
    }

    /// Returns what would be due next, if anything waits: first those whose root has ended.
    pub(crate) fn drain_oldest(&mut self) -> Vec<Trace> {
        let oldest = self.due.first().map(|(_, trace_id)| TraceId::from_bytes(*trace_id));
        oldest.map(|trace_id| self.take_out(trace_id, Why::Asked)).unwrap_or_default()
    }

    /// Forgets a trace of which some spans were dropped, and returns what it has lost with that, and the spans.
    pub(crate) fn discard(&mut self, trace_id: TraceId) -> (Load, Vec<SpanData>) {
        let Some(Waiting { spans, .. }) = self.remove(trace_id) else { return Default::default() };
        let transactions = spans.iter().filter(|span| is_local_root(span)).count() as u64;
        (Load { transactions, ..Load::spans(spans.len()) }, spans)
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(crate) const fn set_grace(&mut self, grace: Duration) {
        self.patience.grace = grace;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many spans wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.values().map(|waiting| waiting.spans.len()).sum()
    }

    /// Takes out what is ready of a trace; if nothing is, everything.
    fn take_out(&mut self, trace_id: TraceId, why: Why) -> Vec<Trace> {
        let is_ready = self.waiting.get(&trace_id).is_some_and(|waiting| waiting.is_ready);
        self.assemble(trace_id, if is_ready { Why::Ready } else { why })
    }

    fn remove(&mut self, trace_id: TraceId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&trace_id)?;
        self.due.remove(&(waiting.due, trace_id.to_bytes()));
        self.graced -= usize::from(waiting.is_ready);
        Some(waiting)
    }

    /// Takes out the spans of a trace that can go, or all of them.
    fn assemble(&mut self, trace_id: TraceId, why: Why) -> Vec<Trace> {
        let Some(Waiting { since, spans, .. }) = self.remove(trace_id) else { return Vec::new() };
        let (groups, rest) =
            Tree::new(spans).take_apart(why != Why::Ready, |parent| self.sent.head(trace_id, parent).is_some());
        if !rest.is_empty() {
            let due = since + MAX_WAIT;
            self.due.insert((due, trace_id.to_bytes()));
            self.waiting.insert(trace_id, Waiting { since, due, is_ready: false, spans: rest });
        }
        let mut traces = Vec::new();
        for mut group in groups {
            if group.fate == Fate::Early && why == Why::Over {
                group.fate = self.adopt(trace_id, &mut group.spans);
            }
            let root = group.spans.first();
            let head = match group.fate {
                Fate::Whole => root.map(|root| Arc::new(Head::of(root))),
                Fate::Late | Fate::Early => {
                    root.and_then(|root| self.sent.head(trace_id, root.parent_span_id)).cloned().flatten()
                }
            };
            self.sent.remember(trace_id, &group.spans, head.as_ref());
            let trace = Trace { head, spans: group.spans, fate: group.fate };
            traces.extend(split(trace, MAX_SPANS, usize::MAX));
        }
        traces
    }

    /// Hangs spans from the local root of their trace if that was sent, as their own parent will not come.
    fn adopt(&self, trace_id: TraceId, spans: &mut [SpanData]) -> Fate {
        match (self.sent.root(trace_id), spans.first_mut()) {
            (Some(root), Some(orphan)) => {
                orphan.parent_span_id = root;
                Fate::Late
            }
            _ => Fate::Early,
        }
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

/// The spans that were sent last, by trace.
#[derive(Debug, Default)]
struct Sent {
    traces: HashMap<TraceId, SentTrace, RandomState>,
    /// What was remembered, in the order in which it was sent: how many spans, in how many bytes.
    order: VecDeque<(TraceId, usize, usize)>,
    spans: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct SentTrace {
    heads: HashMap<SpanId, Option<Arc<Head>>, RandomState>,
    /// The spans that left together, in the order in which they were sent.
    groups: VecDeque<Vec<SpanId>>,
    root: SentRoot,
}

/// The local roots of a trace that were sent.
#[derive(Clone, Copy, Debug, Default)]
enum SentRoot {
    #[default]
    None,
    One(SpanId),
    Several,
}

impl Sent {
    fn remember(&mut self, trace_id: TraceId, spans: &[SpanData], head: Option<&Arc<Head>>) {
        let trace = self.traces.entry(trace_id).or_default();
        for root in spans.iter().filter(|span| is_local_root(span)) {
            trace.root = match trace.root {
                SentRoot::None => SentRoot::One(root.span_context.span_id()),
                SentRoot::One(_) | SentRoot::Several => SentRoot::Several,
            };
        }
        let ids: Vec<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
        let bytes = 4 * size_of_val(&*ids) + head.map_or(0, |head| head.size()) + size_of::<SentTrace>();
        self.order.push_back((trace_id, ids.len(), bytes));
        self.spans += ids.len();
        self.bytes += bytes;
        trace.heads.extend(ids.iter().map(|id| (*id, head.cloned())));
        trace.groups.push_back(ids);
        while self.spans > REMEMBERED || self.bytes > REMEMBERED_BYTES {
            let Some((oldest, spans, bytes)) = self.order.pop_front() else { break };
            self.spans -= spans;
            self.bytes -= bytes;
            if let Entry::Occupied(mut trace) = self.traces.entry(oldest) {
                let SentTrace { heads, groups, .. } = trace.get_mut();
                for id in groups.pop_front().into_iter().flatten() {
                    heads.remove(&id);
                }
                if groups.is_empty() {
                    trace.remove();
                }
            }
        }
    }

    /// The head of the trace with which a span was sent; `None` if it was not, or is forgotten.
    fn head(&self, trace_id: TraceId, span_id: SpanId) -> Option<&Option<Arc<Head>>> {
        self.traces.get(&trace_id)?.heads.get(&span_id)
    }

    fn root(&self, trace_id: TraceId) -> Option<SpanId> {
        match self.traces.get(&trace_id)?.root {
            SentRoot::One(root) => Some(root),
            SentRoot::None | SentRoot::Several => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::SystemTime};

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

    /// A time at which no local root is open.
    fn at(time: Instant) -> Now<'static> {
        Now { time, is_over: &|_| true }
    }

    /// One that sends at once.
    fn assembler() -> Assembler {
        Assembler::new(Patience { grace: Duration::ZERO, traces: 100_000 })
    }

    fn id(span: &SpanData) -> u64 {
        u64::from_be_bytes(span.span_context.span_id().to_bytes())
    }

    fn ids(traces: &[Trace]) -> Vec<(Fate, Vec<u64>)> {
        traces.iter().map(|trace| (trace.fate, trace.spans.iter().map(id).collect())).collect()
    }

    #[test]
    fn a_local_root_leaves_with_all_its_descendants_in_order_of_start() {
        let mut assembler = assembler();
        let now = Instant::now();
        assert_eq!(ids(&assembler.push([span(4, 3), span(2, 1), span(3, 2)], at(now))), []);
        assert_eq!(ids(&assembler.push([span(1, 1000)], at(now))), [(Fate::Whole, vec![1, 2, 3, 4])]);
        assert_eq!(assembler.next_expiry(), None);
    }

    #[test]
    fn two_local_roots_of_one_trace_leave_apart() {
        let mut assembler = assembler();
        let now = Instant::now();
        let traces = assembler.push([span(3, 1), span(4, 2), span(1, 1000)], at(now));
        assert_eq!(ids(&traces), [(Fate::Whole, vec![1, 3])]);
        assert_eq!(ids(&assembler.push([span(2, 1000)], at(now))), [(Fate::Whole, vec![2, 4])]);
    }

    #[test]
    fn a_late_child_leaves_at_once_with_what_waited_for_it() {
        let mut assembler = assembler();
        let now = Instant::now();
        assembler.push([span(1, 0)], at(now));
        assert_eq!(ids(&assembler.push([span(3, 2)], at(now))), []);
        let traces = assembler.push([span(2, 1)], at(now));
        assert_eq!(ids(&traces), [(Fate::Late, vec![2, 3])]);
        assert!(traces[0].head.is_some(), "the head of its trace is still known");
    }

    #[test]
    fn what_waits_too_long_leaves_early_and_its_root_later() {
        let mut assembler = assembler();
        let now = Instant::now();
        assembler.push([span(3, 2), span(2, 1)], at(now));
        assert_eq!(assembler.next_expiry(), Some(now + MAX_WAIT));
        assert_eq!(ids(&assembler.expire(at(now + MAX_WAIT - Duration::from_nanos(1)))), []);
        assert_eq!(ids(&assembler.expire(at(now + MAX_WAIT))), [(Fate::Early, vec![2, 3])]);
        assert_eq!(ids(&assembler.push([span(1, 0)], at(now))), [(Fate::Whole, vec![1])]);
    }

    #[test]
    fn a_circle_of_parents_is_sent_all_the_same() {
        let mut assembler = assembler();
        assembler.push([span(1, 2), span(2, 1), span(3, 3)], at(Instant::now()));
        let sent: BTreeSet<_> = ids(&assembler.drain()).into_iter().flat_map(|(_, ids)| ids).collect();
        assert_eq!(sent, BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn spans_with_one_id_are_all_sent_within_the_limit() {
        // In the order in which they end; a circle hangs off the second span with id 5.
        let mut spans = vec![span(5, 7), span(7, 5), span(5, 1), span(1, 0)];
        spans[0].start_time += Duration::from_secs(60);
        let circle = Trace { head: None, spans: spans.clone(), fate: Fate::Whole };
        let mut assembler = assembler();
        let mut traces = assembler.push(spans, at(Instant::now()));
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
        let mut assembler = assembler();
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
            assembler.push([waiting], at(now + Duration::from_millis(number)));
        }
        assert_eq!(assembler.drain_oldest()[0].spans[0].span_context.trace_id().to_bytes()[15], 1);
        assert_eq!(assembler.expire(at(now + MAX_WAIT + Duration::from_secs(10))).len(), 10_000);
        assert_eq!(assembler.len(), 9_999);
        assert_eq!(assembler.drain().len(), 9_999);
        assert_eq!((assembler.len(), assembler.next_expiry()), (0, None));
    }

    #[test]
    fn what_is_remembered_is_bounded_in_bytes() {
        let mut assembler = assembler();
        for number in 1..=4000_u64 {
            let mut root = span(number, 0);
            root.attributes =
                vec![opentelemetry::KeyValue::new("sentry.dsc", format!("sentry-release={}", "x".repeat(8000)))];
            assembler.push([root], at(Instant::now()));
        }
        assert!(assembler.sent.bytes <= REMEMBERED_BYTES);
        assert!(assembler.sent.order.len() < 4000);
        assert_eq!(assembler.sent.order.len(), assembler.sent.traces[&T].groups.len());
        assert!(assembler.sent.head(T, SpanId::from_bytes(4000_u64.to_be_bytes())).is_some(), "the last one is known");
    }

    #[test]
    fn late_spans_join_their_root_within_the_grace() {
        let grace = Duration::from_millis(50);
        let mut assembler = Assembler::new(Patience { grace, traces: 10 });
        let now = Instant::now();
        assert_eq!(ids(&assembler.push([span(1, 0)], at(now))), []);
        assert_eq!(assembler.next_expiry(), Some(now + grace));
        assert_eq!(ids(&assembler.push([span(2, 1)], at(now + grace / 2))), []);
        assert_eq!(ids(&assembler.expire(at(now + grace))), [(Fate::Whole, vec![1, 2])]);
        assert_eq!(ids(&assembler.push([span(3, 1)], at(now + grace))), [], "late ones wait for each other, too");
        assembler.push([span(4, 3)], at(now + grace));
        assert_eq!(ids(&assembler.expire(at(now + 2 * grace))), [(Fate::Late, vec![3, 4])]);
        assembler.push([span(5, 0)], at(now + 2 * grace));
        assert_eq!(ids(&assembler.drain()), [(Fate::Whole, vec![5])], "whoever asks does not wait");
    }

    #[test]
    fn an_orphan_waits_and_then_hangs_from_its_root() {
        let mut assembler = assembler();
        let now = Instant::now();
        assert_eq!(ids(&assembler.push([span(3, 2), span(4, 3), span(1, 0)], at(now))), [(Fate::Whole, vec![1])]);
        assert_eq!(ids(&assembler.expire(at(now + MAX_WAIT - Duration::from_nanos(1)))), []);
        let orphans = assembler.expire(at(now + MAX_WAIT));
        assert_eq!(ids(&orphans), [(Fate::Late, vec![3, 4])]);
        assert_eq!(orphans[0].spans[0].parent_span_id, SpanId::from_bytes(1_u64.to_be_bytes()));
        assert!(orphans[0].head.is_some());
        // Asked for, it leaves with the parent that it has: that one may still be open.
        assembler.push([span(6, 5)], at(now + MAX_WAIT));
        assert_eq!(assembler.drain()[0].spans[0].parent_span_id, SpanId::from_bytes(5_u64.to_be_bytes()));
    }

    #[test]
    fn with_two_roots_nobody_knows_whose_child_an_orphan_is() {
        let mut assembler = assembler();
        let now = Instant::now();
        assembler.push([span(4, 3), span(1, 1000), span(2, 1000)], at(now));
        let orphans = assembler.expire(at(now + MAX_WAIT));
        assert_eq!(ids(&orphans), [(Fate::Early, vec![4])]);
        assert_eq!(orphans[0].spans[0].parent_span_id, SpanId::from_bytes(3_u64.to_be_bytes()));
    }

    #[test]
    fn while_a_root_is_open_nobody_knows_either() {
        let mut assembler = assembler();
        let now = Instant::now();
        assembler.push([span(4, 3), span(1, 1000)], at(now));
        let orphans = assembler.expire(Now { time: now + MAX_WAIT, is_over: &|_| false });
        assert_eq!(ids(&orphans), [(Fate::Early, vec![4])]);
    }

    #[test]
    fn only_so_many_traces_wait() {
        let mut assembler = Assembler::new(Patience { grace: Duration::from_millis(50), traces: 2 });
        let now = Instant::now();
        let of_trace = |number: u8, mut span: SpanData| {
            let (id, flags) = (span.span_context.span_id(), TraceFlags::SAMPLED);
            let trace_id = TraceId::from_bytes([number; 16]);
            span.span_context = SpanContext::new(trace_id, id, flags, false, TraceState::default());
            span
        };
        assert_eq!(ids(&assembler.push([of_trace(1, span(3, 2)), of_trace(2, span(1, 0))], at(now))), []);
        let traces = assembler.push([of_trace(3, span(3, 2))], at(now));
        assert_eq!(ids(&traces), [(Fate::Whole, vec![1])], "the one that is complete goes first");
        let traces = assembler.push([of_trace(4, span(3, 2))], at(now));
        assert_eq!(traces[0].spans[0].span_context.trace_id().to_bytes()[0], 1, "then the one that waited longest");
        assert_eq!(assembler.waiting.len(), assembler.due.len());
    }

    #[test]
    fn a_trace_that_lost_spans_is_forgotten() {
        let mut assembler = assembler();
        let now = Instant::now();
        assembler.push([span(3, 2), span(2, 1)], at(now));
        let (load, spans) = assembler.discard(T);
        assert_eq!((load, spans.len()), (Load::spans(2), 2));
        assert_eq!((assembler.len(), assembler.next_expiry()), (0, None));
        assert_eq!(assembler.discard(T).0, Load::default());
    }

    /// A span of a forest: its parent is an earlier one, by place; one in twelve is a local root, one in ten was lost.
    #[derive(Clone, Debug)]
    struct Node {
        parent: prop::sample::Index,
        kind: u8,
        /// When it ends, in seconds; some end long after others.
        ends: u32,
        starts: u32,
    }

    fn node() -> impl Strategy<Value = Node> {
        let ends = prop_oneof![4 => 0..3_u32, 1 => 0..1000_u32];
        (any::<prop::sample::Index>(), 0..120_u8, ends, any::<u32>()).prop_map(|(parent, kind, ends, starts)| Node {
            parent,
            kind,
            ends,
            starts,
        })
    }

    proptest! {
        /// Any forest, in any order of ending and with any clock, torn anywhere, some spans lost, others late by
        /// minutes: each span leaves exactly once, with its own parent or hung from its local root, each part begins
        /// with an ancestor of all its spans, and no part is too large.
        #[test]
        fn every_span_leaves_exactly_once(
            nodes in prop::collection::vec(node(), 1..200),
            torn in 1..20_usize,
            max in 1..30_usize,
            grace in 0..3_u64,
            traces in 1..3_usize,
        ) {
            let parent = |place: usize, node: &Node| match node.kind {
                0..10 => 1000 + place as u64,
                _ => node.parent.index(place + 1) as u64,
            };
            let mut spans: Vec<_> = nodes.iter().enumerate().map(|(place, node)| {
                let mut span = span(place as u64 + 1, parent(place, node));
                span.start_time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(node.starts));
                (node, span)
            }).collect();
            spans.retain(|(node, _)| node.kind < 108);
            spans.sort_by_key(|(node, _)| node.ends);
            let parents: HashMap<u64, SpanId> = spans.iter().map(|(_, span)| (id(span), span.parent_span_id)).collect();
            let roots: Vec<_> = spans.iter().map(|(_, span)| span).filter(|span| is_local_root(span)).cloned().collect();

            let start = Instant::now();
            let grace = Duration::from_secs(grace);
            let mut assembler = Assembler::new(Patience { grace, traces });
            let mut sent = Vec::new();
            for batch in spans.chunks(torn) {
                let ends = batch[0].0.ends;
                let is_open = spans.iter().any(|(node, span)| is_local_root(span) && node.ends >= ends);
                let is_over = |_| !is_open;
                let now = Now { time: start + Duration::from_secs(u64::from(ends)), is_over: &is_over };
                sent.extend(assembler.expire(now));
                sent.extend(assembler.push(batch.iter().map(|(_, span)| span.clone()), now));
                prop_assert_eq!(assembler.waiting.len(), assembler.due.len());
            }
            sent.extend(assembler.drain());
            prop_assert_eq!((assembler.len(), assembler.next_expiry()), (0, None));

            let parts: Vec<_> = sent.into_iter().flat_map(|trace| split(trace, max, usize::MAX)).collect();
            let mut left: Vec<_> = parts.iter().flat_map(|part| part.spans.iter().map(id)).collect();
            left.sort_unstable();
            let mut all: Vec<_> = parents.keys().copied().collect();
            all.sort_unstable();
            prop_assert_eq!(left, all);
            for part in &parts {
                prop_assert!(part.spans.len() <= max);
                let here: HashSet<_> = part.spans.iter().map(|span| span.span_context.span_id()).collect();
                prop_assert!(part.spans[1..].iter().all(|span| here.contains(&span.parent_span_id)));
                for span in &part.spans {
                    let is_adopted = || roots.len() == 1 && roots[0].span_context.span_id() == span.parent_span_id;
                    prop_assert!(span.parent_span_id == parents[&id(span)] || is_adopted());
                }
            }
        }
    }
}
