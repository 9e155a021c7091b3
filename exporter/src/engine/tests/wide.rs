//! Traces with many or large spans leave in few requests.

use super::simulation::{Plan, Simulation, accepted, id_of, millis, pad, seconds};
use crate::{account::DropReason, packing::Rules};

#[test]
fn five_thousand_children_leave_in_six_requests() {
    let mut sim = Simulation::with_server(millis(50));
    sim.trace(5000, |_, _| {});
    sim.settle(seconds(10));
    assert_eq!((sim.requests.len(), sim.distinct(), sim.arrived.len()), (6, 5001, 5001));
}

#[test]
fn small_spans_beside_a_large_one_leave_in_as_few_requests_as_their_bytes_need() {
    let mut sim = Simulation::with_server(millis(50));
    sim.trace(302, |number, span| {
        let count = if number == 150 { 700 } else { 6 };
        (0..count).for_each(|number| pad(span, number, 1000));
    });
    sim.settle(seconds(10));
    let bytes: usize = sim.requests.iter().map(|parcel| parcel.text.len()).sum();
    assert!(bytes > 1_800_000, "{bytes}");
    assert!(sim.requests.len() <= bytes.div_ceil(1_000_000) + 1, "{} for {bytes} bytes", sim.requests.len());
    assert_eq!(sim.distinct(), 303);
}

/// Opens roots, ends steps below each of them, and flushes; returns the simulation and the roots that are open.
fn flushed_with_open_roots(traces: usize, roots: usize) -> Simulation {
    let mut sim = Simulation::with_server(millis(50));
    sim.shared.intake.expect_roots();
    for _ in 0..traces {
        let trace = sim.new_trace();
        for _ in 0..roots {
            let root = sim.span(trace, 0);
            sim.shared.intake.started(root.span_context.trace_id(), root.span_context.span_id(), None);
            for _ in 0..50 {
                let step = sim.span(trace, id_of(&root));
                sim.end(step);
            }
        }
    }
    assert_eq!(sim.flush(seconds(2)), Ok(()));
    sim
}

#[test]
fn a_flush_of_open_requests_is_one_request_for_each() {
    for (traces, roots) in [(20, 1), (1, 20), (4, 5)] {
        let sim = flushed_with_open_roots(traces, roots);
        assert_eq!(sim.requests.len(), 20, "{traces} traces with {roots} roots");
        assert_eq!(sim.distinct(), 1000);
    }
}

fn without_noise() -> Rules {
    let mut rules = Rules::default();
    rules.ignored_spans.add(["noise"]);
    rules
}

#[test]
fn what_is_ignored_takes_no_room_in_a_transaction() {
    for children in [300, 9000] {
        let plan = Plan { rules: without_noise, ..Plan::default() };
        let mut sim = Simulation::new(plan, |_| accepted(millis(50)));
        sim.trace(children, |number, span| {
            if number % 10 != 0 {
                span.name = "noise".into();
            }
        });
        sim.settle(seconds(10));
        assert_eq!((sim.requests.len(), sim.distinct()), (1, 1 + children / 10));
        assert_eq!(sim.dropped(DropReason::Ignored), (children - children / 10) as u64);
    }
}

#[test]
fn a_shutdown_has_time_for_a_wide_trace() {
    let mut sim = Simulation::with_server(millis(50));
    sim.trace(5000, |_, _| {});
    assert_eq!(sim.shutdown(seconds(2)), Ok(()));
    assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (5001, 0));
    assert!(sim.time() < millis(200), "{:?}", sim.time());
}

#[test]
fn a_step_below_a_job_that_is_still_open_keeps_its_parent() {
    let mut sim = Simulation::with_server(millis(50));
    let trace = sim.new_trace();
    let root = sim.span(trace, 0);
    let job = sim.span(trace, id_of(&root));
    let step = sim.span(trace, id_of(&job));
    let (job_id, step_id) = (id_of(&job), id_of(&step));
    sim.end(step);
    sim.end(root);
    sim.run_for(seconds(360));
    sim.end(job);
    sim.run_for(seconds(10));
    assert_eq!(sim.arrived.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, step_id, job_id]);
    let parcel = sim.requests.iter().find(|parcel| parcel.spans[0] == step_id).unwrap();
    assert!(parcel.has(&format!("\"parent_span_id\":\"{job_id:016x}\"")), "{}", parcel.text);
    assert_eq!(sim.stats().spans_dropped(), 0);
}
