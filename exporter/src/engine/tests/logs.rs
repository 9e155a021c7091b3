//! When logs leave, and that none is lost without being counted.

use super::simulation::{Plan, Simulation, accepted, hangs, millis, refused, seconds};
use crate::{account::DropReason, engine::EngineOptions, packing::Rules};

/// The number of logs of each request, and when it was sent.
fn logs(sim: &Simulation) -> Vec<(u64, u128)> {
    let logs = sim.requests.iter().filter(|request| request.has("\"type\":\"log\""));
    logs.map(|request| (request.text.matches("\"body\"").count() as u64, request.at.as_millis())).collect()
}

#[test]
fn logs_leave_five_seconds_after_the_first_or_when_a_hundred_wait() {
    let mut sim = Simulation::with_server(millis(10));
    sim.run_for(seconds(7));
    sim.logs(1, "first");
    sim.run_for(seconds(3));
    sim.logs(1, "second");
    sim.run_for(seconds(20));
    assert_eq!(logs(&sim), [(2, 12_000)]);
    sim.logs(250, "many");
    sim.run_for(seconds(20));
    assert_eq!(logs(&sim)[1..], [(100, 30_000), (100, 30_000), (50, 35_000)]);
    sim.logs(1, "later");
    sim.run_for(seconds(20));
    assert_eq!(logs(&sim)[4..], [(1, 55_000)], "the timer starts anew");
    let stats = sim.stats();
    assert_eq!((stats.logs_received, stats.logs_sent, stats.logs_pending), (253, 253, 0));
}

#[test]
fn a_small_limit_drops_nothing_that_the_worker_can_pick_up() {
    let plan = Plan { engine: EngineOptions { log_limit: 10, ..EngineOptions::default() }, ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| accepted(millis(10)));
    for _ in 0..25 {
        sim.logs(10, "a line");
        sim.run_for(millis(10));
    }
    assert_eq!(sim.stats().logs_dropped(), 0);
    sim.run_for(seconds(20));
    assert_eq!(logs(&sim).iter().map(|(count, _)| count).collect::<Vec<_>>(), [&100, &100, &50], "envelopes stay full");
    assert_eq!(sim.stats().logs_sent, 250);
}

#[test]
fn a_flush_and_a_shutdown_send_the_lines_that_wait() {
    let mut sim = Simulation::with_server(millis(10));
    sim.logs(3, "a line");
    assert_eq!(sim.flush(seconds(5)), Ok(()));
    assert_eq!(sim.stats().logs_sent, 3);
    sim.logs(120, "a line");
    assert_eq!(sim.shutdown(seconds(5)), Ok(()));
    assert_eq!(sim.stats().logs_sent, 123);
    assert!(logs(&sim).iter().all(|(_, at)| *at < 1000));
}

#[test]
fn above_the_limit_the_newest_are_dropped_with_their_bytes() {
    let mut sim = Simulation::with_server(millis(10));
    // The worker does not run meanwhile.
    sim.logs(1007, "a line");
    let dropped = sim.stats().dropped[&DropReason::QueueOverflow];
    assert_eq!(dropped.logs, 7);
    assert_eq!(sim.flush(seconds(5)), Err(crate::FlushError::LogsUndelivered { logs: 7 }));
    assert_eq!((sim.stats().logs_sent, sim.stats().logs_received), (1000, 1007));
    // The size is that of a log that is sent, and reports have it.
    let mut other = Simulation::new(Plan { rules: dropping, ..Plan::default() }, |_| accepted(millis(1)));
    other.logs(7, "a line");
    assert_eq!(other.flush(seconds(5)), Ok(()), "the hook wanted it");
    assert_eq!(other.stats().dropped[&DropReason::BeforeSend].log_bytes, dropped.log_bytes);
    sim.run_for(seconds(60));
    let report = sim.requests.iter().find(|request| request.has("client_report")).expect("a report");
    for (category, quantity) in [("log_item", 7), ("log_byte", dropped.log_bytes)] {
        let entry = format!("{{\"reason\":\"queue_overflow\",\"category\":\"{category}\",\"quantity\":{quantity}}}");
        assert!(report.has(&entry), "{entry} in {}", report.text);
    }
}

