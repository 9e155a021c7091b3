//! The cost of a measurement for the thread that makes it: our meter provider beside the SDK's.
//!
//! ```sh
//! cargo bench -p opentelemetry-sentry-benches --bench metrics
//! ```
//!
//! The SDK's provider has a periodic reader and an exporter that does nothing. Both collect while the bench runs, each on a
//! thread of its own. The series exist already, so neither may allocate. Times are medians of rounds in which the two take
//! turns; with `threads`, four threads measure at once, each a series of its own.

use std::{
    env,
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{SdkMeterProvider, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
};
use opentelemetry_sentry_benches::{
    counting::{Counting, count},
    doors::{PATIENCE, accepted},
    timing::median,
};
use opentelemetry_sentry_exporter::SentryMeterProvider;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const THREADS: usize = 4;

fn main() {
    let is_test = env::args().any(|argument| argument == "--test");
    let (rounds, calls) = if is_test { (1, 10) } else { (101, 20_000) };
    let sdk = SdkMeterProvider::builder().with_periodic_exporter(Nothing).build();
    let ours = SentryMeterProvider::from(accepted().build().expect("a valid setup and a thread"));
    println!("nanoseconds of a measurement, median of {rounds} rounds of {calls} each\n");
    println!("{:38} | {:>7} | {:>7} | ratio | allocations of ours", "measurement", "SDK", "ours");
    let meters = [sdk.meter("bench"), ours.meter("bench")];
    for number in [0, 1, 3] {
        let attributes = attributes(number, 0);
        let counters = meters.each_ref().map(|meter| meter.u64_counter("orders").build());
        report(&format!("Counter<u64>::add, {number} attributes"), rounds, calls, |place| {
            counters[place].add(black_box(1), black_box(&attributes));
        });
        let counters = meters.each_ref().map(|meter| meter.f64_counter("cost").build());
        report(&format!("Counter<f64>::add, {number} attributes"), rounds, calls, |place| {
            counters[place].add(black_box(1.5), black_box(&attributes));
        });
        let histograms = meters.each_ref().map(|meter| meter.f64_histogram("latency").build());
        report(&format!("Histogram<f64>::record, {number} attributes"), rounds, calls, |place| {
            histograms[place].record(black_box(12.5), black_box(&attributes));
        });
    }
    threads(&meters, rounds.min(21), calls);
    ours.shutdown(PATIENCE).expect("everything is accepted");
    sdk.shutdown().expect("a shutdown");
}

fn attributes(number: usize, series: i64) -> Vec<KeyValue> {
    let all = [
        KeyValue::new("http.route", "/products/{id}"),
        KeyValue::new("http.response.status_code", 200),
        KeyValue::new("series", series),
    ];
    all.into_iter().take(number).collect()
}

/// Measures both sides in turns.
fn report(name: &str, rounds: usize, calls: usize, measure: impl Fn(usize)) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (place, times) in times.iter_mut().enumerate() {
            measure(place);
            let start = Instant::now();
            (0..calls).for_each(|_| measure(place));
            times.push(start.elapsed().as_secs_f64() * 1e9 / calls as f64);
        }
    }
    let [sdk, ours] = times.map(median);
    let allocated = count(|| (0..calls).for_each(|_| measure(1))).own as f64 / calls as f64;
    println!("{name:38} | {sdk:7.1} | {ours:7.1} | {:5.2} | {allocated:.4}", ours / sdk);
}

/// Measures with the instrument of one side.
type Measure<'a> = dyn Fn(usize, &[KeyValue]) + Sync + 'a;

/// Several threads, each with a series of its own.
fn threads(meters: &[Meter; 2], rounds: usize, calls: usize) {
    let counters = meters.each_ref().map(|meter| meter.u64_counter("orders").build());
    let histograms = meters.each_ref().map(|meter| meter.f64_histogram("latency").build());
    let counter = |place: usize, attributes: &[KeyValue]| Counter::add(&counters[place], 1, attributes);
    let histogram = |place: usize, attributes: &[KeyValue]| Histogram::record(&histograms[place], 1.5, attributes);
    let sides: [(&str, &Measure<'_>); 2] = [("Counter<u64>::add", &counter), ("Histogram<f64>::record", &histogram)];
    for (name, measure) in sides {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (place, times) in times.iter_mut().enumerate() {
                let start = Instant::now();
                thread::scope(|scope| {
                    for series in 0..THREADS {
                        scope.spawn(move || {
                            let attributes = attributes(3, series as i64);
                            (0..calls).for_each(|_| measure(place, black_box(&attributes)));
                        });
                    }
                });
                times.push(start.elapsed().as_secs_f64() * 1e9 / (THREADS * calls) as f64);
            }
        }
        let [sdk, ours] = times.map(median);
        println!("{:38} | {sdk:7.1} | {ours:7.1} | {:5.2} |", format!("{name}, {THREADS} threads"), ours / sdk);
    }
}

/// An exporter that does nothing.
#[derive(Debug)]
struct Nothing;

impl PushMetricExporter for Nothing {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Delta
    }
}
