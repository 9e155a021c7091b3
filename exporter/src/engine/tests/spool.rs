//! What a directory keeps, and what is counted.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{
    super::FlushError,
    simulation::{Plan, Simulation, accepted, hangs, millis, pad, refused, seconds},
};
use crate::account::DropReason;

fn plan(dir: &Path) -> Plan {
    Plan { dir: Some(dir.to_owned()), disk_time: millis(5), ..Plan::default() }
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Checks that each span was counted once.
fn check(sim: &Simulation) {
    let stats = sim.stats();
    assert!(stats.spans_spooled <= stats.spans_received, "{stats}");
    assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped() + stats.spans_spooled, "{stats}");
}

#[test]
fn an_outage_under_load_costs_nothing_with_and_without_a_directory() {
    let dir = dir();
    // A queue that is too small for the outage, and a buffer that is not.
    for plan in [Plan::default(), plan(dir.path())] {
        let plan = Plan { queue_limit: 2 << 20, ..plan };
        let mut sim = Simulation::new(plan, |parcel| match parcel.at < seconds(12) {
            true => refused(),
            false => accepted(millis(20)),
        });
        for _ in 0..120 {
            sim.singles(25);
            sim.run_for(millis(100));
        }
        sim.settle(seconds(60));
        assert_eq!((sim.distinct(), sim.arrived.len(), sim.stats().spans_dropped()), (3000, 3000, 0));
        assert!(sim.time() < seconds(45), "{:?}", sim.time());
        assert_eq!(sim.shutdown(seconds(2)), Ok(()));
        check(&sim);
    }
}

#[cfg(unix)]
#[test]
fn what_another_program_has_removed_is_lost_and_counted_when_the_process_ends() {
    let dir = dir();
    let path = dir.path().join("spool");
    for has_time in [true, false] {
        let mut sim = Simulation::new(plan(&path), |_| refused());
        sim.singles(20);
        sim.run_for(seconds(60));
        fs::remove_dir_all(&path).unwrap();
        sim.singles(5);
        sim.run_for(seconds(60));
        assert_eq!(sim.stats().spans_spooled, 25, "its own files can still be read");
        if has_time {
            sim.network = Box::new(|_| accepted(millis(20)));
            assert_eq!((sim.flush(seconds(10)), sim.shutdown(seconds(5))), (Ok(()), Ok(())));
            assert_eq!(sim.stats().spans_sent, 25);
        } else {
            assert_eq!(sim.shutdown(seconds(5)), Err(FlushError::Undelivered { spans: 20 }));
            let stats = sim.stats();
            assert_eq!((stats.spans_spooled, stats.dropped[&DropReason::CacheOverflow].spans), (5, 20));
        }
        check(&sim);
    }
}

#[test]
fn a_killed_process_loses_only_what_waited_less_than_ten_seconds() {
    for is_hanging in [false, true] {
        let dir = dir();
        let answer = move || if is_hanging { hangs() } else { refused() };
        let mut sim = Simulation::new(plan(dir.path()), move |_| answer());
        let mut last = Vec::new();
        for second in 0..90 {
            for _ in 0..8 {
                let id = sim.single("work");
                if second >= 80 {
                    last.push(id);
                }
            }
            sim.run_for(seconds(1));
        }
        sim.kill();
        sim.restart();
        sim.network = Box::new(|_| accepted(millis(20)));
        sim.run_for(seconds(60));
        let lost = 90 * 8 - sim.distinct();
        assert!(lost <= last.len(), "{lost} lost, hanging: {is_hanging}");
        assert_eq!(sim.shutdown(seconds(2)), Ok(()));
        check(&sim);
    }
}

#[test]
fn a_server_that_hangs_is_an_outage_after_seconds() {
    let dir = dir();
    let mut sim = Simulation::new(plan(dir.path()), |_| hangs());
    sim.singles(2000);
    sim.run_for(seconds(10));
    sim.kill();
    sim.restart();
    sim.network = Box::new(|_| accepted(millis(20)));
    sim.run_for(seconds(60));
    assert!(sim.distinct() >= 2000 - 64, "{}", sim.distinct());
}

#[test]
fn a_flush_distinguishes_what_is_on_disk_from_what_was_delivered() {
    // Also when all of it was read from the disk to ask whether the server is back.
    for count in [50, 600] {
        for wait in [0, 30, 60] {
            let dir = dir();
            let mut sim = Simulation::new(plan(dir.path()), |_| refused());
            sim.singles(count as usize);
            sim.run_for(seconds(wait));
            assert_eq!(sim.flush(seconds(2)), Err(FlushError::KeptOnDisk { spans: count }), "after {wait} s");
            assert_eq!(sim.flush(seconds(2)), Err(FlushError::KeptOnDisk { spans: count }), "once more");
            sim.network = Box::new(|_| accepted(millis(20)));
            assert_eq!(sim.flush(seconds(5)), Ok(()));
            assert_eq!(sim.distinct() as u64, count);
            assert_eq!(sim.shutdown(seconds(2)), Ok(()));
            check(&sim);
        }
    }
}

