//! The assembler and the splitting of what it returns.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceState},
};
use proptest::prelude::*;
use web_time::Instant;

use super::{
    assembler::{Assembler, MAX_WAIT, OpenRoots, WaitLimits},
    ended::{EndedSpan, push_before},
    fixtures::{TRACE, id, span},
    split::{split_by_count, split_by_size},
    trace::{Fate, Trace},
    tree::without,
};
use crate::account::Counts;

/// The local roots that are open.
struct Open<'a>(&'a [u64]);

impl OpenRoots for Open<'_> {
    fn open_roots(&self, _: TraceId) -> Vec<SpanId> {
        self.0.iter().map(|id| SpanId::from_bytes(id.to_be_bytes())).collect()
    }
}

const NONE: Open<'static> = Open(&[]);

/// An assembler without a grace.
fn assembler() -> Assembler {
    Assembler::new(WaitLimits { grace: Some(Duration::ZERO), traces: 100_000 })
}

fn push(assembler: &mut Assembler, spans: impl IntoIterator<Item = EndedSpan>, now: Instant) -> Vec<Trace> {
    spans.into_iter().for_each(|span| assembler.push(span, 0, now, Duration::ZERO));
    assembler.expire(now, &NONE)
}

fn ids(traces: &[Trace]) -> Vec<(Fate, Vec<u64>)> {
    traces.iter().map(|trace| (trace.fate, trace.spans.iter().map(id).collect())).collect()
}

fn of_trace(number: u128, mut span: EndedSpan) -> EndedSpan {
    let (id, flags) = (span.span_context.span_id(), TraceFlags::SAMPLED);
    let trace_id = TraceId::from_bytes(number.to_be_bytes());
    span.data_mut().span_context = SpanContext::new(trace_id, id, flags, false, TraceState::default());
    span
}

#[test]
fn a_local_root_leaves_with_all_its_descendants_in_order_of_start() {
    let mut assembler = assembler();
    let now = Instant::now();
    assert_eq!(ids(&push(&mut assembler, [span(4, 3), span(2, 1), span(3, 2)], now)), []);
    assert_eq!(ids(&push(&mut assembler, [span(1, 1_000_000)], now)), [(Fate::Whole, vec![1, 2, 3, 4])]);
    assert_eq!((assembler.next_expiry(), assembler.len()), (None, 0));
}

#[test]
fn two_local_roots_of_one_trace_leave_one_by_one() {
    let mut assembler = assembler();
    let now = Instant::now();
    let traces = push(&mut assembler, [span(3, 1), span(4, 2), span(1, 1_000_000)], now);
    assert_eq!(ids(&traces), [(Fate::Whole, vec![1, 3])]);
    assert_eq!(ids(&push(&mut assembler, [span(2, 1_000_000)], now)), [(Fate::Whole, vec![2, 4])]);
}

#[test]
fn a_late_child_leaves_with_what_waited_for_it() {
    let mut assembler = assembler();
    let now = Instant::now();
    push(&mut assembler, [span(1, 0)], now);
    assert_eq!(ids(&push(&mut assembler, [span(3, 2)], now)), []);
    let traces = push(&mut assembler, [span(2, 1)], now);
    assert_eq!(ids(&traces), [(Fate::Late, vec![2, 3])]);
    assert!(traces[0].context.is_some(), "the context of its trace is still known");
}

#[test]
fn late_children_that_come_together_leave_together() {
    let mut assembler = assembler();
    let now = Instant::now();
    push(&mut assembler, [span(1, 0)], now);
    let late = (2..=1500).map(|id| span(id, 1));
    let traces = push(&mut assembler, late, now);
    assert_eq!(traces.len(), 1);
    assert_eq!(traces.into_iter().flat_map(split_by_count).map(|part| part.spans.len()).sum::<usize>(), 1499);
}

#[test]
fn what_waits_too_long_leaves_early_and_its_root_later() {
    let mut assembler = assembler();
    let now = Instant::now();
    push(&mut assembler, [span(3, 2), span(2, 1)], now);
    assert_eq!(assembler.next_expiry(), Some(now + MAX_WAIT));
    assert_eq!(ids(&assembler.expire(now + MAX_WAIT - Duration::from_nanos(1), &NONE)), []);
    assert_eq!(ids(&assembler.expire(now + MAX_WAIT, &NONE)), [(Fate::Early, vec![2, 3])]);
    assert_eq!(ids(&push(&mut assembler, [span(1, 0)], now)), [(Fate::Whole, vec![1])]);
}

