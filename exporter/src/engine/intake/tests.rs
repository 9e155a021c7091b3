use opentelemetry::trace::{SpanContext, TraceState};

use super::*;
use crate::trace::{
    EndedSpan,
    fixtures::{self, TRACE, span},
};

fn data(id: u64, parent: u64) -> SpanData {
    (*span(id, parent)).clone()
}

fn data_of(trace_id: TraceId) -> SpanData {
    let mut span = data(2, 1);
    let cx = span.span_context.clone();
    span.span_context = SpanContext::new(trace_id, cx.span_id(), cx.trace_flags(), false, TraceState::NONE);
    span
}

fn picked_up(intake: &Intake, ledger: &Ledger) -> Vec<EndedSpan> {
    let (mut picked, mut spans) = (PickedUp::default(), Vec::new());
    intake.drain(usize::MAX, &mut picked, ledger);
    picked.each(|span, _| spans.push(span));
    spans
}

fn drained(intake: &Intake, ledger: &Ledger) -> usize {
    let spans = picked_up(intake, ledger);
    intake.release(spans.iter().map(EndedSpan::size).sum::<usize>());
    spans.len()
}

#[test]
fn a_span_that_waits_is_counted_at_once_and_once() {
    let (intake, ledger) = (Intake::new(1 << 20), Ledger::default());
    intake.end(data(2, 1), &ledger);
    assert_eq!((intake.waiting(), ledger.stats().spans_received), (1, 0));
    assert_eq!(drained(&intake, &ledger), 1);
    assert_eq!((intake.waiting(), ledger.stats().spans_received, intake.pending()), (0, 1, 0));
}

#[test]
fn spans_are_picked_up_in_the_order_in_which_they_ended() {
    let (intake, ledger) = (Intake::new(1 << 20), Ledger::default());
    for round in [1..=3, 4..=1000, 1001..=1032, 1033..=1100] {
        round.clone().for_each(|id| intake.end(data(id, 1), &ledger));
        assert_eq!(intake.waiting(), round.clone().count() as u64);
        let spans = picked_up(&intake, &ledger);
        intake.release(spans.iter().map(EndedSpan::size).sum());
        assert_eq!(spans.iter().map(fixtures::id).collect::<Vec<_>>(), round.collect::<Vec<_>>());
    }
}

#[test]
fn a_span_for_others_is_not_counted() {
    let (intake, ledger) = (Intake::new(1 << 20), Ledger::default());
    let mut other = data(1, 0);
    other.attributes.push(not_sampled::attribute());
    intake.end(other, &ledger);
    assert_eq!(intake.waiting(), 0);
    assert_eq!(drained(&intake, &ledger), 0);
    assert_eq!((ledger.stats().spans_received, intake.pending()), (0, 0));
}

#[test]
fn a_trace_that_overflowed_is_dropped_until_the_pressure_is_over() {
    let (intake, ledger) = (Intake::new(span(2, 1).size()), Ledger::default());
    (2..4).for_each(|id| intake.end(data(id, 1), &ledger));
    assert_eq!(drained(&intake, &ledger), 1);
    intake.end(data(4, 1), &ledger);
    assert_eq!(drained(&intake, &ledger), 0, "it has a hole already");
    intake.forgive();
    intake.end(data(5, 1), &ledger);
    assert_eq!(drained(&intake, &ledger), 1);
    assert_eq!(ledger.stats().dropped[&DropReason::BufferOverflow].spans, 2);
}

#[test]
fn open_local_roots_are_known_until_they_end() {
    let (intake, ledger) = (Intake::new(1 << 20), Ledger::default());
    let id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    intake.started(TRACE, id(1), None);
    intake.started(TRACE, id(2), None);
    assert_eq!(intake.open_roots(TRACE), [id(1), id(2)]);
    intake.end(data(1, 0), &ledger);
    assert_eq!(intake.open_roots(TRACE), [id(2)]);
    intake.end(data(2, 1_000_000), &ledger);
    assert_eq!(intake.open_roots(TRACE), []);
}

