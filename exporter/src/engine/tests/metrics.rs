//! When metrics leave, and that no measurement is lost without being counted, or sent twice.

use std::{
    collections::BTreeMap,
    sync::{Arc, Barrier},
    thread,
};

use opentelemetry::{Context, KeyValue, SpanId, TraceFlags, TraceId, trace::TraceContextExt};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    super::{
        FlushError,
        metrics::{Instrument, Role, Sink},
    },
    simulation::{Plan, Simulation, accepted, limited_with, millis, refused, seconds},
};
use crate::{account::DropReason, packing::Rules, trace::Number};

/// The metrics that the server accepted or refused, in the order in which they were sent, with the time of their request.
pub(super) fn metrics(sim: &Simulation) -> Vec<(u128, Value)> {
    let requests = sim.requests.iter().filter(|request| request.has("\"type\":\"trace_metric\""));
    let items = requests.flat_map(|request| {
        let lines = request.text.lines().filter(|line| line.starts_with("{\"version\":2"));
        let containers = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        containers.flat_map(|container| container["items"].as_array().unwrap().clone()).map(|item| (request.at, item))
    });
    items.map(|(at, item)| (at.as_millis(), item)).collect()
}

/// The sum of what was sent under a name.
fn sum(sim: &Simulation, name: &str) -> u64 {
    metrics(sim).iter().filter(|(_, item)| item["name"] == name).map(|(_, item)| item["value"].as_u64().unwrap()).sum()
}

fn series(number: usize) -> [KeyValue; 1] {
    [KeyValue::new("series", number as i64)]
}

#[test]
fn instruments_are_collected_every_five_seconds_and_idle_ones_send_nothing() {
    let mut sim = Simulation::with_server(millis(10));
    let orders = sim.instrument("orders", Role::Sum);
    orders.measure(Number::U64(2), &series(1));
    sim.run_for(seconds(3));
    orders.measure(Number::U64(3), &series(1));
    sim.run_for(seconds(30));
    let sent = metrics(&sim);
    assert_eq!(sent.len(), 1);
    let (at, item) = &sent[0];
    assert_eq!((*at, &item["value"], &item["type"]), (5000, &5.into(), &"counter".into()));
    orders.measure(Number::U64(1), &series(1));
    sim.run_for(seconds(30));
    assert_eq!(metrics(&sim)[1].1["value"], 1, "the sum begins anew after a series was idle");
    let stats = sim.stats();
    assert_eq!((stats.metrics_received, stats.metrics_sent, stats.metrics_pending), (2, 2, 0));
}

#[test]
fn a_flush_and_a_shutdown_send_what_was_measured_and_later_measurements_are_counted() {
    let mut sim = Simulation::with_server(millis(10));
    let orders = sim.instrument("orders", Role::Sum);
    orders.measure(Number::U64(1), &[]);
    assert_eq!(sim.flush(seconds(5)), Ok(()));
    assert_eq!(sum(&sim, "orders"), 1);
    orders.measure(Number::U64(2), &[]);
    orders.measure(Number::U64(2), &series(7));
    assert_eq!(sim.shutdown(seconds(5)), Ok(()));
    assert_eq!(sum(&sim, "orders"), 5);
    orders.measure(Number::U64(2), &[]);
    orders.measure(Number::U64(2), &series(7));
    orders.measure(Number::U64(2), &series(8));
    let stats = sim.stats();
    assert_eq!((stats.metrics_received, stats.metrics_sent, stats.dropped[&DropReason::Shutdown].metrics), (6, 3, 3));
    assert!(stats.dropped[&DropReason::Shutdown].metric_bytes > 3 * 8);
}

