//! Callbacks and hooks that call back.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use opentelemetry::{KeyValue, metrics::MeterProvider};
use opentelemetry_sentry_exporter::{DropReason, FlushError, SentryMeterProvider};

use crate::{Metrics, PATIENCE, is_balanced};

/// A payload that panics once more when it is dropped.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        panic!("once more");
    }
}

#[test]
fn callbacks_and_hooks_may_call_everything_and_panic() {
    let provider = Arc::new(OnceLock::<SentryMeterProvider>::new());
    let calls = Arc::new(AtomicU64::new(0));
    let call_all = {
        let (provider, calls) = (Arc::clone(&provider), Arc::clone(&calls));
        move || {
            let Some(provider) = provider.get() else { return };
            assert!(provider.flush(PATIENCE).is_err(), "it would wait for itself");
            assert!(provider.shutdown(PATIENCE).is_err(), "it would wait for itself");
            let meter = provider.meter("inside");
            meter.u64_counter("inside").build().add(1, &[]);
            meter.f64_histogram("inside").build().record(1.0, &[KeyValue::new("a", 1)]);
            meter.u64_observable_gauge("made").with_callback(|observer| observer.observe(1, &[])).build();
            calls.fetch_add(1, Ordering::Relaxed);
        }
    };
    let in_hook = call_all.clone();
    let metrics = Metrics::start(|exporter| {
        exporter.with_before_send_metric(move |metric| {
            in_hook();
            match &metric.name[..] {
                "panics" => panic!("a bug"),
                "panics.twice" => std::panic::panic_any(Payload),
                _ => Some(metric),
            }
        })
    });
    provider.set(metrics.provider.clone()).expect("once");
    let meter = metrics.meter();
    let level = meter.u64_observable_gauge("level").with_callback(move |observer| {
        call_all();
        observer.observe(1, &[]);
    });
    level.with_callback(|_| panic!("a bug")).with_callback(|_| std::panic::panic_any(Payload)).build();
    for name in ["panics", "panics.twice", "kept"] {
        metrics.meter().u64_counter(name).build().add(1, &[]);
    }
    assert_eq!(metrics.provider.flush(PATIENCE), Err(FlushError::MetricsUndelivered { metrics: 2 }));
    assert!(calls.load(Ordering::Relaxed) >= 3, "in the callback, and in the hook for each metric");
    assert_eq!(metrics.provider.shutdown(PATIENCE), Ok(()));
    let names: Vec<_> = metrics.values().into_keys().collect();
    assert_eq!(names, ["kept", "level", "made"]);
    let stats = metrics.provider.stats();
    assert!(stats.dropped[&DropReason::InternalSdkError].metrics == 2 && is_balanced(&stats), "{stats:?}");
}
