//! A machine without a thread, whose requests can be forgotten.

use std::time::Duration;

use http::HeaderMap;

use super::{
    super::driven::Take,
    simulation::{Simulation, accepted, millis, seconds},
};
use crate::transport::Answer;

fn ok() -> Answer {
    Answer::Status(200, HeaderMap::new())
}

#[test]
fn a_task_that_the_runtime_ends_leaves_room_for_others() {
    let mut sim = Simulation::new(Default::default(), |_| accepted(millis(1)));
    let driven = sim.driven();
    for _ in 0..100 {
        sim.trace(0, |_, _| {});
    }
    // The runtime ends every task in which a request is out. It neither answers nor drops them.
    let forgotten: Vec<_> =
        driven.take(Take::Everything, sim.clocks(Duration::ZERO)).iter().map(|out| out.id).collect();
    assert!(forgotten.len() > 8, "{}", forgotten.len());
    let too_early = sim.clocks(seconds(30) - millis(1));
    assert_eq!(driven.take(Take::Everything, too_early).len(), 0, "they may still be answered");
    assert!(driven.due_in(too_early) <= millis(1));

    // Later tasks deliver everything, each time when the machine says so.
    let mut time = seconds(30);
    for _ in 0..100 {
        for outgoing in driven.take(Take::Ready, sim.clocks(time)) {
            driven.answered(outgoing.id, ok(), sim.clocks(time));
        }
        time += driven.due_in(sim.clocks(time));
    }
    let stats = sim.stats();
    assert_eq!((stats.spans_sent, stats.spans_pending, stats.spans_lost()), (100, 0, 0), "{stats:?}");
    // An answer that comes after all changes nothing.
    for id in forgotten {
        driven.answered(id, ok(), sim.clocks(time));
    }
    assert_eq!(sim.stats(), stats);
}
