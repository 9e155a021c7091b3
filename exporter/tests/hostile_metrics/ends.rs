//! Threads that end, and the end of the exporter.

use std::{cell::RefCell, sync::Barrier, thread};

use opentelemetry::{Context, KeyValue, metrics::Meter};
use opentelemetry_sentry_exporter::{DropReason, FlushError, testing::Metric};

use crate::{Metrics, PATIENCE, is_balanced};

/// Measures when its thread ends.
struct AtTheEnd(Meter);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.0.u64_counter("counter").build().add(1, &[KeyValue::new("place", "end")]);
        self.0.f64_histogram("histogram").build().record(2.0, &[]);
        self.0.f64_histogram("histogram").build().record(2.0, &[KeyValue::new("place", "end")]);
        self.0.i64_up_down_counter("total").build().add(1, &[KeyValue::new("place", "end")]);
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

type Use = fn(&Meter);

#[test]
fn a_thread_that_ends_still_measures() {
    // What a thread destroys first depends on what it has used first. A panic while it does would end the process.
    let uses: [(&str, Use); 3] = [
        ("nothing", |_| {}),
        ("a context", |_| drop(Context::new().with_value(1).attach())),
        ("metrics", |meter| meter.f64_histogram("histogram").build().record(1.0, &[KeyValue::new("a", 1)])),
    ];
    for (what, used) in uses {
        for is_before in [false, true] {
            let metrics = Metrics::start(|exporter| exporter);
            let meter = metrics.meter();
            let thread = thread::spawn(move || {
                let keep = || AT_THE_END.set(Some(AtTheEnd(meter.clone())));
                if is_before {
                    used(&meter);
                    keep();
                } else {
                    keep();
                    used(&meter);
                }
            });
            thread.join().expect("no panic");
            let sent = metrics.flush();
            assert_eq!((sent["counter"].len(), &sent["total"][..]), (1, &[1.0][..]), "{what}, {is_before}");
            assert_eq!(sent["histogram"].iter().filter(|value| **value == 2.0).count(), 2, "{what}, {is_before}");
        }
    }
}

/// How many values the metrics of a histogram stand for.
fn number_of_values(metrics: &[Metric]) -> f64 {
    let rate = |metric: &Metric| metric.attributes.get("sentry.client_sample_rate").and_then(serde_json::Value::as_f64);
    metrics.iter().map(|metric| 1.0 / rate(metric).unwrap_or(1.0)).sum()
}

#[test]
fn a_shutdown_while_threads_measure_sends_what_was_measured_before() {
    const THREADS: usize = 8;
    const BEFORE: u64 = 2500;
    const EACH: u64 = 2000;
    for _ in 0..2 {
        let metrics = Metrics::start(|exporter| exporter);
        let meter = metrics.meter();
        let (counter, cost) = (meter.u64_counter("counter").build(), meter.f64_counter("cost").build());
        let (histogram, total) = (meter.u64_histogram("histogram").build(), meter.i64_up_down_counter("total").build());
        let gauge = meter.u64_gauge("gauge").build();
        // Without attributes, with some, and in the series of the overflow.
        let measure = |number: u64| {
            for attributes in [&[][..], &[KeyValue::new("a", 1)], &[KeyValue::new("n", number as i64)]] {
                counter.add(1, attributes);
                cost.add(1.0, attributes);
                histogram.record(1, attributes);
                total.add(1, attributes);
                gauge.record(1, attributes);
            }
        };
        (0..BEFORE).for_each(measure);
        let start = Barrier::new(THREADS + 1);
        thread::scope(|scope| {
            for thread in 1..=THREADS as u64 {
                let (start, measure) = (&start, &measure);
                scope.spawn(move || {
                    start.wait();
                    (0..EACH).for_each(|number| measure((thread << 32) | number));
                });
            }
            start.wait();
            // What a thread measures after it began is lost, and the shutdown may see it or not.
            let result = metrics.provider.shutdown(PATIENCE);
            assert!(matches!(result, Ok(()) | Err(FlushError::MetricsUndelivered { .. })), "{result:?}");
        });
        let sent = metrics.ingest.metrics();
        let of = |name: &str| sent.iter().filter(|metric| metric.name == name).cloned().collect::<Vec<_>>();
        let sum = |name: &str| of(name).iter().map(|metric| metric.value).sum::<f64>();
        let before = 3.0 * BEFORE as f64;
        for (name, found) in [
            ("counter", sum("counter")),
            ("cost", sum("cost")),
            ("total", sum("total")),
            ("histogram", number_of_values(&of("histogram"))),
        ] {
            assert!(found >= before - 0.5, "{found} of {before} in {name}");
        }
        assert_eq!(of("gauge").len(), 2002, "each series once");
        let dropped = metrics.provider.stats().metrics_dropped();
        measure(0);
        let stats = metrics.provider.stats();
        assert!(is_balanced(&stats) && stats.metrics_dropped() == dropped + 15, "{stats:?}");
    }
}

#[test]
fn after_a_shutdown_every_measurement_is_refused_and_counted() {
    let metrics = Metrics::start(|exporter| exporter);
    let meter = metrics.meter();
    let measure_all = |prefix: &str| {
        let name = |name: &str| format!("{prefix}.{name}");
        for attributes in [&[][..], &[KeyValue::new("a", 1)]] {
            meter.u64_counter(name("a")).build().add(1, attributes);
            meter.f64_counter(name("b")).build().bind(attributes).add(1.0);
            meter.f64_up_down_counter(name("c")).build().add(1.0, attributes);
            meter.i64_gauge(name("d")).build().record(1, attributes);
            meter.u64_histogram(name("e")).build().record(1, attributes);
        }
        let callback = meter.u64_observable_gauge(name("f")).with_callback(|observer| observer.observe(1, &[]));
        callback.build();
    };
    measure_all("known");
    assert_eq!(metrics.provider.shutdown(PATIENCE), Ok(()));
    assert_eq!(metrics.ingest.metrics().len(), 11);
    for (round, prefix) in [(1, "known"), (2, "new"), (3, "new")] {
        measure_all(prefix);
        let stats = metrics.provider.stats();
        assert_eq!(stats.dropped[&DropReason::Shutdown].metrics, 10 * round, "{prefix}");
        assert!(is_balanced(&stats) && stats.metrics_pending == 0, "{stats:?}");
    }
    assert_eq!(metrics.provider.flush(PATIENCE), Err(FlushError::AlreadyShutdown));
    assert_eq!(metrics.provider.shutdown(PATIENCE), Err(FlushError::AlreadyShutdown));
    assert_eq!(metrics.ingest.metrics().len(), 11);
}