#[test]
fn a_total_stays_and_a_gauge_keeps_its_last_value() {
    let mut sim = Simulation::with_server(millis(10));
    let (depth, level) = (sim.instrument("depth", Role::Total), sim.instrument("level", Role::Last));
    for (change, value) in [(40, 1), (-10, 2), (0, 2)] {
        depth.measure(Number::I64(change), &[]);
        level.measure(Number::U64(9), &[]);
        level.measure(Number::U64(value), &[]);
        sim.run_for(seconds(30));
    }
    let sent = metrics(&sim).into_iter().map(|(_, item)| (item["name"].clone(), item["value"].clone()));
    let sent: Vec<_> = sent.map(|(name, value)| format!("{} {value}", name.as_str().unwrap())).collect();
    assert_eq!(sent, ["depth 40", "level 1", "depth 30", "level 2", "depth 30", "level 2"]);
}

#[test]
fn of_many_values_a_hundred_are_sent_with_their_rate_and_each_knows_its_span() {
    let mut sim = Simulation::with_server(millis(10));
    let latency = sim.instrument("latency", Role::Values);
    let span = opentelemetry::trace::SpanContext::new(
        TraceId::from(5),
        SpanId::from(7),
        TraceFlags::SAMPLED,
        false,
        Default::default(),
    );
    let unsampled = opentelemetry::trace::SpanContext::new(
        TraceId::from(6),
        SpanId::from(8),
        TraceFlags::NOT_SAMPLED,
        false,
        Default::default(),
    );
    for (context, value) in [(span, 1), (unsampled, 2)] {
        let _guard = Context::new().with_remote_span_context(context).attach();
        latency.measure(Number::U64(value), &[]);
    }
    latency.measure(Number::U64(3), &[]);
    sim.run_for(seconds(6));
    let sent = metrics(&sim);
    let ids = |place: usize| (sent[place].1["trace_id"].as_str().unwrap().to_owned(), sent[place].1["span_id"].clone());
    assert_eq!(ids(0), (format!("{:032x}", 5), format!("{:016x}", 7).into()));
    assert_eq!(ids(1), (format!("{:032x}", 6), Value::Null), "a span that is not sent cannot be opened");
    assert!(ids(2).0 != format!("{:032x}", 6) && ids(2).1.is_null());
    for value in 0..1000 {
        latency.measure(Number::U64(value), &[]);
    }
    sim.run_for(seconds(6));
    let sampled = &metrics(&sim)[3..];
    assert_eq!(sampled.len(), 100);
    assert!(sampled.iter().all(|(_, item)| item["attributes"]["sentry.client_sample_rate"]["value"] == 0.1));
}

#[test]
fn above_the_limit_of_series_all_further_ones_share_one() {
    let mut sim = Simulation::with_server(millis(10));
    let orders = sim.instrument("orders", Role::Sum);
    for number in 0..10_000 {
        orders.measure(Number::U64(1), &series(number));
    }
    orders.measure(Number::U64(1), &[]);
    assert_eq!(sim.flush(seconds(60)), Ok(()));
    let sent = metrics(&sim);
    assert_eq!((sent.len(), sum(&sim, "orders")), (2002, 10_001));
    let overflow = |item: &Value| item["attributes"]["otel.metric.overflow"]["value"] == true;
    let overflow: Vec<_> = sent.iter().filter(|(_, item)| overflow(item)).collect();
    assert_eq!((overflow.len(), &overflow[0].1["value"]), (1, &8000.into()));
    // Series that stay idle make room.
    sim.run_for(seconds(20));
    for number in 20_000..22_000 {
        orders.measure(Number::U64(1), &series(number));
    }
    assert_eq!(sim.flush(seconds(60)), Ok(()));
    assert_eq!(metrics(&sim).len(), 4002);
}

#[test]
fn the_memory_of_all_series_is_limited() {
    let mut sim = Simulation::with_server(millis(10));
    let large = "x".repeat(1 << 20);
    let orders = sim.instrument("orders", Role::Sum);
    for number in 0..200 {
        orders.measure(Number::U64(1), &[KeyValue::new("text", format!("{number}{large}"))]);
    }
    assert_eq!(sim.flush(seconds(60)), Ok(()));
    assert_eq!(sum(&sim, "orders"), 200);
    assert!((2..=64).contains(&metrics(&sim).len()), "64 MiB");
    assert!(sim.stats().trimmed.values > 0, "and each item is cut to what Sentry accepts");
}

