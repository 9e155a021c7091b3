//! Streamed spans: nothing waits for a local root, and nothing is lost uncounted.

use opentelemetry::{KeyValue, SpanId, TraceId, trace::Event};
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;
use serde_json::Value;

use super::{
    super::EngineOptions,
    simulation::{Plan, Simulation, accepted, id_of, limited, millis, pad, refused, seconds},
};
use crate::{account::DropReason, packing::Rules, trace::TraceLifecycle};

pub(super) fn plan() -> Plan {
    let engine = EngineOptions { lifecycle: TraceLifecycle::Stream, ..EngineOptions::default() };
    Plan { engine, ..Plan::default() }
}

/// A process that streams to a server that accepts everything.
fn streaming() -> Simulation {
    Simulation::new(plan(), |_| accepted(millis(1)))
}

/// The spans in the container of a request.
fn items(text: &str) -> Vec<Value> {
    let container = text.lines().find(|line| line.starts_with(r#"{"version":2"#)).expect("a container");
    let mut json: Value = serde_json::from_str(container).expect("JSON");
    json["items"].as_array_mut().map(std::mem::take).expect("items")
}

fn ids(span: &SpanData) -> (TraceId, SpanId) {
    (span.span_context.trace_id(), span.span_context.span_id())
}

#[test]
fn a_span_arrives_within_five_seconds_whatever_its_root_does() {
    let mut sim = streaming();
    let trace = sim.new_trace();
    let root = sim.span(trace, 0);
    for minute in 0..3_u64 {
        let ended = sim.time();
        let child = sim.span(trace, id_of(&root));
        let id = id_of(&child);
        sim.end(child);
        sim.run_for(seconds(60 + minute));
        let at = sim.arrived.iter().find(|(arrived, _)| *arrived == id).map(|(_, at)| *at);
        let waited = at.expect("it has arrived") - ended;
        assert!(waited <= millis(5100), "{waited:?}");
    }
    let ended = sim.time();
    sim.end(root.clone());
    sim.run_for(seconds(10));
    let (id, at) = *sim.arrived.last().expect("the root");
    assert_eq!((id, at - ended >= millis(500), at - ended < millis(600)), (id_of(&root), true, true));
    let late = sim.span(trace, id_of(&root));
    sim.end(late);
    sim.run_for(seconds(10));
    assert_eq!((sim.arrived.len(), sim.stats().spans_sent, sim.stats().transactions_sent), (5, 5, 0));
}

#[test]
fn spans_of_a_trace_leave_a_thousand_at_a_time() {
    let mut sim = streaming();
    sim.trace(2500, |_, _| {});
    sim.run_for(seconds(1));
    let counts: Vec<_> = sim.requests.iter().map(|request| request.spans.len()).collect();
    assert_eq!(counts, [1000, 1000, 501]);
    assert!(sim.requests.iter().all(|request| request.has(r#""trace":{"environment""#)), "each has a context");
}

#[test]
fn traces_do_not_share_a_container() {
    let mut sim = streaming();
    for _ in 0..3 {
        sim.trace(1, |_, _| {});
    }
    sim.run_for(seconds(1));
    let counts: Vec<_> = sim.requests.iter().map(|request| request.spans.len()).collect();
    assert_eq!(counts, [2, 2, 2]);
}

#[test]
fn the_spans_of_a_container_name_the_root_above_them() {
    let mut sim = streaming();
    let trace = sim.new_trace();
    let (mut root, other) = (sim.span(trace, 0), sim.span(trace, 0));
    let child = sim.span(trace, id_of(&root));
    let grandchild = sim.span(trace, id_of(&child));
    let foreign = sim.span(trace, id_of(&other));
    let intake = &sim.shared.intake;
    let (trace_id, root_id) = ids(&root);
    intake.segment_started(trace_id, root_id, "GET", false);
    intake.child_started(trace_id, ids(&child).1, root_id, false);
    intake.child_started(trace_id, ids(&grandchild).1, ids(&child).1, false);
    intake.child_started(trace_id, ids(&foreign).1, ids(&other).1, false);
    root.name = "GET /users/{id}".into();
    // The child ends before the span below it.
    [child, grandchild, foreign, root].into_iter().for_each(|span| sim.end(span));
    sim.run_for(seconds(1));

    let names: Vec<_> = sim.requests.iter().flat_map(|request| items(&request.text)).collect();
    let names: Vec<_> = names.iter().map(|span| &span["attributes"]["sentry.segment.name"]["value"]).collect();
    let name = &Value::from("GET /users/{id}");
    assert_eq!(names, [name, name, &Value::Null, name], "a root that is not known is not guessed");
}

#[test]
fn an_overflow_costs_single_spans_and_not_whole_traces() {
    let engine = EngineOptions { buffer_limit: 10_000, ..plan().engine };
    let mut sim = Simulation::new(Plan { engine, ..plan() }, |_| accepted(millis(1)));
    let trace = sim.new_trace();
    for _ in 0..100 {
        let span = sim.span(trace, 1);
        sim.end(span);
    }
    sim.run_for(seconds(10));
    let first = sim.distinct();
    assert!(first > 5, "what was there before the overflow leaves");
    for _ in 0..3 {
        let span = sim.span(trace, 1);
        sim.end(span);
        sim.run_for(seconds(10));
    }
    assert_eq!(sim.distinct(), first + 3, "the trace goes on at once");
    assert_eq!(sim.dropped(DropReason::BufferOverflow) as usize, 100 - first);
}

#[test]
fn flush_and_shutdown_deliver_what_waits() {
    let mut sim = streaming();
    let trace = sim.new_trace();
    let end = |sim: &mut Simulation| {
        let span = sim.span(trace, 999);
        sim.end(span);
    };
    end(&mut sim);
    assert_eq!(sim.flush(seconds(1)), Ok(()));
    assert_eq!(sim.distinct(), 1);
    end(&mut sim);
    assert_eq!(sim.shutdown(seconds(1)), Ok(()));
    assert_eq!(sim.distinct(), 2);
}

#[test]
fn a_limit_is_counted_per_span_and_reports_speak_of_spans_alone() {
    let mut sim = Simulation::new(plan(), |request| {
        if request.spans.is_empty() || request.at > seconds(100) { accepted(millis(1)) } else { limited(60) }
    });
    sim.trace(1, |_, _| {});
    sim.run_for(seconds(2));
    sim.trace(4, |_, _| {});
    sim.run_for(seconds(58 + 60));
    assert_eq!((sim.dropped(DropReason::RateLimited), sim.dropped(DropReason::RateLimitBackoff)), (2, 5));
    sim.trace(1, |_, _| {});
    sim.run_for(seconds(60));
    assert_eq!(sim.distinct(), 2);
    let reports: Vec<_> = sim.requests.iter().filter(|request| request.has("discarded_events")).collect();
    assert!(reports.iter().any(|report| report.has(r#""category":"span","quantity":5"#)));
    assert!(reports.iter().all(|report| !report.has(r#""category":"transaction""#)));
}

#[test]
fn exceptions_become_errors_with_the_context_of_the_trace() {
    let rules = || Rules { exceptions_as_errors: true, ..Rules::default() };
    let mut sim = Simulation::new(Plan { rules, ..plan() }, |_| accepted(millis(1)));
    sim.trace(1, |_, child| {
        let attributes = vec![KeyValue::new("exception.type", "Io"), KeyValue::new("exception.message", "full")];
        child.events.events = vec![Event::new("exception", child.start_time, attributes, 0)];
    });
    sim.run_for(seconds(1));
    assert_eq!(sim.requests.iter().filter(|request| request.is_error()).count(), 1);
    assert_eq!((sim.stats().errors_sent, sim.stats().spans_sent), (1, 2));
}

#[test]
fn with_a_spool_spans_outlive_an_outage_and_the_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let plan = Plan { dir: Some(dir.path().to_owned()), ..plan() };
    let mut sim =
        Simulation::new(plan, |request| if request.at < seconds(100) { refused() } else { accepted(millis(1)) });
    for _ in 0..20 {
        sim.trace(3, |_, _| {});
    }
    sim.run_for(seconds(60));
    assert_eq!(sim.stats().spans_spooled, 80);
    sim.kill();
    sim.run_for(seconds(60));
    sim.restart();
    sim.run_for(seconds(600));
    assert_eq!(sim.distinct(), 80);
}

/// A bucket waits for five seconds. In an outage an envelope waits for five more, and for the next turn of the disk.
#[test]
fn a_kill_loses_only_what_ended_in_the_last_seconds() {
    for (is_away, most) in [(false, millis(5100)), (true, millis(11_100))] {
        let dir = tempfile::tempdir().expect("a directory");
        let plan = Plan { dir: Some(dir.path().to_owned()), ..plan() };
        let mut sim =
            Simulation::new(
                plan,
                move |request| {
                    if is_away && request.at < seconds(60) { refused() } else { accepted(millis(1)) }
                },
            );
        let trace = sim.new_trace();
        let mut ended = Vec::new();
        while sim.time() < seconds(43) {
            // The root above it stays open.
            let span = sim.span(trace, 999_999);
            ended.push((id_of(&span), sim.time()));
            sim.end(span);
            sim.run_for(millis(700));
        }
        let killed = sim.time();
        sim.kill();
        sim.restart();
        sim.run_for(seconds(600));
        let has_arrived = |id: u64| sim.arrived.iter().any(|(arrived, _)| *arrived == id);
        let lost = ended.iter().filter(|(id, _)| !has_arrived(*id)).map(|(_, at)| killed - *at);
        let oldest = lost.max().expect("what ended last is lost");
        assert!(oldest <= most, "{oldest:?}, {is_away}");
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ends { is_root: bool, bytes: usize },
    Passes { millis: u64 },
    Flushes,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), prop_oneof![4 => Just(10_usize), 1 => Just(400_000)])
            .prop_map(|(is_root, bytes)| Step::Ends { is_root, bytes }),
        3 => (0..8000_u64).prop_map(|millis| Step::Passes { millis }),
        1 => Just(Step::Flushes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_received_was_sent_or_dropped(
        steps in prop::collection::vec(step(), 1..40),
        answers in prop::collection::vec(0..4_u8, 1..20),
    ) {
        let mut answers = answers.into_iter().cycle();
        let engine = EngineOptions { buffer_limit: 2 << 20, ..plan().engine };
        let mut sim = Simulation::new(Plan { engine, ..plan() }, move |_| match answers.next() {
            Some(0) => refused(),
            Some(1) => limited(2),
            _ => accepted(millis(20)),
        });
        let trace = sim.new_trace();
        let mut ended = 0;
        for step in steps {
            match step {
                Step::Ends { is_root, bytes } => {
                    let mut span = sim.span(trace, if is_root { 0 } else { 999_999 });
                    pad(&mut span, 0, bytes);
                    sim.end(span);
                    ended += 1;
                }
                Step::Passes { millis: time } => sim.run_for(millis(time)),
                // Its result depends on the network.
                Step::Flushes => drop(sim.flush(seconds(1))),
            }
        }
        // Its result depends on the network, too.
        drop(sim.shutdown(seconds(5)));
        let stats = sim.stats();
        prop_assert_eq!(stats.spans_received, ended);
        prop_assert_eq!(stats.spans_sent + stats.spans_dropped(), ended, "{}", stats);
        prop_assert_eq!(stats.spans_pending + stats.spans_spooled, 0);
        prop_assert!(stats.spans_sent as usize <= sim.distinct());
        prop_assert_eq!(stats.transactions_sent, 0);
    }
}