#[test]
fn open_traces_are_one_part_for_each_open_local_root() {
    let now = Instant::now();
    let steps = || (10..110).map(|id| span(id, 1 + id % 2));
    for (open, parts) in [(&[][..], 1), (&[1], 1), (&[1, 2], 2), (&[1, 2, 3], 2), (&[1, 9], 2)] {
        let mut assembler = assembler();
        push(&mut assembler, steps(), now);
        let traces = assembler.drain(&Open(open));
        assert_eq!(traces.len(), parts, "{open:?}");
        assert!(traces.iter().all(|trace| trace.fate == Fate::Early));
        assert_eq!(traces.iter().map(|trace| trace.spans.len()).sum::<usize>(), 100);
    }
}

#[test]
fn the_parent_of_a_span_stays_true_while_it_is_open() {
    let mut assembler = assembler();
    let now = Instant::now();
    // The step ends, the root ends, and the job between them ends after six minutes.
    push(&mut assembler, [span(3, 2), span(1, 0)], now);
    let early = assembler.expire(now + MAX_WAIT, &NONE);
    assert_eq!(ids(&early), [(Fate::Early, vec![3])]);
    assert_eq!(early[0].spans[0].parent_span_id, SpanId::from_bytes(2_u64.to_be_bytes()));
    assert!(early[0].context.is_some(), "its trace is known");
    let late = push(&mut assembler, [span(2, 1)], now + MAX_WAIT);
    assert_eq!(ids(&late), [(Fate::Late, vec![2])]);
}

#[test]
fn spans_in_a_circle_of_parents_are_sent_too() {
    let mut assembler = assembler();
    push(&mut assembler, [span(1, 2), span(2, 1), span(3, 3)], Instant::now());
    let sent: BTreeSet<_> = ids(&assembler.drain(&NONE)).into_iter().flat_map(|(_, ids)| ids).collect();
    assert_eq!(sent, BTreeSet::from([1, 2, 3]));
}

#[test]
fn spans_with_one_id_are_all_sent_within_the_limit() {
    // In the order in which they end; a circle hangs off the second span with id 5.
    let mut spans = vec![span(5, 7), span(7, 5), span(5, 1), span(1, 0)];
    spans[0].data_mut().start_time += Duration::from_secs(60);
    let circle = Trace { context: None, spans: spans.clone(), fate: Fate::Whole };
    let mut assembler = assembler();
    let mut traces = push(&mut assembler, spans, Instant::now());
    traces.extend(assembler.drain(&NONE));
    assert_eq!(traces.iter().map(|trace| trace.spans.len()).sum::<usize>(), 4);
    for trace in traces.into_iter().chain([circle]) {
        let spans = trace.spans.len();
        let parts = split_by_size(trace, 1, &vec![1; spans]);
        assert_eq!(parts.len(), spans);
        assert!(parts.iter().all(|part| part.spans.len() == 1));
    }
}

#[test]
fn what_waits_for_long_is_found_in_order() {
    let mut assembler = assembler();
    let now = Instant::now();
    for number in 0..20_000_u64 {
        let waiting = of_trace(u128::from(number) + 1, span(2, 1));
        assembler.push(waiting, 0, now + Duration::from_millis(number), Duration::ZERO);
    }
    assert_eq!(assembler.drain_oldest(&NONE)[0].spans[0].span_context.trace_id().to_bytes()[15], 1);
    assert_eq!(assembler.expire(now + MAX_WAIT + Duration::from_secs(10), &NONE).len(), 10_000);
    assert_eq!(assembler.len(), 9_999);
    assert_eq!(assembler.drain(&NONE).len(), 9_999);
    assert_eq!((assembler.len(), assembler.next_expiry()), (0, None));
}

#[test]
fn late_spans_join_their_root_within_the_grace() {
    let grace = Duration::from_millis(50);
    let mut assembler = Assembler::new(WaitLimits { grace: None, traces: 10 });
    let now = Instant::now();
    let mut push = |spans: &[EndedSpan], time| {
        spans.iter().for_each(|span| assembler.push(span.clone(), 0, time, grace));
        ids(&assembler.expire(time, &NONE))
    };
    assert_eq!(push(&[span(1, 0)], now), []);
    assert_eq!(push(&[span(2, 1)], now + grace / 2), []);
    assert_eq!(push(&[], now + grace), [(Fate::Whole, vec![1, 2])]);
    assert_eq!(push(&[span(3, 1)], now + grace), [], "late ones wait for each other, too");
    assert_eq!(push(&[span(4, 3)], now + grace), []);
    assert_eq!(push(&[], now + 2 * grace), [(Fate::Late, vec![3, 4])]);
    assert_eq!(push(&[span(5, 0)], now + 2 * grace), []);
    assert_eq!(ids(&assembler.drain(&NONE)), [(Fate::Whole, vec![5])], "a flush does not wait");
}

