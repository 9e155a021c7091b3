//! Envelopes that never get an answer, among others that do.

use std::time::Duration;

use super::simulation::{Plan, Simulation, accepted, hangs, millis, refused, seconds};
use crate::account::DropReason;

/// 20 transactions a second for 95 seconds, about one in ten of which may be poison. Returns when each of the others arrived
/// after it ended, sorted.
fn delivery_times(poison: &'static str) -> (Simulation, Vec<Duration>) {
    let mut sim = Simulation::new(Plan::default(), |parcel| match parcel.has("poison") {
        true => refused(),
        false => accepted(millis(20)),
    });
    let mut ended = std::collections::BTreeMap::new();
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..1900 {
        if random.u8(..) < 26 {
            sim.single(poison);
        } else {
            let id = sim.single("work");
            ended.insert(id, sim.time());
        }
        sim.run_for(millis(50));
    }
    let arrived = sim.arrived.iter().filter_map(|(id, at)| Some(*at - *ended.get(id)?));
    let mut times: Vec<_> = arrived.collect();
    times.sort_unstable();
    (sim, times)
}

#[test]
fn poison_delays_no_other_envelope() {
    let (_, without) = delivery_times("work");
    let (mut sim, with) = delivery_times("poison");
    assert_eq!(with.len(), without.len(), "all that are good arrived");
    assert!((1650..1750).contains(&with.len()));
    for percent in [50, 90, 99] {
        let place = with.len() * percent / 100;
        assert!(with[place] <= without[place] + millis(5), "{percent}: {:?} for {:?}", with[place], without[place]);
    }
    assert!(with[with.len() - 1] <= seconds(1), "{:?}", with[with.len() - 1]);
    let poison = 1900 - with.len() as u64;
    // While others arrive, poison is given up on.
    for _ in 0..1000 {
        sim.single("work");
        sim.run_for(millis(500));
    }
    assert_eq!((sim.dropped(DropReason::NetworkError), sim.stats().spans_dropped()), (poison, poison));
    let tries = sim.requests.iter().filter(|parcel| parcel.has("poison")).count();
    assert!(tries as u64 <= poison * 10, "{tries}");
}

#[test]
fn envelopes_that_hang_take_no_room_of_the_others() {
    let mut sim = Simulation::new(Plan::default(), |parcel| match parcel.has("poison") {
        true => hangs(),
        false => accepted(millis(20)),
    });
    let mut ended = std::collections::BTreeMap::new();
    // Two a second that hang, each for 30 seconds several times.
    for step in 0..6000 {
        let name = if step % 10 == 0 { "poison" } else { "work" };
        let id = sim.single(name);
        if name == "work" {
            ended.insert(id, sim.time());
        }
        sim.run_for(millis(50));
    }
    let arrived: Vec<_> = sim.arrived.iter().filter_map(|(id, at)| Some(*at - *ended.get(id)?)).collect();
    assert_eq!(arrived.len(), 5400);
    let slowest = arrived.into_iter().max();
    assert!(slowest.is_some_and(|slowest| slowest <= seconds(1)), "{slowest:?}");
}

#[test]
fn poison_on_disk_stops_no_other_envelope() {
    let dir = tempfile::tempdir().unwrap();
    let plan = || Plan { dir: Some(dir.path().to_owned()), ..Plan::default() };
    let mut sim = Simulation::new(plan(), |_| refused());
    sim.single("poison");
    sim.singles(49);
    assert!(sim.shutdown(seconds(2)).is_err());
    assert_eq!(sim.stats().spans_spooled, 50);
    sim.restart();
    let start = sim.time();
    sim.network = Box::new(|parcel| if parcel.has("poison") { refused() } else { accepted(millis(20)) });
    sim.run_for(seconds(2));
    assert_eq!(sim.distinct(), 49, "after {:?}", sim.time() - start);
    for _ in 0..400 {
        sim.single("work");
        sim.run_for(seconds(1));
    }
    assert_eq!((sim.dropped(DropReason::NetworkError), sim.stats().spans_dropped()), (1, 1));
    assert_eq!(sim.distinct(), 449);
    // The shutdown reports the one that was lost.
    assert!(sim.shutdown(seconds(2)).is_err());
    sim.restart();
    sim.run_for(seconds(10));
    assert_eq!(sim.stats().spans_received, 0, "nothing is left on disk");
}