#[test]
fn hostile_names_and_numbers_cost_themselves_alone() {
    let mut sim = Simulation::with_server(millis(10));
    for name in ["", "  "] {
        let Sink::Refused(refused) = sim.sink(name, Role::Sum) else { panic!("{name:?}") };
        refused.measure(&[]);
    }
    let long = sim.instrument(&"n".repeat(100_000), Role::Sum);
    long.measure(Number::U64(1), &[]);
    let cost = sim.instrument("cost", Role::Sum);
    let level = sim.instrument("level", Role::Last);
    for number in [f64::NAN, f64::INFINITY, -1.0] {
        cost.measure(Number::F64(number), &[]);
    }
    level.measure(Number::F64(f64::NEG_INFINITY), &[]);
    cost.measure(Number::U64(u64::MAX), &[]);
    cost.measure(Number::U64(u64::MAX), &[]);
    let all = [KeyValue::new("nan", f64::NAN), KeyValue::new("", "no key"), KeyValue::new("nan", f64::NAN)];
    for _ in 0..3 {
        level.measure(Number::U64(1), &all);
    }
    assert_eq!(sim.flush(seconds(5)), Err(FlushError::MetricsUndelivered { metrics: 6 }));
    let stats = sim.stats();
    assert_eq!((stats.dropped[&DropReason::Invalid].metrics, stats.metrics_sent), (6, 3));
    let sent = metrics(&sim);
    let value = |name: &str| sent.iter().find(|(_, item)| item["name"] == name).unwrap().1["value"].clone();
    assert_eq!(value("cost"), u64::MAX, "a sum stays at its limit");
    assert_eq!(value(&"n".repeat(255)), 1);
}

#[test]
fn there_is_a_limit_of_instruments() {
    let mut sim = Simulation::with_server(millis(10));
    for number in 0..2500 {
        match sim.sink(&format!("name.{number}"), Role::Sum) {
            Sink::Instrument(instrument) if number < 2000 => instrument.measure(Number::U64(1), &[]),
            Sink::Refused(refused) if number >= 2000 => refused.measure(&[]),
            other => panic!("{number}: {other:?}"),
        }
        // The same instrument is no further one.
        assert!(matches!(sim.sink("name.0", Role::Sum), Sink::Instrument(_)));
    }
    assert_eq!(sim.flush(seconds(60)), Err(FlushError::MetricsUndelivered { metrics: 500 }));
    assert_eq!(sim.stats().dropped[&DropReason::QueueOverflow].metrics, 500);
    assert_eq!(sim.stats().metrics_sent, 2000);
}