#[test]
fn after_the_end_every_span_is_counted_as_dropped() {
    let (intake, ledger) = (Intake::new(1 << 20), Ledger::default());
    intake.end(data(1, 0), &ledger);
    intake.close(DropReason::Shutdown);
    intake.end(data(2, 0), &ledger);
    intake.close(DropReason::InternalSdkError);
    intake.end(data(3, 0), &ledger);
    assert_eq!(intake.abandon(&ledger), Counts::spans(1));
    assert_eq!(ledger.stats().dropped[&DropReason::Shutdown].spans, 2, "the first reason counts");
    assert_eq!((ledger.stats().spans_dropped(), ledger.stats().spans_received), (2, 3));
}

#[test]
fn the_root_above_a_streamed_span_is_known_until_the_span_ends() {
    let intake = Intake::new(1 << 20).with_lifecycle(TraceLifecycle::Stream);
    let ledger = Ledger::default();
    let id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    intake.segment_started(TRACE, id(1), "root", false);
    intake.child_started(TRACE, id(2), id(1), false);
    intake.end(data(1, 0), &ledger);
    // The root has ended, but what starts below it still names it.
    intake.child_started(TRACE, id(3), id(2), false);
    intake.child_started(TRACE, id(4), id(1), false);
    intake.child_started(TRACE, id(5), id(9), false);
    (2..6).for_each(|id| intake.end(data(id, 1), &ledger));
    let spans = picked_up(&intake, &ledger);
    let roots: Vec<_> = spans.iter().map(|span| span.segment.as_ref().map(|segment| segment.id)).collect();
    assert_eq!(roots, [Some(id(1)), Some(id(1)), Some(id(1)), Some(id(1)), None]);
}

#[test]
fn what_is_ignored_when_it_starts_is_dropped_and_counted_and_its_children_move_up() {
    let intake = Intake::new(1 << 20).with_lifecycle(TraceLifecycle::Stream);
    let ledger = Ledger::default();
    let id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    intake.segment_started(TRACE, id(1), "root", false);
    intake.child_started(TRACE, id(2), id(1), true);
    intake.child_started(TRACE, id(3), id(2), false);
    // A root that is ignored takes its tree along.
    intake.segment_started(TRACE, id(4), "health", true);
    intake.child_started(TRACE, id(5), id(4), false);
    for (span, parent) in [(3, 2), (2, 1), (5, 4), (4, 0), (1, 0)] {
        intake.end(data(span, parent), &ledger);
    }
    let spans = picked_up(&intake, &ledger);
    let sent: Vec<_> = spans.iter().map(|span| (span.span_context.span_id(), span.parent_span_id)).collect();
    assert_eq!(sent, [(id(3), id(1)), (id(1), SpanId::INVALID)]);
    let stats = ledger.stats();
    assert_eq!((stats.dropped[&DropReason::Ignored].spans, stats.spans_received), (3, 5));
    assert_eq!(intake.pending(), spans.iter().map(EndedSpan::size).sum::<usize>());
}

#[test]
fn a_stream_that_overflowed_loses_single_spans() {
    let limit = span(2, 1).size();
    let (intake, ledger) = (Intake::new(limit).with_lifecycle(TraceLifecycle::Stream), Ledger::default());
    (2..4).for_each(|id| intake.end(data(id, 1), &ledger));
    assert_eq!(drained(&intake, &ledger), 1);
    intake.end(data(4, 1), &ledger);
    assert_eq!(drained(&intake, &ledger), 1);
    let lost = ledger.stats().dropped[&DropReason::BufferOverflow];
    assert_eq!((lost.spans, lost.transactions), (1, 0));
}

#[test]
fn a_portion_leaves_the_rest_for_the_next_one() {
    let (intake, ledger) = (Intake::new(1 << 20), Ledger::default());
    let traces: Vec<_> = (0..4u128).map(|id| TraceId::from_bytes(id.to_be_bytes())).collect();
    for trace_id in &traces {
        intake.end(data_of(*trace_id), &ledger);
    }
    let (mut seen, mut picked) = (Vec::new(), PickedUp::default());
    // The second portion begins where the first one has ended, also if the first shard has got more.
    for (most, is_all) in [(1, false), (2, false), (1, false), (1, true)] {
        assert_eq!(intake.drain(most, &mut picked, &ledger), is_all);
        let mut count = 0;
        picked.each(|_, _| count += 1);
        seen.push(count);
    }
    assert_eq!((seen, intake.waiting()), (vec![1, 2, 1, 0], 0));
}

