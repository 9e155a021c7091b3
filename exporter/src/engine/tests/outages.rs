//! Outages that are shorter than the time that a caller waits.

use super::simulation::{Plan, Simulation, accepted, millis, refused, seconds};

/// A server that refuses until this time.
fn away_until(end: std::time::Duration) -> Simulation {
    Simulation::new(Plan::default(), move |parcel| if parcel.at < end { refused() } else { accepted(millis(20)) })
}

#[test]
fn a_flush_or_shutdown_waits_for_the_end_of_a_short_outage() {
    for (outage, is_shutdown) in [(300, false), (700, false), (2000, false), (300, true), (700, true), (2000, true)] {
        // Once the outage begins with the call, and once before it.
        for before in [millis(0), millis(200)].into_iter().take(if outage == 700 { 2 } else { 1 }) {
            let mut sim = away_until(millis(outage) + before);
            sim.singles(500);
            sim.run_for(before);
            let result = if is_shutdown { sim.shutdown(seconds(5)) } else { sim.flush(seconds(5)) };
            assert_eq!(result, Ok(()), "after {outage} ms");
            assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (500, 0), "after {outage} ms");
            let limit = millis(2 * outage) + before + millis(500);
            assert!(sim.time() < limit, "{:?} for {outage} ms, before {before:?}, {is_shutdown}", sim.time());
        }
    }
}

#[test]
fn flushes_in_an_outage_cost_no_envelope_its_tries() {
    let mut sim = away_until(seconds(60));
    sim.singles(500);
    while sim.time() < seconds(60) {
        assert!(sim.flush(seconds(1)).is_err());
    }
    assert_eq!(sim.flush(seconds(5)), Ok(()));
    assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (500, 0));
}

#[test]
fn a_server_that_comes_and_goes_gets_everything() {
    let is_away = |at: std::time::Duration| at.as_millis() % 3000 < 1000;
    let mut sim = Simulation::new(
        Plan::default(),
        move |parcel| {
            if is_away(parcel.at) { refused() } else { accepted(millis(20)) }
        },
    );
    for _ in 0..1200 {
        sim.single("work");
        sim.run_for(millis(50));
    }
    sim.settle(seconds(120));
    assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (1200, 0));
}