#[test]
fn the_number_of_waiting_traces_is_limited() {
    let mut assembler = Assembler::new(WaitLimits { grace: Some(Duration::from_millis(50)), traces: 2 });
    let now = Instant::now();
    assert_eq!(ids(&push(&mut assembler, [of_trace(1, span(3, 2)), of_trace(2, span(1, 0))], now)), []);
    let traces = push(&mut assembler, [of_trace(3, span(3, 2))], now);
    assert_eq!(ids(&traces), [(Fate::Whole, vec![1])], "the one that is complete goes first");
    let traces = push(&mut assembler, [of_trace(4, span(3, 2))], now);
    assert_eq!(traces[0].spans[0].span_context.trace_id().to_bytes()[15], 1, "then the one that waited longest");
    assert_eq!(assembler.len(), 2);
}

#[test]
fn a_trace_that_lost_spans_is_discarded_with_its_bytes() {
    let mut assembler = assembler();
    let spans = [span(3, 2), span(2, 1)];
    let bytes = spans.iter().map(EndedSpan::size).sum();
    push(&mut assembler, spans, Instant::now());
    assert_eq!(assembler.discard(TRACE), (Counts::spans(2), bytes));
    assert_eq!((assembler.len(), assembler.next_expiry()), (0, None));
    assert_eq!(assembler.discard(TRACE), (Counts::default(), 0));
}