#[test]
fn observables_are_read_at_each_collection_and_sums_are_sent_as_differences() {
    let mut sim = Simulation::with_server(millis(10));
    let counted = sim.instrument("counted", Role::ObservedSum);
    let level = sim.instrument("level", Role::Observed);
    let bad = sim.instrument("bad", Role::Observed);
    // A reset, and a time without progress.
    let readings = std::sync::Mutex::new([3_u64, 10, 10, 4].into_iter());
    let observe = move |instrument: &Instrument| {
        let reading = readings.lock().unwrap().next();
        reading.into_iter().for_each(|reading| instrument.measure(Number::U64(reading), &[]));
    };
    counted.add_callback(Arc::new(observe));
    level.add_callback(Arc::new(|instrument: &Instrument| {
        instrument.measure(Number::U64(1), &series(1));
        instrument.measure(Number::U64(2), &series(1));
    }));
    bad.add_callback(Arc::new(|_: &Instrument| panic!("a bug")));
    bad.add_callback(Arc::new(|instrument: &Instrument| {
        instrument.measure(Number::U64(5), &[]);
    }));
    sim.run_for(seconds(16));
    assert_eq!(sim.shutdown(seconds(5)), Ok(()));
    let values = |name: &str| {
        let sent = metrics(&sim);
        let of_name = sent.iter().filter(|(_, item)| item["name"] == name);
        of_name.map(|(_, item)| item["value"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(values("counted"), [3, 7, 4], "the last at the shutdown");
    assert_eq!(values("level"), [2; 4]);
    assert_eq!(values("bad"), [5; 4], "a panic costs one callback");
}

#[test]
fn hooks_change_and_drop_metrics_and_names_are_ignored() {
    fn rules() -> Rules {
        let mut rules = Rules::default();
        rules.hooks.set_metric(|mut metric| {
            assert_ne!(metric.name, "panics");
            metric.attributes.insert("seen".to_owned(), true.into());
            if metric.name == "renamed" {
                metric.name = "new name".to_owned();
                (metric.value, metric.unit) = (7.5, Some("ms".to_owned()));
            }
            (metric.name != "dropped").then_some(metric)
        });
        rules
    }
    let plan = Plan { rules, ignored_metrics: &["tokio.*"], ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| accepted(millis(1)));
    assert!(matches!(sim.sink("tokio.tasks", Role::Sum), Sink::Ignored));
    for name in ["panics", "dropped", "renamed", "kept"] {
        sim.instrument(name, Role::Sum).measure(Number::U64(u64::MAX), &[]);
    }
    assert_eq!(sim.flush(seconds(5)), Err(FlushError::MetricsUndelivered { metrics: 1 }));
    let sent: BTreeMap<_, _> = metrics(&sim).into_iter().map(|(_, item)| (item["name"].to_string(), item)).collect();
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["\"kept\"", "\"new_name\""]);
    assert_eq!((&sent["\"new_name\""]["value"], &sent["\"new_name\""]["unit"]), (&7.5.into(), &"millisecond".into()));
    assert_eq!(sent["\"kept\""]["value"], u64::MAX, "a value that the hook leaves keeps all digits");
    assert_eq!(sent["\"kept\""]["attributes"]["seen"]["value"], true);
    let dropped = sim.stats().dropped;
    let of = |reason| dropped[&reason].metrics;
    assert_eq!((of(DropReason::BeforeSend), of(DropReason::InternalSdkError)), (1, 1));
}

#[test]
fn a_limit_on_metrics_stops_metrics_alone_and_reports_have_both_categories() {
    for category in ["trace_metric", "trace_metric_byte"] {
        let mut is_limited = false;
        let limit = format!("60:{category}:organization");
        let mut sim = Simulation::new(Plan::default(), move |_| {
            let was = std::mem::replace(&mut is_limited, true);
            if was { accepted(millis(1)) } else { limited_with(200, &limit) }
        });
        sim.singles(1);
        sim.run_for(seconds(10));
        sim.instrument("orders", Role::Sum).measure(Number::U64(1), &[]);
        sim.singles(1);
        sim.run_for(seconds(10));
        let stats = sim.stats();
        let dropped = stats.dropped[&DropReason::RateLimitBackoff];
        assert_eq!((dropped.metrics, stats.spans_sent, stats.metrics_sent), (1, 2, 0), "{category}");
        sim.run_for(seconds(60));
        let report = sim.requests.iter().find(|request| request.has("client_report")).expect("a report");
        for (category, quantity) in [("trace_metric", 1), ("trace_metric_byte", dropped.metric_bytes)] {
            let entry =
                format!("{{\"reason\":\"ratelimit_backoff\",\"category\":\"{category}\",\"quantity\":{quantity}}}");
            assert!(report.has(&entry), "{entry} in {}", report.text);
        }
    }
}

#[test]
fn metrics_survive_an_outage_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { dir: Some(dir.path().to_owned()), ..Plan::default() };
    let is_up = std::rc::Rc::new(std::cell::Cell::new(false));
    let sky = std::rc::Rc::clone(&is_up);
    let mut sim = Simulation::new(plan, move |_| if sky.get() { accepted(millis(1)) } else { refused() });
    sim.instrument("orders", Role::Sum).measure(Number::U64(5), &[]);
    assert_eq!(sim.shutdown(seconds(5)), Err(FlushError::MetricsKeptOnDisk { metrics: 1 }));
    is_up.set(true);
    sim.restart();
    sim.run_for(seconds(60));
    let stats = sim.stats();
    assert_eq!((stats.metrics_received, stats.metrics_sent, stats.metrics_dropped()), (1, 1, 0));
}

const THREADS: usize = 4;
const EACH: usize = 20_000;

/// Threads that add one to changing series, as often as [`EACH`] says. They begin together with the caller.
fn adding(orders: &Arc<Instrument>) -> Vec<thread::JoinHandle<()>> {
    let start = Arc::new(Barrier::new(THREADS + 1));
    let threads = (0..THREADS).map(|thread| {
        let (orders, start) = (Arc::clone(orders), Arc::clone(&start));
        thread::spawn(move || {
            start.wait();
            (0..EACH).for_each(|number| orders.measure(Number::U64(1), &series((number / 50 + thread) % 7)));
        })
    });
    let threads = threads.collect();
    start.wait();
    threads
}

#[test]
fn what_threads_add_while_series_end_is_in_one_sum() {
    let mut sim = Simulation::with_server(millis(1));
    let orders = sim.instrument("orders", Role::Sum);
    let threads = adding(&orders);
    // Each collection ends the series that were idle in the last two.
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        sim.run_for(seconds(5));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(sim.shutdown(seconds(5)), Ok(()));
    assert_eq!(sum(&sim, "orders"), (THREADS * EACH) as u64);
    assert_eq!((sim.stats().metrics_sent, sim.stats().metrics_dropped()), (sim.stats().metrics_received, 0));
}

#[test]
fn what_threads_add_while_the_engine_closes_is_sent_or_counted() {
    let mut sim = Simulation::with_server(millis(1));
    let orders = sim.instrument("orders", Role::Sum);
    let threads = adding(&orders);
    // What a thread adds after the shutdown began is lost, and the shutdown may see it or not.
    let result = sim.shutdown(seconds(5));
    assert!(matches!(result, Ok(()) | Err(FlushError::MetricsUndelivered { .. })), "{result:?}");
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let stats = sim.stats();
    let refused = stats.dropped.get(&DropReason::Shutdown).map_or(0, |dropped| dropped.metrics);
    assert!(sum(&sim, "orders") + refused <= (THREADS * EACH) as u64);
    assert_eq!(stats.metrics_received, stats.metrics_sent + stats.metrics_dropped());
    orders.measure(Number::U64(1), &series(1));
    assert_eq!(sim.stats().metrics_dropped(), stats.metrics_dropped() + 1);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u64, usize),
    Wait(u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..1000_u64, 0..2100_usize).prop_map(|(number, series)| Step::Add(number, series)),
        2 => (0..20_000_u64).prop_map(Step::Wait),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn the_sum_of_what_is_sent_is_the_sum_of_what_was_added(
        steps in prop::collection::vec(step(), 1..60),
        crowd in 0..2100_usize,
    ) {
        let mut sim = Simulation::with_server(millis(10));
        let orders = sim.instrument("orders", Role::Sum);
        let mut added = 0;
        let mut add = |number: u64, place: usize| {
            orders.measure(Number::U64(number), &series(place));
            added += number;
        };
        (0..crowd).for_each(|place| add(1, place));
        for step in steps {
            match step {
                Step::Add(number, place) => add(number, place),
                Step::Wait(time) => sim.run_for(millis(time)),
                Step::Flush => prop_assert_eq!(sim.flush(seconds(60)), Ok(())),
            }
        }
        prop_assert_eq!(sim.shutdown(seconds(60)), Ok(()));
        prop_assert_eq!(sum(&sim, "orders"), added);
        let stats = sim.stats();
        prop_assert_eq!((stats.metrics_received, stats.metrics_dropped()), (stats.metrics_sent, 0));
    }
}
