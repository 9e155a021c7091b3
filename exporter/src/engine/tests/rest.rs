//! A machine without anything to do leaves the processor alone.

use std::time::Duration;

use super::simulation::{Plan, Simulation, accepted, hangs, limited, millis, refused, seconds, status};
use crate::account::{Counts, DropReason};

/// Runs for ten minutes, and checks that the machine woke up for nothing at most once a second.
fn check(name: &str, sim: &mut Simulation) {
    check_for(name, sim, seconds(600));
}

fn check_for(name: &str, sim: &mut Simulation, time: Duration) {
    sim.idle.clear();
    sim.run_for(time);
    let idle = &sim.idle;
    let most = idle.iter().map(|from| idle.iter().filter(|at| *at >= from && **at < *from + seconds(1)).count()).max();
    assert!(most.unwrap_or(0) <= 2, "{name}: {most:?} in one second");
    assert!(idle.len() as u64 <= time.as_secs(), "{name}: {} in {time:?}", idle.len());
}

fn spooling(dir: &tempfile::TempDir) -> Plan {
    Plan { dir: Some(dir.path().to_owned()), ..Plan::default() }
}

#[test]
fn no_state_of_the_network_wakes_the_machine_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for has_dir in [false, true] {
        let plan = |name: &str| Plan { dir: has_dir.then(|| dir.path().join(name)), ..Plan::default() };
        let mut idle = Simulation::new(plan("idle"), |_| accepted(millis(20)));
        check("idle", &mut idle);
        let mut outage = Simulation::new(plan("outage"), |_| refused());
        outage.singles(200);
        check("outage", &mut outage);
        let mut hanging = Simulation::new(plan("hanging"), |_| hangs());
        hanging.singles(200);
        check("hanging", &mut hanging);
        let mut limits = Simulation::new(plan("limits"), |_| limited(3600));
        limits.singles(200);
        check("limited", &mut limits);
        limits.single("work");
        check("limited with a late one", &mut limits);
        let mut broken = Simulation::new(plan("broken"), |_| status(500, millis(20)));
        broken.singles(200);
        check("refused by status", &mut broken);
        let mut poison = Simulation::new(plan("poison"), |_| refused());
        poison.single("work");
        check("poison alone", &mut poison);
    }
}

#[test]
fn an_open_root_or_a_report_wakes_the_machine_seldom() {
    let mut sim = Simulation::with_server(millis(20));
    let trace = sim.new_trace();
    let root = sim.span(trace, 0);
    let step = sim.span(trace, super::simulation::id_of(&root));
    sim.end(step);
    check("an open root", &mut sim);
    sim.network = Box::new(|_| refused());
    sim.singles(10);
    sim.run_for(seconds(5));
    // A loss to report in the pauses of an outage.
    sim.shared.ledger.received(1);
    sim.shared.ledger.dropped(DropReason::BufferOverflow, Counts::spans(1));
    check("a report in an outage", &mut sim);
}

#[test]
fn losses_do_not_wake_a_machine_that_has_only_a_viewer() {
    for is_away in [false, true] {
        let plan = Plan { has_dsn: false, has_spotlight: true, ..Plan::default() };
        let mut sim = Simulation::new(plan, move |_| if is_away { refused() } else { accepted(millis(20)) });
        sim.single("work");
        sim.shared.ledger.received(1);
        sim.shared.ledger.dropped(DropReason::SampleRate, Counts::transaction(1));
        check("viewer", &mut sim);
    }
}

#[test]
fn a_flush_or_shutdown_that_waits_does_not_spin() {
    let dir = tempfile::tempdir().unwrap();
    for (name, network) in [("refused", refused as fn() -> _), ("hangs", hangs)] {
        for has_dir in [false, true] {
            let plan = Plan { dir: has_dir.then(|| dir.path().join(name)), ..Plan::default() };
            let mut sim = Simulation::new(plan, move |_| network());
            sim.singles(200);
            let long = sim.begin_flush(seconds(60));
            let short = sim.begin_flush(seconds(1));
            check_for("flush", &mut sim, seconds(50));
            // A flush whose time ends while the shutdown waits.
            let late = sim.begin_flush(seconds(2));
            sim.shared.intake.close(DropReason::Shutdown);
            let (waiter, answer) = super::super::waiter(sim.later(seconds(120)));
            sim.leave(|orders| orders.shutdown = Some(waiter));
            check_for("shutdown", &mut sim, seconds(110));
            drop((long, short, late));
            sim.run_for(seconds(15));
            assert!(answer.try_recv().is_ok(), "{name}");
        }
    }
}

#[test]
fn a_disk_that_fails_is_left_alone_for_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let mut sim = Simulation::new(spooling(&dir), |_| refused());
    sim.disk_fails = true;
    sim.singles(200);
    check("disk", &mut sim);
    assert!(sim.failed_jobs <= 130, "{} in ten minutes", sim.failed_jobs);
}
