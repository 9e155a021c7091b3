//! Metrics beside spans, through the facade.

use opentelemetry::{KeyValue, global, metrics::MeterProvider, trace::TraceContextExt};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sentry::{Sentry, testing::capture};
use tracing::{info, info_span};
use tracing_opentelemetry::{MetricsLayer, OpenTelemetrySpanExt};
use tracing_subscriber::prelude::*;

use crate::support::{PATIENCE, run_alone, sentry_to_ingest};

#[test]
fn a_value_of_a_histogram_belongs_to_the_span_in_which_it_was_recorded() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_traces_sample_rate(1.0).with_metrics(true).build().expect("a valid setup");
    let meter = sentry.meter_provider().meter("shop");
    let (orders, latency) =
        (meter.u64_counter("orders").build(), meter.f64_histogram("latency").with_unit("s").build());
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        info_span!("checkout").in_scope(|| {
            assert!(tracing::Span::current().context().span().span_context().is_valid());
            orders.add(1, &[KeyValue::new("plan", "free")]);
            latency.record(0.25, &[]);
        });
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    let root = ingest.transaction("checkout");
    let (orders, latency) = (ingest.metric("orders"), ingest.metric("latency"));
    assert_eq!((&latency.trace_id, latency.span_id.as_ref()), (&root.trace_id, Some(&root.span_id)));
    assert_eq!(
        (latency.value, latency.unit.as_deref(), &latency.metric_type[..]),
        (0.25, Some("second"), "distribution")
    );
    assert_eq!((orders.value, &orders.attributes["plan"], orders.span_id), (1.0, &"free".into(), None));
    assert_ne!(orders.trace_id, root.trace_id, "a sum is of several spans");
    let attribute = |key: &str| latency.attributes[key].as_str().unwrap().to_owned();
    assert_eq!(
        (attribute("otel.scope.name"), attribute("sentry.release")),
        ("shop".to_owned(), "shop@1.2.3".to_owned())
    );
    orders_after_shutdown(sentry, &meter);
}

fn orders_after_shutdown(sentry: Sentry, meter: &opentelemetry::metrics::Meter) {
    let provider = sentry.meter_provider().clone();
    let orders = meter.u64_counter("orders").build();
    orders.add(4, &[]);
    sentry.shutdown(PATIENCE).expect("everything arrives");
    orders.add(5, &[]);
    let stats = provider.stats();
    assert_eq!((stats.metrics_received, stats.metrics_sent, stats.metrics_dropped()), (4, 3, 1));
}

#[test]
fn the_metrics_of_tracing_events_are_sent() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_metrics(true).build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(MetricsLayer::new(sentry.meter_provider().clone()));
    tracing::subscriber::with_default(subscriber, || {
        info!(monotonic_counter.hits = 1_u64, route = "/cart");
        info!(monotonic_counter.hits = 2_u64, route = "/cart");
        info!(counter.depth = -1_i64);
        info!(histogram.latency = 1.5);
        info!(gauge.level = 7_u64);
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    for (name, metric_type, value) in
        [("hits", "counter", 3.0), ("depth", "gauge", -1.0), ("latency", "distribution", 1.5), ("level", "gauge", 7.0)]
    {
        let metric = ingest.metric(name);
        assert_eq!((&metric.metric_type[..], metric.value), (metric_type, value), "{name}");
    }
    assert_eq!(ingest.metric("hits").attributes["route"], "/cart");
}

#[test]
fn without_metrics_nothing_is_sent_and_an_inner_provider_still_measures() {
    for is_on in [false, true] {
        let (ingest, builder) = sentry_to_ingest();
        let inner = InMemoryMetricExporter::default();
        let sdk = SdkMeterProvider::builder().with_periodic_exporter(inner.clone()).build();
        let builder = builder.with_metrics(is_on).with_inner_meter_provider(sdk.clone());
        let sentry = builder.build().expect("a valid setup");
        sentry.meter_provider().meter("shop").u64_counter("orders").build().add(1, &[]);
        sentry.flush(PATIENCE).expect("everything arrives");
        assert_eq!(ingest.metrics().len(), usize::from(is_on));
        sdk.force_flush().expect("a flush");
        assert_eq!(inner.get_finished_metrics().expect("metrics").len(), 1);
    }
}

#[test]
fn the_numbers_of_the_exporter_are_metrics_if_they_are_asked_for() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_metrics(true).build().expect("a valid setup");
    sentry.meter_provider().meter("shop").u64_counter("orders").build().add(1, &[]);
    sentry.flush(PATIENCE).expect("everything arrives");
    assert_eq!(ingest.metrics().len(), 1, "no metric of this library unless it gets a meter");
}

#[test]
fn the_global_meter_provider_is_ours_after_install_and_in_a_capture() {
    run_alone("metrics::alone", &[]);
}

#[test]
#[ignore = "takes the globals; the test before runs it in a process of its own"]
fn alone() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_metrics(true).install().expect("a valid setup");
    global::meter("shop").u64_counter("orders").build().add(3, &[]);
    sentry.flush(PATIENCE).expect("everything arrives");
    assert_eq!(ingest.metric("orders").value, 3.0);
    let sent = capture(|| global::meter("shop").f64_histogram("latency").build().record(0.5, &[]));
    assert_eq!(sent.metric("latency").value, 0.5);
    assert_eq!(capture(|| ()).metrics.len(), 0);
    sentry.shutdown(PATIENCE).expect("everything arrives");
}