fn dropping() -> Rules {
    let mut rules = Rules::default();
    rules.hooks.set_log(|_| None);
    rules
}

#[test]
fn a_limit_on_logs_stops_logs_alone() {
    for category in ["log_item", "log_byte"] {
        let mut is_limited = false;
        let mut sim = Simulation::new(Plan::default(), move |_| {
            let was = std::mem::replace(&mut is_limited, true);
            if was { accepted(millis(1)) } else { limited_to(category) }
        });
        sim.singles(1);
        sim.run_for(seconds(10));
        sim.logs(2, "a line");
        sim.singles(1);
        sim.run_for(seconds(10));
        let stats = sim.stats();
        assert_eq!(stats.dropped[&DropReason::RateLimitBackoff].logs, 2, "{category}");
        assert_eq!((stats.spans_sent, stats.logs_sent), (2, 0), "{category}");
    }
}

fn limited_to(category: &str) -> super::simulation::Reply {
    super::simulation::limited_with(200, &format!("60:{category}:organization"))
}

#[test]
fn while_the_queue_is_full_records_wait_and_the_machine_sleeps() {
    let plan = Plan { queue_limit: 20_000, ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| hangs());
    for _ in 0..50 {
        sim.logs(100, "a line");
        sim.run_for(millis(100));
    }
    assert!(sim.idle.len() < 100, "it woke up {} times for nothing", sim.idle.len());
    sim.run_for(seconds(100));
    let _ = sim.shutdown(seconds(5));
    let stats = sim.stats();
    assert_eq!((stats.logs_received, stats.logs_pending), (5000, 0));
    assert_eq!(stats.logs_received, stats.logs_sent + stats.logs_dropped());
}

#[test]
fn logs_survive_an_outage_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { dir: Some(dir.path().to_owned()), ..Plan::default() };
    let is_up = std::rc::Rc::new(std::cell::Cell::new(false));
    let sky = std::rc::Rc::clone(&is_up);
    let mut sim = Simulation::new(plan, move |_| if sky.get() { accepted(millis(1)) } else { refused() });
    sim.logs(5, "a line");
    assert_eq!(sim.shutdown(seconds(5)), Err(crate::FlushError::LogsKeptOnDisk { logs: 5 }));
    assert_eq!(sim.stats().logs_spooled, 5);
    is_up.set(true);
    sim.restart();
    sim.run_for(seconds(60));
    let stats = sim.stats();
    assert_eq!((stats.logs_received, stats.logs_sent, stats.logs_dropped()), (5, 5, 0));
}

#[test]
fn an_error_of_a_record_waits_for_its_span_and_leaves_without_it_after_five_seconds() {
    let rules = || Rules { exceptions_as_errors: true, ..Rules::default() };
    let mut sim = Simulation::new(Plan { rules, ..Plan::default() }, |_| accepted(millis(1)));
    sim.log_error("disk full");
    sim.run_for(seconds(30));
    let errors: Vec<_> = sim.requests.iter().filter(|request| request.is_error()).collect();
    assert_eq!(errors.iter().map(|request| request.at).collect::<Vec<_>>(), [seconds(5)]);
    assert_eq!(sim.stats().errors_sent, 1);
}

#[test]
fn large_records_do_not_wait_until_there_is_no_room() {
    let mut sim = Simulation::with_server(millis(10));
    let body = "x".repeat(500_000).leak();
    for _ in 0..60 {
        sim.logs(1, body);
        sim.run_for(millis(20));
    }
    assert_eq!(sim.flush(seconds(5)), Ok(()));
    assert_eq!((sim.stats().logs_sent, sim.stats().logs_dropped()), (60, 0));
}

#[test]
fn errors_of_large_records_leave_before_they_take_much_memory() {
    let rules = || Rules { exceptions_as_errors: true, ..Rules::default() };
    let mut sim = Simulation::new(Plan { rules, ..Plan::default() }, |_| accepted(millis(1)));
    for number in 0..60 {
        sim.log_error(format!("{number} {}", "x".repeat(400_000)).leak());
        sim.run_for(millis(20));
    }
    let errors = sim.requests.iter().filter(|request| request.is_error()).count();
    assert!(errors >= 40, "{errors} of 60 have left");
}
