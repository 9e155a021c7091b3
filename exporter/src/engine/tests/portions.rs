//! Spans that wait in a part of the intake to which a round of portions has not come yet.

use super::{
    super::{EngineOptions, driven::Take},
    simulation::{Plan, Simulation, accepted, hangs, id_of, millis, seconds},
    stream,
};

/// More than a portion.
const MANY: usize = 6000;

/// The id of a new trace whose spans wait in this shard.
fn trace_in(sim: &mut Simulation, shard: u128) -> u128 {
    loop {
        let trace = sim.new_trace();
        if trace % 16 == shard {
            return trace;
        }
    }
}

/// Ends spans of one trace whose root stays open.
fn end_under_an_open_root(sim: &mut Simulation, shard: u128, count: usize) {
    let trace = trace_in(sim, shard);
    let root = sim.span(trace, 0);
    for _ in 0..count {
        let step = sim.span(trace, id_of(&root));
        sim.end(step);
    }
}

#[test]
fn a_late_span_is_in_its_transaction_however_many_others_wait() {
    for (others, shard) in [(100, 1), (MANY, 1), (MANY, 15), (3 * MANY, 1)] {
        let mut sim = Simulation::new(Plan::default(), |_| accepted(millis(1)));
        sim.shared.intake.expect_roots();
        let trace = trace_in(&mut sim, 9);
        let root = sim.span(trace, 0);
        let late = sim.span(trace, id_of(&root));
        let ids = [id_of(&root), id_of(&late)];
        sim.end(root);
        sim.run_for(millis(5));
        sim.end(late);
        end_under_an_open_root(&mut sim, shard, others);
        sim.run_for(seconds(2));
        let is_whole = sim.requests.iter().any(|request| ids.iter().all(|id| request.spans.contains(id)));
        assert!(is_whole, "{others} others in shard {shard}");
    }
}

#[test]
fn many_small_traces_stay_whole_beside_a_batch_job() {
    let mut sim = Simulation::new(Plan::default(), |_| accepted(millis(1)));
    sim.shared.intake.expect_roots();
    let mut pairs = Vec::new();
    for _ in 0..20 {
        let mut all_late = Vec::new();
        for shard in 0..16 {
            let trace = trace_in(&mut sim, shard);
            let root = sim.span(trace, 0);
            let late = sim.span(trace, id_of(&root));
            pairs.push([id_of(&root), id_of(&late)]);
            sim.end(root);
            all_late.push(late);
        }
        sim.run_for(millis(1));
        all_late.into_iter().for_each(|late| sim.end(late));
        (0..16).for_each(|shard| end_under_an_open_root(&mut sim, shard, 400));
        sim.run_for(millis(60));
    }
    sim.run_for(seconds(2));
    let is_whole = |ids: &&[u64; 2]| sim.requests.iter().any(|request| ids.iter().all(|id| request.spans.contains(id)));
    assert_eq!((pairs.iter().filter(is_whole).count(), sim.stats().spans_dropped()), (pairs.len(), 0));
}

#[test]
fn a_streamed_span_leaves_in_time_however_many_others_wait() {
    for (others, shard) in [(10, 0), (MANY, 0), (MANY, 15), (3 * MANY, 0)] {
        let mut sim = Simulation::new(stream::plan(), |_| accepted(millis(1)));
        sim.run_for(millis(100));
        let trace = trace_in(&mut sim, 9);
        let step = sim.span(trace, 1_000_000);
        let (id, ended) = (id_of(&step), sim.time());
        sim.end(step);
        end_under_an_open_root(&mut sim, shard, others);
        sim.run_for(seconds(20));
        let (_, arrived) = sim.arrived.iter().find(|(arrived, _)| *arrived == id).expect("it arrives");
        assert!(*arrived - ended < millis(5100), "{:?} beside {others} others", *arrived - ended);
    }
}

#[test]
fn a_round_goes_on_while_the_queue_is_full_and_then_rests() {
    let mut sim = Simulation::new(Plan { queue_limit: 64 << 10, ..Plan::default() }, |_| hangs());
    (0..900).for_each(|_| _ = sim.trace(30, |_, _| {}));
    sim.run_for(millis(500));
    assert_eq!(sim.shared.intake.waiting(), 0);
    let before = sim.idle.len();
    sim.run_for(seconds(60));
    assert!(sim.idle.len() - before < 100, "{}", sim.idle.len() - before);
}

#[test]
fn a_round_ends_in_time_however_slow_packing_is() {
    let mut sim = Simulation::new(Plan { work_time: millis(20), ..Plan::default() }, |_| accepted(millis(1)));
    (0..600).for_each(|_| _ = sim.trace(30, |_, _| {}));
    sim.run_for(seconds(4));
    assert!(sim.shared.intake.waiting() > MANY as u64, "what is ready is packed before");
    sim.run_for(seconds(2));
    assert_eq!(sim.shared.intake.waiting(), 0);
}

#[test]
fn nothing_packed_stays_in_a_driven_engine() {
    for engine in [EngineOptions::default(), stream::plan().engine] {
        let engine = EngineOptions { buffer_limit: 4 << 20, ..engine };
        let mut sim = Simulation::new(Plan { engine, ..Plan::default() }, |_| accepted(millis(1)));
        let driven = sim.driven();
        (0..30).for_each(|_| _ = sim.trace(99, |_, _| {}));
        let now = sim.clocks(millis(0));
        // Packing waits for room in the queue, so it can take several calls.
        while sim.stats().spans_sent < 3000 {
            let all = driven.take(Take::Everything, now);
            assert!(!all.is_empty(), "{}", sim.stats());
            all.into_iter().for_each(|request| driven.answered(request.id, accepted(millis(0)).answer, now));
        }
        assert_eq!((driven.result(now), sim.shared.intake.pending()), (Ok(()), 0));
    }
}
