//! Random schedules: nothing is lost that is not counted, and nothing is counted or delivered twice.

use std::{cell::RefCell, rc::Rc};

use opentelemetry::KeyValue;
use proptest::prelude::*;

use super::{
    super::{EngineOptions, metrics::Role},
    check_ins::job,
    simulation::{Plan, Simulation, accepted, hangs, id_of, limited, millis, pad, refused, seconds, status},
};
use crate::{
    packing::Rules,
    trace::{Number, TraceLifecycle},
};

/// What the network does.
#[derive(Clone, Copy, Debug)]
enum Weather {
    Fine(u64),
    Refused,
    Hanging,
    Broken,
    Limited,
    /// A proxy answers for a server that is away.
    Gateway,
    /// One request in this many gets no answer.
    Flaky(u8),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Trace {
        children: usize,
        bytes: usize,
        is_open: bool,
        is_poison: bool,
    },
    Burst(usize),
    /// A batch of an OTLP exporter.
    Export {
        spans: u64,
        bytes: usize,
        is_poison: bool,
    },
    /// Jobs of a cron monitor, and whether they end.
    Jobs(usize, bool),
    /// Records, and whether one of them has an exception.
    Logs(usize, bool),
    /// Measurements of a counter, and their number of different attributes.
    Metrics(u64, u64),
    Wait(u64),
    Weather(Weather),
    Flush(u64),
    /// In hours.
    Jump(i64),
    DiskFails(bool),
    Kill,
    Shutdown(u64),
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        3 => (1..500_u64).prop_map(Weather::Fine),
        3 => Just(Weather::Refused),
        2 => Just(Weather::Hanging),
        1 => Just(Weather::Broken),
        1 => Just(Weather::Limited),
        1 => Just(Weather::Gateway),
        1 => (2..6_u8).prop_map(Weather::Flaky),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let trace = (0..30_usize, 0..3000_usize, any::<bool>(), prop::bool::weighted(0.2));
    prop_oneof![
        6 => trace.prop_map(|(children, bytes, is_open, is_poison)| Step::Trace { children, bytes, is_open, is_poison }),
        2 => (1..100_usize).prop_map(Step::Burst),
        3 => (1..100_u64, 0..3000_usize, prop::bool::weighted(0.2))
            .prop_map(|(spans, bytes, is_poison)| Step::Export { spans, bytes, is_poison }),
        2 => (1..20_usize, any::<bool>()).prop_map(|(count, ends)| Step::Jobs(count, ends)),
        3 => (1..700_usize, any::<bool>()).prop_map(|(count, has_error)| Step::Logs(count, has_error)),
        3 => (1..300_u64, 1..5_u64).prop_map(|(count, series)| Step::Metrics(count, series)),
        6 => prop_oneof![0..1000_u64, 0..20_000_u64, 0..400_000_u64].prop_map(Step::Wait),
        5 => weather().prop_map(Step::Weather),
        2 => (0..8000_u64).prop_map(Step::Flush),
        1 => (-100..100_i64).prop_map(Step::Jump),
        1 => any::<bool>().prop_map(Step::DiskFails),
        1 => Just(Step::Kill),
        1 => (0..5000_u64).prop_map(Step::Shutdown),
    ]
}

/// Checks the account of a process that has ended; returns what it dropped.
fn ended(sim: &Simulation) -> Result<u64, TestCaseError> {
    let stats = sim.stats();
    prop_assert!(stats.spans_spooled <= stats.spans_received, "{stats}");
    prop_assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped() + stats.spans_spooled, "{}", stats);
    prop_assert_eq!(stats.logs_received, stats.logs_sent + stats.logs_dropped() + stats.logs_spooled, "{}", stats);
    let metrics = stats.metrics_sent + stats.metrics_dropped() + stats.metrics_spooled;
    prop_assert_eq!(stats.metrics_received, metrics, "{}", stats);
    let check_ins = stats.check_ins_sent + stats.check_ins_dropped() + stats.check_ins_spooled;
    prop_assert_eq!(stats.check_ins_received, check_ins, "{}", stats);
    Ok(stats.spans_dropped())
}

fn obeys(sky: Rc<RefCell<Weather>>) -> impl FnMut(&super::simulation::Parcel) -> super::simulation::Reply {
    let mut count = 0_u8;
    move |parcel| {
        count = count.wrapping_add(1);
        match *sky.borrow() {
            _ if parcel.has("poison") => refused(),
            Weather::Fine(after) => accepted(millis(after)),
            Weather::Refused => refused(),
            Weather::Hanging => hangs(),
            Weather::Broken => status(500, millis(5)),
            Weather::Limited => limited(10),
            Weather::Gateway => status(503, millis(5)),
            Weather::Flaky(every) if count % every == 0 => refused(),
            Weather::Flaky(_) => accepted(millis(20)),
        }
    }
}

/// Ends a trace, or leaves its root open.
fn trace(sim: &mut Simulation, children: usize, bytes: usize, is_open: bool, is_poison: bool) -> u64 {
    let trace = sim.new_trace();
    let mut root = sim.span(trace, 0);
    for _ in 0..children {
        let mut child = sim.span(trace, id_of(&root));
        pad(&mut child, 0, bytes);
        sim.end(child);
    }
    if is_open {
        return children as u64;
    }
    if is_poison {
        root.name = "poison".into();
    }
    sim.end(root);
    children as u64 + 1
}

