//! More than the buffer or the queue has room for.

use opentelemetry::KeyValue;

use super::{
    super::EngineOptions,
    simulation::{Plan, Simulation, accepted, id_of, millis, pad, seconds},
};
use crate::{
    account::DropReason,
    trace::{EndedSpan, fixtures},
};

#[test]
fn an_overflow_ends_when_the_pressure_has_ended() {
    let engine = EngineOptions { buffer_limit: 1 << 20, ..EngineOptions::default() };
    let mut sim = Simulation::new(Plan { engine, ..Plan::default() }, |_| accepted(millis(20)));
    let trace = sim.new_trace();
    let job = sim.span(trace, 0);
    let burst = |sim: &mut Simulation, count: usize| {
        for _ in 0..count {
            let step = sim.span(trace, id_of(&job));
            sim.end(step);
        }
    };
    burst(&mut sim, 10_000);
    sim.run_for(seconds(2));
    let dropped = sim.dropped(DropReason::BufferOverflow);
    assert!(dropped > 1000, "{dropped}");
    sim.run_for(seconds(10));
    let before = sim.dropped(DropReason::BufferOverflow);
    burst(&mut sim, 1000);
    assert_eq!(sim.flush(seconds(5)), Err(super::super::FlushError::Undelivered { spans: before }));
    assert_eq!(sim.dropped(DropReason::BufferOverflow), before, "nothing more is lost");
    assert!(sim.distinct() >= 1000);
    assert_eq!(sim.shutdown(seconds(2)), Ok(()));
}

#[test]
fn spare_room_of_spans_takes_no_room_for_others() {
    let limit = 1 << 20;
    let engine = EngineOptions { buffer_limit: limit, ..EngineOptions::default() };
    let mut sim = Simulation::new(Plan { engine, ..Plan::default() }, |_| accepted(millis(20)));
    let trace = sim.new_trace();
    let root = sim.span(trace, 0);
    let mut ended = 0;
    for _ in 0..10 {
        let mut bytes = 0;
        while bytes < limit / 4 {
            let mut step = sim.span(trace, id_of(&root));
            step.attributes.reserve_exact(100);
            bytes += step.attributes.capacity() * size_of::<KeyValue>();
            ended += 1;
            sim.end(step);
        }
        // The spans are picked up, and wait for their root.
        sim.run_for(seconds(6));
        assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (0, 0));
    }
    assert!(sim.shared.intake.pending() < limit / 2);
    sim.end(root);
    assert_eq!(sim.flush(seconds(5)), Ok(()));
    assert_eq!((sim.distinct(), sim.stats().transactions_sent), (ended + 1, 1));
    assert_eq!(sim.shared.intake.pending(), 0);
}

#[test]
fn large_traces_lose_nothing_on_an_idle_network() {
    for has_dir in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        // As much more than the queue has room for as 40 MB are more than 32 MiB.
        let plan = Plan { dir: has_dir.then(|| dir.path().to_owned()), queue_limit: 2 << 20, ..Plan::default() };
        let mut sim = Simulation::new(plan, |_| accepted(millis(20)));
        sim.trace(29, |_, span| (0..100).for_each(|number| pad(span, number, 1000)));
        sim.settle(seconds(60));
        assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (30, 0));
        assert_eq!(sim.shutdown(seconds(2)), Ok(()));
    }
}

#[test]
fn control_characters_that_grow_as_json_lose_nothing() {
    let mut sim = Simulation::new(Plan { queue_limit: 2 << 20, ..Plan::default() }, |_| accepted(millis(20)));
    sim.trace(9, |_, span| {
        for number in 0..100 {
            span.attributes.push(KeyValue::new(format!("padding.{number}"), "\u{1}".repeat(1000)));
        }
    });
    sim.settle(seconds(60));
    assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (10, 0));
    assert_eq!((sim.shared.intake.pending(), sim.stats().queued_bytes), (0, 0));
}

#[test]
fn an_open_trace_is_not_torn_while_complete_ones_wait_in_the_buffer() {
    let (traces, children) = (300, 30);
    let size = EndedSpan::from((*fixtures::span(2, 1)).clone()).size();
    // Half of the buffer is less than they take, so they are picked up in portions.
    let engine = EngineOptions { buffer_limit: 3 * traces * children * size / 2, ..EngineOptions::default() };
    let mut sim = Simulation::new(Plan { engine, ..Plan::default() }, |_| accepted(millis(1)));
    let roots: Vec<_> = (0..=traces)
        .map(|_| {
            let trace = sim.new_trace();
            let root = sim.span(trace, 0);
            for _ in 0..children {
                let child = sim.span(trace, id_of(&root));
                sim.end(child);
            }
            root
        })
        .collect();
    let mut roots = roots.into_iter();
    let open = roots.next().unwrap();
    roots.for_each(|root| sim.end(root));
    assert!(sim.shared.intake.is_crowded());
    sim.run_for(seconds(2));
    assert_eq!((sim.distinct(), sim.stats().transactions_sent), (traces * (children + 1), traces as u64));
    sim.end(open);
    sim.settle(seconds(2));
    assert_eq!((sim.distinct(), sim.stats().transactions_sent), ((traces + 1) * (children + 1), traces as u64 + 1));
    assert_eq!((sim.stats().spans_dropped(), sim.shared.intake.pending()), (0, 0));
}

#[test]
fn a_burst_is_picked_up_at_once_although_in_portions() {
    let mut sim = Simulation::new(Plan::default(), |_| accepted(millis(1)));
    // Complete traces, and spans of one that stays open.
    let (open, traces, children) = (sim.new_trace(), 600, 30);
    let root = sim.span(open, 0);
    for _ in 0..traces {
        sim.trace(children, |_, _| {});
        let step = sim.span(open, id_of(&root));
        sim.end(step);
    }
    assert!(!sim.shared.intake.is_crowded() && sim.shared.intake.waiting() > 4 * 4096);
    sim.run_for(millis(10));
    assert_eq!(sim.shared.intake.waiting(), 0);
    sim.run_for(millis(1000));
    assert_eq!((sim.distinct(), sim.stats().transactions_sent), (traces * (children + 1), traces as u64));
    assert_eq!(sim.stats().spans_dropped(), 0);
}