/// Shapes that a trace can have: how the parent of a span follows from its place.
type Shape = (&'static str, fn(u64) -> u64);

const SHAPES: [Shape; 5] = [
    ("flat", |_| 1),
    ("chain", |place| place),
    ("comb", |place| if place % 2 == 0 { 1 } else { place }),
    ("binary tree", |place| place.div_ceil(2)),
    ("wide below a child", |place| if place == 1 { 1 } else { 2 }),
];

#[test]
fn a_trace_of_any_shape_leaves_in_as_few_parts_as_its_spans_need() {
    for (name, parent) in SHAPES {
        for count in [1, 999, 1000, 1001, 1999, 2001, 5001] {
            let spans = (0..count).map(|place| span(place + 1, if place == 0 { 0 } else { parent(place) })).collect();
            let parts = split_by_count(Trace { context: None, spans, fate: Fate::Whole });
            assert_eq!(parts.len() as u64, count.div_ceil(1000), "{name} of {count}");
            assert_eq!(id(&parts[0].spans[0]), 1, "the root is the transaction of the first part");
            let all: BTreeSet<_> = parts.iter().flat_map(|part| &part.spans).map(id).collect();
            assert_eq!(all.len() as u64, count);
        }
    }
}

#[test]
fn small_spans_beside_a_large_one_share_parts() {
    for large in [2, 50, 301, 302] {
        let spans: Vec<_> = (1..=303).map(|number| span(number, u64::from(number > 1))).collect();
        let size = |span: &EndedSpan| if id(span) == large { 900_000 } else { 6_000 };
        let sizes: Vec<usize> = spans.iter().map(size).collect();
        let bytes: usize = sizes.iter().sum();
        let parts = split_by_size(Trace { context: None, spans, fate: Fate::Whole }, 1_000_000, &sizes);
        assert!(parts.len() <= bytes.div_ceil(1_000_000) + 1, "{}", parts.len());
        assert!(parts.iter().all(|part| part.spans.iter().map(size).sum::<usize>() <= 1_000_000));
    }
}

#[test]
fn children_of_removed_spans_move_up_and_stay_together() {
    let spans = vec![span(1, 0), span(2, 1), span(3, 2), span(4, 3), span(5, 1)];
    let left = without(spans.clone(), |span| matches!(id(span), 2 | 3));
    let parents: Vec<_> = left.iter().map(|span| span.parent_span_id.to_bytes()[7]).collect();
    assert_eq!((left.iter().map(id).collect::<Vec<_>>(), parents), (vec![1, 4, 5], vec![0, 1, 1]));
    let left = without(spans[1..].to_vec(), |span| id(span) == 2);
    assert_eq!(left.iter().map(id).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(left[0].parent_span_id, SpanId::from_bytes(1_u64.to_be_bytes()), "the parent of the removed one");
    let circle = vec![span(1, 0), span(2, 3), span(3, 2), span(4, 3)];
    assert_eq!(without(circle, |span| matches!(id(span), 2 | 3)).len(), 2);
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

fn spans_of(nodes: &[Node]) -> Vec<(u32, EndedSpan)> {
    let parent = |place: usize, node: &Node| match node.kind {
        0..10 => 1_000_000 + place as u64,
        _ => node.parent.index(place + 1) as u64,
    };
    let mut spans = Vec::new();
    for (place, node) in nodes.iter().enumerate().filter(|(_, node)| node.kind < 108) {
        let mut span = span(place as u64 + 1, parent(place, node));
        span.data_mut().start_time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(node.starts));
        spans.push((node.ends, span));
    }
    spans.sort_by_key(|(ends, _)| *ends);
    spans
}

proptest! {
    /// Any forest, in any order of ending and with any clock, torn anywhere, some spans lost, others late by minutes:
    /// each span leaves exactly once with its own parent, a local root is the first of its part, all spans of a whole
    /// trace descend from it, and no part is too large.
    #[test]
    fn every_span_leaves_exactly_once(
        nodes in prop::collection::vec(node(), 1..200),
        torn in 1..20_usize,
        max in 1..30_usize,
        grace in 0..3_u64,
        traces in 1..3_usize,
        open in prop::collection::vec(0..200_u64, 0..4),
    ) {
        let spans = spans_of(&nodes);
        let parents: HashMap<u64, SpanId> = spans.iter().map(|(_, span)| (id(span), span.parent_span_id)).collect();
        let start = Instant::now();
        let mut assembler = Assembler::new(WaitLimits { grace: Some(Duration::from_secs(grace)), traces });
        let mut sent = Vec::new();
        for batch in spans.chunks(torn) {
            let now = start + Duration::from_secs(u64::from(batch[0].0));
            sent.extend(assembler.expire(now, &Open(&open)));
            batch.iter().for_each(|(_, span)| assembler.push(span.clone(), 0, now, Duration::ZERO));
            sent.extend(assembler.expire(now, &Open(&open)));
        }
        sent.extend(assembler.drain(&Open(&open)));
        prop_assert_eq!((assembler.len(), assembler.next_expiry()), (0, None));

        for trace in sent.iter().filter(|trace| trace.fate == Fate::Whole) {
            prop_assert!(trace.spans[0].is_local_root());
            let here: HashSet<_> = trace.spans.iter().map(|span| span.span_context.span_id()).collect();
            prop_assert!(trace.spans[1..].iter().all(|span| here.contains(&span.parent_span_id)));
        }
        let in_order = |trace: &Trace| trace.spans.get(1..).is_none_or(|spans| spans.is_sorted_by_key(|s| s.start_time));
        prop_assert!(sent.iter().all(in_order));
        let parts: Vec<_> = sent.into_iter().flat_map(|trace| {
            let sizes = vec![1; trace.spans.len()];
            split_by_size(trace, max, &sizes)
        }).collect();
        let mut left: Vec<_> = parts.iter().flat_map(|part| part.spans.iter().map(id)).collect();
        left.sort_unstable();
        let mut all: Vec<_> = parents.keys().copied().collect();
        all.sort_unstable();
        prop_assert_eq!(left, all);
        for part in &parts {
            prop_assert!((1..=max).contains(&part.spans.len()));
            prop_assert!(part.spans.iter().all(|span| span.parent_span_id == parents[&id(span)]));
        }
    }
}

#[test]
fn a_list_has_room_for_what_follows_and_else_for_one() {
    let mut spans = Vec::new();
    let mut push = |id: u64, following: usize| {
        push_before(following, &mut spans, span(id, 1));
        (spans.len(), spans.capacity())
    };
    assert_eq!(push(2, 0), (1, 1));
    assert_eq!(push(3, 5), (2, 7));
    (4..8).for_each(|id| _ = push(id, 0));
    assert_eq!(push(8, 0), (7, 7));
    assert_eq!(push(9, 0), (8, 14), "it doubles, so that adding many stays cheap");
}