#[test]
fn in_a_flood_the_threads_that_end_spans_free_those_that_are_packed() {
    let (size, ledger) = (span(2, 1).size(), Ledger::default());
    let intake = Intake::new(1000 * size);
    let pending = || intake.pending() / size;
    let packed = |count: u64| (0..count).map(|id| span(id + 2, 1)).collect::<Vec<_>>();
    (2..202).for_each(|id| intake.end(data(id, 1), &ledger));
    assert!(intake.is_filling());
    intake.free(packed(10), 10 * size);
    assert_eq!(pending(), 200, "they wait");
    intake.free(packed(10), 10 * size);
    assert_eq!(pending(), 190, "at most a sixty-fourth of the buffer waits");
    intake.end(data(202, 1), &ledger);
    assert_eq!(pending(), 189, "one comes and two go");
    (203..207).for_each(|id| intake.end(data(id, 1), &ledger));
    assert_eq!(pending(), 185);
    intake.end(data(207, 1), &ledger);
    assert_eq!(pending(), 186, "all are free");
    intake.free(packed(10), 10 * size);
    intake.release(150 * size);
    assert_eq!(pending(), 36);
    intake.free_spent();
    assert_eq!(pending(), 26, "the flood is over");
    intake.free(packed(10), 10 * size);
    assert_eq!(pending(), 16, "without a flood they are freed at once");
}

#[test]
fn lists_come_back_empty_and_become_fewer_when_they_are_not_needed() {
    let (intake, ledger, mut picked) = (Intake::new(1 << 30), Ledger::default(), PickedUp::default());
    for round in [100, 1, 0, 1000, 33, 1, 32, 64, 64, 64] {
        (0..round).for_each(|id| intake.end(data(id + 2, 1), &ledger));
        intake.drain(usize::MAX, &mut picked, &ledger);
        let mut seen = Vec::new();
        picked.each(|span, _| seen.push(fixtures::id(&span)));
        assert_eq!(seen, (2..round + 2).collect::<Vec<_>>());
        let lists = seen.len().div_ceil(32);
        assert!((lists..=1 + 2 * lists).contains(&picked.empty.len()), "{} after {round} spans", picked.empty.len());
    }
}

/// The bytes of the lists that wait for spans.
fn empty_bytes(intake: &Intake, picked: &PickedUp) -> usize {
    let in_shards: usize = intake.shards.iter().map(|shard| lock(shard).empty_bytes()).sum();
    picked.empty.iter().map(|list| list.capacity() * size_of::<EndedSpan>()).sum::<usize>() + in_shards
}

#[test]
fn a_full_buffer_leaves_few_lists() {
    let (intake, ledger, mut picked) = (Intake::new(64 << 20), Ledger::default(), PickedUp::default());
    for round in 0..3 {
        let mut id = 1;
        while intake.pending() < 60 << 20 {
            id += 1;
            intake.end(data(id, 1), &ledger);
        }
        intake.drain(usize::MAX, &mut picked, &ledger);
        picked.each(|span, _| intake.release(span.size()));
        assert!(empty_bytes(&intake, &picked) < 4 << 20, "{} in round {round}", empty_bytes(&intake, &picked));
    }
}

#[test]
fn the_traces_of_a_quiet_service_need_no_new_lists() {
    let (intake, ledger, mut picked) = (Intake::new(64 << 20), Ledger::default(), PickedUp::default());
    let mut without = 0;
    for number in 1..=320_u128 {
        let trace_id = TraceId::from_bytes((7 * number).to_be_bytes());
        let has_list = |shard: &Shard| shard.spans.capacity() > 0 || shard.empty_bytes() > 0;
        without += usize::from(!has_list(&lock(intake.shard(trace_id))));
        intake.end(data_of(trace_id), &ledger);
        intake.drain(usize::MAX, &mut picked, &ledger);
        picked.each(|span, _| intake.release(span.size()));
    }
    // Each shard has needed one, and one more is on its way.
    assert_eq!(without, SHARDS + 1);
}
