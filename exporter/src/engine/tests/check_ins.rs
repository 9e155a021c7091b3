//! When the check-ins of jobs leave, in which order, and that none is lost without being counted.

use opentelemetry::{
    KeyValue, TraceFlags,
    trace::{SpanContext, Status},
};
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;

use super::{
    super::EngineOptions,
    simulation::{Plan, Reply, Simulation, accepted, hangs, limits, millis, refused, seconds, status},
};
use crate::{
    account::DropReason,
    trace::{TraceLifecycle, fixtures},
};

/// A span that is a job, without a parent.
pub(super) fn job(sim: &mut Simulation) -> SpanData {
    let trace = sim.new_trace();
    let mut span = sim.span(trace, 0);
    span.attributes.push(KeyValue::new("sentry.monitor.slug", "nightly"));
    span
}

fn is_check_in(text: &str) -> bool {
    text.contains("\"type\":\"check_in\"")
}

/// The id, the status and the time in milliseconds of each check-in that was sent.
fn check_ins(sim: &Simulation) -> Vec<(String, String, u128)> {
    let field = |text: &str, key: &str| {
        let (_, rest) = text.split_once(&format!("\"{key}\":\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let sent = sim.requests.iter().filter(|request| is_check_in(&request.text));
    sent.map(|sent| (field(&sent.text, "check_in_id"), field(&sent.text, "status"), sent.at.as_millis())).collect()
}

fn statuses(sim: &Simulation) -> Vec<(String, u128)> {
    check_ins(sim).into_iter().map(|(_, status, at)| (status, at)).collect()
}

fn expected<const N: usize>(expected: [(&str, u128); N]) -> Vec<(String, u128)> {
    expected.map(|(status, at)| (status.to_owned(), at)).into()
}

#[test]
fn a_start_leaves_at_once_and_an_end_with_the_duration_after_it() {
    for lifecycle in [TraceLifecycle::Transactions, TraceLifecycle::Stream] {
        let engine = EngineOptions { lifecycle, ..EngineOptions::default() };
        let mut sim = Simulation::new(Plan { engine, ..Plan::default() }, |_| accepted(millis(10)));
        let job = job(&mut sim);
        sim.start(&job);
        sim.run_for(seconds(60));
        sim.end(job);
        sim.run_for(seconds(60));
        assert_eq!(statuses(&sim), expected([("in_progress", 0), ("ok", 60_000)]));
        let [(first, ..), (second, ..)] = &check_ins(&sim)[..] else { panic!("two") };
        assert_eq!(first, second, "the same job");
        assert!(sim.requests.iter().any(|request| request.has("\"status\":\"ok\"") && request.has("\"duration\":1")));
        let stats = sim.stats();
        assert_eq!((stats.check_ins_received, stats.check_ins_sent, stats.check_ins_pending), (2, 2, 0));
        assert_eq!((stats.spans_received, stats.spans_sent), (1, 1));
    }
}

#[test]
fn an_end_waits_until_its_start_has_been_answered_and_the_start_of_another_job_does_not() {
    let mut sim = Simulation::new(Plan::default(), |request| {
        accepted(if request.has("in_progress") { seconds(3) } else { millis(10) })
    });
    let [mut first, second] = [(); 2].map(|()| job(&mut sim));
    first.status = Status::error("disk full");
    sim.start(&first);
    sim.end(first);
    sim.start(&second);
    sim.run_for(seconds(10));
    assert_eq!(statuses(&sim), expected([("in_progress", 0), ("in_progress", 0), ("error", 3000)]));
    assert_eq!(sim.stats().check_ins_sent, 3);
    // A flush waits for an end that is held back.
    sim.end(second);
    let third = job(&mut sim);
    sim.start(&third);
    sim.end(third);
    assert_eq!(sim.flush(seconds(10)), Ok(()));
    assert_eq!(sim.stats().check_ins_sent, 6);
    assert_eq!(check_ins(&sim).len(), 6);
}

#[test]
fn a_start_that_is_tried_again_and_one_that_is_given_up_still_leave_before_the_end() {
    let mut tries = 0;
    let mut sim = Simulation::new(Plan::default(), move |request| {
        if !request.has("in_progress") {
            return accepted(millis(10));
        }
        tries += 1;
        if tries < 3 { refused() } else { accepted(millis(10)) }
    });
    let one = job(&mut sim);
    sim.start(&one);
    sim.end(one);
    sim.run_for(seconds(120));
    let sent: Vec<_> = statuses(&sim).into_iter().map(|(status, _)| status).collect();
    assert_eq!(sent, ["in_progress", "in_progress", "in_progress", "ok"]);

    let mut sim = Simulation::new(Plan::default(), |request| {
        status(if request.has("in_progress") { 400 } else { 200 }, millis(10))
    });
    let one = job(&mut sim);
    sim.start(&one);
    sim.end(one);
    sim.run_for(seconds(10));
    let stats = sim.stats();
    assert_eq!((stats.check_ins_received, stats.check_ins_sent), (2, 1));
    assert_eq!(stats.dropped[&DropReason::SendError].check_ins, 1);
    let report = sim.requests.iter().find(|request| request.has("client_report")).expect("a report");
    assert!(report.has("{\"reason\":\"send_error\",\"category\":\"monitor\",\"quantity\":1}"), "{}", report.text);
}

#[test]
fn a_limit_on_monitors_stops_check_ins_alone() {
    let mut sim = Simulation::new(Plan::default(), |_| limits("60:monitor:organization"));
    sim.singles(1);
    sim.run_for(seconds(1));
    let one = job(&mut sim);
    sim.start(&one);
    sim.end(one);
    sim.run_for(seconds(5));
    let stats = sim.stats();
    assert_eq!((stats.spans_sent, stats.check_ins_sent, check_ins(&sim).len()), (2, 0, 0));
    assert_eq!(stats.dropped[&DropReason::RateLimitBackoff].check_ins, 2);
    assert_eq!(sim.flush(seconds(5)), Err(crate::FlushError::CheckInsUndelivered { check_ins: 2 }));
    assert_eq!(sim.flush(seconds(5)), Ok(()), "each loss is reported once");
}

#[test]
fn a_job_of_an_unsampled_trace_checks_in() {
    let mut sim = Simulation::with_server(millis(10));
    let mut one = job(&mut sim);
    let cx = &one.span_context;
    one.span_context =
        SpanContext::new(cx.trace_id(), cx.span_id(), TraceFlags::default(), false, cx.trace_state().clone());
    sim.start(&one);
    sim.run_for(seconds(1));
    sim.end(one);
    sim.run_for(seconds(10));
    assert_eq!(statuses(&sim), expected([("in_progress", 0), ("ok", 1000)]));
    assert_eq!(sim.stats().spans_received, 0);
}

#[test]
fn a_job_whose_span_is_dropped_checks_in() {
    let engine = EngineOptions { buffer_limit: 1, ..EngineOptions::default() };
    let mut sim = Simulation::new(Plan { engine, ..Plan::default() }, |_| accepted(millis(10)));
    let one = job(&mut sim);
    sim.end(one);
    sim.run_for(seconds(10));
    assert_eq!((sim.dropped(DropReason::BufferOverflow), sim.stats().check_ins_sent), (1, 1));
}

#[test]
fn above_the_limit_the_newest_check_ins_are_dropped() {
    let mut sim = Simulation::with_server(millis(10));
    // The worker does not run meanwhile.
    for _ in 0..1003 {
        let one = job(&mut sim);
        sim.start(&one);
    }
    sim.run_for(seconds(60));
    let stats = sim.stats();
    assert_eq!((stats.check_ins_received, stats.check_ins_sent), (1003, 1000));
    assert_eq!(stats.dropped[&DropReason::QueueOverflow].check_ins, 3);
}

#[test]
fn jobs_that_go_on_while_the_queue_is_full_take_a_bounded_amount_of_memory() {
    let mut sim = Simulation::new(Plan { queue_limit: 4 << 20, ..Plan::default() }, |_| hangs());
    for round in 1..=30 {
        for _ in 0..1000 {
            let one = job(&mut sim);
            sim.start(&one);
        }
        sim.run_for(seconds(1));
        let stats = sim.stats();
        assert_eq!(stats.check_ins_received, round * 1000);
        assert_eq!(stats.check_ins_received, stats.check_ins_pending + stats.check_ins_dropped());
        assert!(stats.check_ins_pending <= 20_000, "{stats}");
    }
    assert!(sim.stats().dropped[&DropReason::QueueOverflow].check_ins > 0);
    assert!(sim.shutdown(seconds(2)).is_err());
    let stats = sim.stats();
    assert_eq!((stats.check_ins_dropped(), stats.check_ins_pending), (30_000, 0));
}

#[test]
fn a_shutdown_while_a_job_runs_invents_no_end_and_counts_the_one_that_comes_later() {
    let mut sim = Simulation::with_server(millis(10));
    let one = job(&mut sim);
    sim.start(&one);
    assert_eq!(sim.shutdown(seconds(5)), Ok(()));
    assert_eq!(statuses(&sim), expected([("in_progress", 0)]));
    let late = job(&mut sim);
    sim.start(&late);
    sim.end(one);
    let stats = sim.stats();
    assert_eq!((stats.check_ins_received, stats.check_ins_sent, stats.check_ins_pending), (3, 1, 0));
    assert_eq!(stats.dropped[&DropReason::Shutdown].check_ins, 2);
}

#[test]
fn what_a_shutdown_could_not_deliver_is_counted_also_an_end_that_waits_for_its_start() {
    let mut sim = Simulation::new(Plan::default(), |_| hangs());
    let one = job(&mut sim);
    sim.start(&one);
    sim.end(one);
    assert!(sim.shutdown(seconds(2)).is_err());
    let stats = sim.stats();
    assert_eq!((stats.check_ins_received, stats.check_ins_dropped(), stats.check_ins_pending), (2, 2, 0));
}

#[test]
fn check_ins_survive_an_outage_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { dir: Some(dir.path().to_owned()), ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| refused());
    let one = job(&mut sim);
    sim.start(&one);
    sim.run_for(seconds(30));
    assert_eq!(sim.stats().check_ins_spooled, 1);
    let mut other = one.clone();
    other.attributes.clear();
    sim.end(other);
    assert!(sim.shutdown(seconds(5)).is_err());
    sim.network = Box::new(|_| accepted(millis(10)));
    sim.restart();
    sim.run_for(seconds(60));
    let stats = sim.stats();
    assert_eq!((stats.check_ins_received, stats.check_ins_sent, stats.check_ins_spooled), (1, 1, 0));

    let mut sim = Simulation::new(Plan { dir: Some(dir.path().to_owned()), ..Plan::default() }, |_| refused());
    sim.start(&one);
    assert_eq!(sim.shutdown(seconds(5)), Err(crate::FlushError::CheckInsKeptOnDisk { check_ins: 1 }));
}

#[test]
fn a_span_with_a_broken_id_makes_no_check_in() {
    let mut sim = Simulation::with_server(millis(10));
    let mut broken = (*fixtures::span(0, 0)).clone();
    broken.attributes.push(KeyValue::new("sentry.monitor.slug", "nightly"));
    sim.end(broken);
    sim.run_for(seconds(10));
    assert_eq!((sim.stats().check_ins_received, sim.dropped(DropReason::Invalid)), (0, 1));
}

/// How the server answers a request.
fn weather(number: u8) -> Reply {
    match number {
        0 => refused(),
        1 => hangs(),
        2 => status(503, millis(5)),
        _ => accepted(millis(u64::from(number) * 7)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the network does, no end is sent before the last try of its start, and the account closes.
    #[test]
    fn no_end_overtakes_its_start(
        steps in prop::collection::vec((any::<bool>(), 0..3000_u64), 1..40),
        answers in prop::collection::vec(0..100_u8, 1..20),
    ) {
        let mut number = 0;
        let mut sim = Simulation::new(Plan::default(), move |_| {
            number += 1;
            weather(answers[number % answers.len()])
        });
        let mut open = Vec::new();
        for (ends, time) in steps {
            match open.pop().filter(|_| ends) {
                Some(job) => sim.end(job),
                None => {
                    let job = job(&mut sim);
                    sim.start(&job);
                    open.push(job);
                }
            }
            sim.run_for(millis(time));
        }
        sim.run_for(seconds(600));
        let sent = check_ins(&sim);
        for (place, (id, status, _)) in sent.iter().enumerate() {
            let is_late = status == "in_progress" && sent[..place].iter().any(|(one, status, _)| one == id && status == "ok");
            prop_assert!(!is_late, "{sent:?}");
        }
        let _ = sim.shutdown(seconds(5));
        let stats = sim.stats();
        prop_assert_eq!(stats.check_ins_received, stats.check_ins_sent + stats.check_ins_dropped(), "{}", stats);
    }
}