#[test]
fn a_shutdown_keeps_what_a_server_that_hangs_did_not_take() {
    let dir = dir();
    let mut sim = Simulation::new(plan(dir.path()), |_| hangs());
    sim.singles(2000);
    assert_eq!(sim.shutdown(seconds(2)), Err(FlushError::KeptOnDisk { spans: 2000 }));
    check(&sim);
    sim.restart();
    sim.network = Box::new(|_| accepted(millis(20)));
    sim.run_for(seconds(10));
    assert_eq!((sim.distinct(), sim.arrived.len()), (2000, 2000));
    assert_eq!(sim.shutdown(seconds(2)), Ok(()));
    assert_eq!(sim.stats().spans_received, 2000);
    check(&sim);
}

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let dir = dir();
    let days = |days: u64| seconds(days * 24 * 60 * 60);
    for is_back in [false, true] {
        let mut sim = Simulation::new(plan(dir.path()), |_| refused());
        for round in 0..3_u64 {
            sim.singles(100);
            sim.run_for(seconds(20));
            sim.jump(|wall| if is_back { wall - days(3 + round) } else { wall + days(3 + round) });
        }
        // What is already too old by the clock when a process begins looks like what is really too old.
        sim.jump(|_| std::time::UNIX_EPOCH + seconds(1_700_000_000));
        assert!(sim.shutdown(seconds(2)).is_err());
        sim.restart();
        sim.singles(100);
        sim.run_for(seconds(20));
        sim.jump(|wall| if is_back { wall - days(3) } else { wall + days(3) });
        sim.network = Box::new(|_| accepted(millis(20)));
        sim.run_for(seconds(70));
        assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (400, 0));
        assert_eq!(sim.shutdown(seconds(2)), Ok(()));
    }
}

#[test]
fn a_disk_that_fails_costs_nothing_that_memory_has_room_for() {
    let dir = dir();
    let plan = Plan { queue_limit: 2 << 20, ..plan(dir.path()) };
    let mut sim = Simulation::new(plan, |parcel| match parcel.at < seconds(30) {
        true => refused(),
        false => accepted(millis(20)),
    });
    sim.disk_fails = true;
    for _ in 0..30 {
        sim.singles(100);
        sim.run_for(seconds(1));
    }
    sim.settle(seconds(120));
    assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (3000, 0));
}

#[test]
fn a_disk_that_works_again_is_used_again() {
    let dir = dir();
    let mut sim = Simulation::new(plan(dir.path()), |_| refused());
    sim.disk_fails = true;
    sim.singles(100);
    sim.run_for(seconds(30));
    assert_eq!(sim.stats().spans_spooled, 0);
    sim.disk_fails = false;
    sim.run_for(seconds(10));
    sim.kill();
    sim.restart();
    sim.network = Box::new(|_| accepted(millis(20)));
    sim.run_for(seconds(10));
    assert_eq!(sim.distinct(), 100);
}

/// Ends transactions of about 200 KB each. A file on disk holds about 40 of them.
fn large(sim: &mut Simulation, count: usize) {
    for _ in 0..count {
        let trace = sim.new_trace();
        let mut root = sim.span(trace, 0);
        (0..25).for_each(|number| pad(&mut root, number, 8000));
        sim.end(root);
    }
}

#[test]
fn a_slow_disk_gets_one_job_between_two_steps() {
    let dir = dir();
    let mut sim = Simulation::new(Plan { disk_time: millis(300), ..plan(dir.path()) }, |_| refused());
    large(&mut sim, 90);
    assert_eq!(sim.flush(seconds(10)), Err(FlushError::KeptOnDisk { spans: 90 }));
    assert!(sim.jobs.len() > 3, "{:?}", sim.jobs);
    assert!(sim.jobs.iter().all(|jobs| *jobs == 1), "{:?}", sim.jobs);
}

#[test]
fn a_queue_without_room_loses_nothing_that_the_disk_takes() {
    for queue_limit in [0, 1, 4000] {
        let dir = dir();
        let plan = Plan { queue_limit, ..plan(dir.path()) };
        let mut sim = Simulation::new(plan, |parcel| match parcel.at < seconds(3) {
            true => refused(),
            false => accepted(millis(20)),
        });
        sim.singles(300);
        sim.settle(seconds(60));
        assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (300, 0), "limit {queue_limit}");
        assert_eq!(sim.shutdown(seconds(2)), Ok(()));
        check(&sim);
    }
}

#[test]
fn a_queue_without_a_limit_and_a_disk_that_fails_lose_nothing() {
    let dir = dir();
    let plan = Plan { queue_limit: usize::MAX, ..plan(dir.path()) };
    let mut sim = Simulation::new(plan, |parcel| match parcel.at < seconds(30) {
        true => refused(),
        false => accepted(millis(20)),
    });
    sim.disk_fails = true;
    sim.singles(300);
    sim.settle(seconds(120));
    assert!(sim.failed_jobs > 0);
    assert_eq!((sim.distinct(), sim.stats().spans_dropped()), (300, 0));
}

#[test]
fn a_flush_does_not_wait_for_what_another_process_has_taken_over() {
    let dir = dir();
    let mut sim = Simulation::new(plan(dir.path()), |_| refused());
    large(&mut sim, 90);
    assert_eq!(sim.flush(seconds(10)), Err(FlushError::KeptOnDisk { spans: 90 }));
    // The other process has the files that are full in its hands, and gets no answer.
    let mut other = Simulation::new(plan(dir.path()), |_| hangs());
    other.run_for(seconds(3));
    let taken = other.stats().spans_received;
    assert!((20..90).contains(&taken), "{taken}");
    sim.network = Box::new(|_| accepted(millis(20)));
    sim.run_for(seconds(120));
    assert_eq!((sim.distinct() as u64, sim.stats().spans_spooled), (90 - taken, taken));
    let start = sim.time();
    assert_eq!(sim.flush(seconds(10)), Ok(()));
    assert!(sim.time() - start < millis(100), "{:?}", sim.time() - start);
}
