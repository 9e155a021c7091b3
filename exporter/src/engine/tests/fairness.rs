//! Whatever else there is to do, answers are taken and requests start.

use super::{
    super::EngineOptions,
    simulation::{Plan, Simulation, accepted, hangs, millis, seconds},
};
use crate::packing::Rules;

#[test]
fn requests_start_between_pieces_of_slow_work() {
    // A hook of a millisecond for each transaction.
    let plan = Plan { work_time: millis(1), ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| accepted(millis(20)));
    sim.singles(800);
    sim.settle(seconds(60));
    assert_eq!(sim.distinct(), 800);
    // Each transaction is prepared and packed: 1.6 s of work, and the network keeps up with it.
    assert!(sim.time() < seconds(2), "{:?}", sim.time());
    let pauses = sim.requests.windows(2).map(|pair| pair[1].at - pair[0].at).max();
    assert!(pauses.is_some_and(|pause| pause <= millis(3)), "{pauses:?}");
}

#[test]
fn spans_that_pour_in_starve_no_request() {
    let engine = EngineOptions { buffer_limit: 1 << 20, ..EngineOptions::default() };
    let plan = Plan { work_time: millis(1), engine, ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| accepted(millis(20)));
    for _ in 0..500 {
        sim.singles(10);
        sim.run_for(millis(1));
    }
    let sent = sim.stats().transactions_sent;
    let most = sim.time().as_millis() as u64 / 2;
    assert!(sent * 10 >= most * 8, "{sent} of {most}");
}

#[test]
fn callers_that_flush_all_the_time_starve_no_request() {
    let mut sim = Simulation::with_server(millis(20));
    sim.singles(800);
    while sim.time() < seconds(2) {
        (0..4).for_each(|_| drop(sim.begin_flush(millis(0))));
        sim.run_for(millis(1));
    }
    assert_eq!(sim.distinct(), 800);
}

fn with_errors() -> Rules {
    Rules { exceptions_as_errors: true, ..Rules::default() }
}

#[test]
fn transactions_that_hang_stop_no_error() {
    let plan = Plan { rules: with_errors, ..Plan::default() };
    let mut sim = Simulation::new(plan, |parcel| if parcel.is_error() { accepted(millis(20)) } else { hangs() });
    sim.singles(200);
    sim.run_for(seconds(1));
    assert_eq!(sim.requests.len(), 56);
    for _ in 0..20 {
        sim.trace(0, |_, _| {});
        let trace = sim.new_trace();
        let mut root = sim.span(trace, 0);
        root.events.events.push(opentelemetry::trace::Event::new(
            "exception",
            root.end_time,
            vec![opentelemetry::KeyValue::new("exception.type", "Broken")],
            0,
        ));
        sim.end(root);
        sim.run_for(millis(100));
    }
    assert_eq!(sim.stats().errors_sent, 20);
    assert_eq!(sim.requests.iter().filter(|parcel| !parcel.is_error()).count(), 56);
}