/// Few, as each of them is minutes of simulated time; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn each_span_arrives_once_or_is_counted_once_or_is_on_disk(
        steps in prop::collection::vec(step(), 1..40),
        has_dir in prop::bool::weighted(0.8),
        buffer in prop_oneof![Just(64 << 10), Just(64_usize << 20)],
        queue in prop_oneof![Just(64 << 10), Just(32_usize << 20)],
        lifecycle in prop_oneof![Just(TraceLifecycle::Transactions), Just(TraceLifecycle::Stream)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let sky = Rc::new(RefCell::new(Weather::Fine(20)));
        let engine = EngineOptions { buffer_limit: buffer, lifecycle, ..EngineOptions::default() };
        let plan = Plan {
            dir: has_dir.then(|| dir.path().to_owned()),
            disk_time: millis(3),
            engine,
            queue_limit: queue,
            rules: || Rules { exceptions_as_errors: true, ..Rules::default() },
            ..Plan::default()
        };
        let mut sim = Simulation::new(plan, obeys(Rc::clone(&sky)));
        // Spans that ended, that were dropped, and that a kill may have lost.
        let (mut all, mut dropped, mut at_risk) = (0, 0, 0);
        let mut is_killed = false;
        // Records that were emitted since the process started.
        let mut logs = 0;
        // The same for check-ins.
        let mut check_ins = 0;
        for step in steps {
            match step {
                Step::Trace { children, bytes, is_open, is_poison } => {
                    all += trace(&mut sim, children, bytes, is_open, is_poison);
                }
                Step::Burst(count) => {
                    sim.singles(count);
                    all += count as u64;
                }
                Step::Export { spans, bytes, is_poison } => {
                    let ids: Vec<_> = (0..spans).map(|_| id_of(&sim.span(1, 0))).collect();
                    sim.export_named(ids, &if is_poison { "poison" } else { "fine" }.repeat(bytes / 6 + 1));
                    all += spans;
                }
                Step::Jobs(count, ends) => {
                    for _ in 0..count {
                        let job = job(&mut sim);
                        sim.start(&job);
                        check_ins += 1;
                        if ends {
                            sim.end(job);
                            (all, check_ins) = (all + 1, check_ins + 1);
                        }
                    }
                }
                Step::Logs(count, has_error) => {
                    sim.logs(count, "a line");
                    if has_error {
                        sim.log_error("disk full");
                    }
                    logs += (count + usize::from(has_error)) as u64;
                }
                Step::Metrics(count, series) => {
                    let orders = sim.instrument("orders", Role::Sum);
                    let latency = sim.instrument("latency", Role::Values);
                    for number in 0..count {
                        let attributes = [KeyValue::new("series", (number % series) as i64)];
                        orders.measure(Number::U64(1), &attributes);
                        latency.measure(Number::U64(number), &attributes);
                    }
                }
                Step::Wait(time) => sim.run_for(millis(time)),
                Step::Weather(weather) => *sky.borrow_mut() = weather,
                Step::Flush(timeout) => drop(sim.flush(millis(timeout))),
                Step::Jump(hours) => {
                    let jump = seconds(hours.unsigned_abs() * 3600);
                    sim.jump(|wall| if hours < 0 { wall - jump } else { wall + jump });
                }
                Step::DiskFails(fails) => sim.disk_fails = fails,
                Step::Kill => {
                    let stats = sim.stats();
                    at_risk += sim.shared.intake.waiting() + stats.spans_pending;
                    dropped += stats.spans_dropped();
                    sim.kill();
                    sim.restart();
                    is_killed = true;
                    (logs, check_ins) = (0, 0);
                }
                Step::Shutdown(timeout) => {
                    let _ = sim.shutdown(millis(timeout));
                    dropped += ended(&sim)?;
                    let received = sim.stats().logs_received;
                    prop_assert!(received >= logs, "{received} of {logs} records and those that came from the disk");
                    let received = sim.stats().check_ins_received;
                    prop_assert!(received >= check_ins, "{received} of {check_ins} check-ins and those from the disk");
                    (logs, check_ins) = (0, 0);
                    sim.restart();
                }
            }
        }
        *sky.borrow_mut() = Weather::Fine(20);
        sim.disk_fails = false;
        sim.run_for(seconds(400));
        let _ = sim.shutdown(seconds(5));
        dropped += ended(&sim)?;
        let distinct = sim.distinct() as u64;
        let on_disk = sim.stats().spans_spooled;
        prop_assert!(distinct + dropped + on_disk <= all, "{distinct} + {dropped} + {on_disk} of {all}");
        prop_assert!(distinct + dropped + on_disk + at_risk >= all, "{distinct} + {dropped} + {on_disk} + {at_risk} of {all}");
        if !is_killed {
            prop_assert_eq!(sim.arrived.len() as u64, distinct, "twice");
        }
    }
}
