//! Numbers and answers that callers see.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::simulation::{Plan, Simulation, accepted, hangs, millis, refused, seconds};
use crate::{
    SentryExporter,
    account::DropReason,
    engine::{FlushError, order::Orders},
    transport::{Asker, Problem},
};

#[test]
fn flushes_without_a_caller_do_not_stop_a_shutdown() {
    let mut sim = Simulation::with_server(millis(20));
    sim.singles(100);
    (0..1100).for_each(|_| drop(sim.begin_flush(millis(0))));
    assert_eq!(sim.shutdown(seconds(2)), Ok(()));
    assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (100, 0));
}

#[test]
fn a_span_that_has_ended_is_counted_at_once() {
    let mut sim = Simulation::with_server(millis(20));
    sim.run_for(seconds(1));
    sim.singles(100);
    assert_eq!(sim.shared.intake.waiting() + sim.stats().spans_received, 100);
    sim.run_for(millis(1));
    assert_eq!((sim.shared.intake.waiting(), sim.stats().spans_pending), (0, 100));
    sim.settle(seconds(1));
    assert_eq!((sim.stats().spans_received, sim.stats().spans_sent), (100, 100));
}

#[test]
fn a_viewer_that_is_away_is_asked_with_growing_pauses() {
    let plan = Plan { has_spotlight: true, ..Plan::default() };
    let mut sim = Simulation::new(plan, |parcel| match parcel.is_for_spotlight {
        true => refused(),
        false => accepted(millis(20)),
    });
    for _ in 0..600 {
        sim.single("work");
        sim.run_for(seconds(1));
    }
    assert_eq!(sim.distinct(), 600);
    // 1 + 2 + 4 + 8 + 16 + 32 s, then a minute each.
    assert!((10..=18).contains(&sim.copies.len()), "{}", sim.copies.len());
}

#[test]
fn a_viewer_that_hangs_costs_a_shutdown_nothing() {
    let plan = Plan { has_spotlight: true, ..Plan::default() };
    let mut sim = Simulation::new(plan, |parcel| match parcel.is_for_spotlight {
        true => hangs(),
        false => accepted(millis(20)),
    });
    sim.singles(500);
    assert_eq!(sim.shutdown(seconds(5)), Ok(()));
    assert_eq!(sim.distinct(), 500);
    assert!(sim.time() < millis(500), "{:?}", sim.time());
}

#[test]
fn in_a_forked_process_calls_fail_at_once() {
    let exporter = SentryExporter::builder().with_dsn("http://public@127.0.0.1:1/1").build().unwrap();
    let mut engine = Arc::into_inner(exporter.into_engine().unwrap()).unwrap();
    // As in a child: another process than the one in which the worker runs.
    engine.process = 0;
    let hour = Duration::from_secs(3600);
    assert_eq!(engine.check(hour), [Problem::Forked]);
    assert_eq!(engine.flush(hour), Err(FlushError::Forked));
    assert_eq!(engine.shutdown(hour), Err(FlushError::Forked));
}

#[test]
fn a_flush_whose_time_is_over_tears_no_trace() {
    let mut sim = Simulation::with_server(millis(20));
    let trace = sim.new_trace();
    let root = sim.span(trace, 0);
    for _ in 0..3 {
        let step = sim.span(trace, u64::from_be_bytes(root.span_context.span_id().to_bytes()));
        sim.end(step);
        drop(sim.begin_flush(millis(0)));
        sim.run_for(millis(1));
    }
    assert_eq!(sim.requests.len(), 0);
    sim.end(root);
    sim.settle(seconds(1));
    assert_eq!(sim.requests.iter().map(|parcel| parcel.spans.len()).collect::<Vec<_>>(), [4]);
}

#[test]
fn a_check_that_waits_for_the_worker_keeps_the_next_one_out() {
    let mut orders = Orders::default();
    let (first, first_answer) = Asker::new();
    orders.add_check(first);
    for _ in 0..100 {
        let (next, answer) = Asker::new();
        orders.add_check(next);
        assert!(answer.try_recv().is_ok_and(|reply| reply.is_err_and(|reason| reason.contains("an earlier check"))));
    }
    assert!(orders.check.is_some() && first_answer.try_recv().is_err());
}

#[test]
fn a_bug_that_ends_the_worker_loses_no_count() {
    let mut sim = Simulation::new(Plan::default(), |_| panic!("a bug"));
    sim.singles(100);
    let flush = sim.begin_flush(seconds(5));
    // What waits in all places: requests, queue, assembler, intake.
    let trace = sim.new_trace();
    let step = sim.span(trace, 7);
    sim.end(step);
    assert!(catch_unwind(AssertUnwindSafe(|| sim.run_for(seconds(1)))).is_err());
    assert!(flush.try_recv().is_err() && sim.shared.mailbox.is_closed());
    sim.singles(10);
    let stats = sim.stats();
    assert_eq!((stats.spans_received, stats.spans_sent, stats.spans_pending, stats.spans_dropped()), (111, 0, 0, 111));
    assert_eq!(sim.dropped(DropReason::InternalSdkError), 111, "what comes later has the same reason");
}

#[test]
fn answers_that_come_after_the_account_was_closed_change_nothing() {
    let mut sim = Simulation::with_server(millis(20));
    sim.singles(100);
    sim.run_for(millis(10));
    assert!(!sim.requests.is_empty() && sim.arrived.is_empty());
    // As a shutdown does that got no answer from the worker.
    sim.shared.intake.abandon(&sim.shared.ledger);
    sim.shared.ledger.settle();
    let account = |sim: &Simulation| {
        let stats = sim.stats();
        (stats.spans_received, stats.spans_sent, stats.spans_pending, stats.dropped)
    };
    let before = account(&sim);
    assert_eq!((before.0, before.1, before.2, sim.dropped(DropReason::Shutdown)), (100, 0, 0, 100));
    sim.run_for(seconds(1));
    assert!(!sim.arrived.is_empty());
    assert_eq!(account(&sim), before);
}

#[test]
fn callers_learn_that_a_bug_has_ended_the_worker() {
    let exporter = SentryExporter::builder().with_dsn("http://public@127.0.0.1:1/1").build().unwrap();
    let engine = exporter.into_engine().unwrap();
    // As the machine does when it is dropped in a panic.
    engine.shared.mailbox.close();
    let hour = Duration::from_secs(3600);
    assert_eq!(engine.check(hour), [Problem::Stopped, Problem::NoSpans]);
    assert_eq!(engine.flush(hour), Err(FlushError::Stopped));
    assert_eq!(engine.shutdown(hour), Err(FlushError::Stopped));
}
