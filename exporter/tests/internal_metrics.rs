//! The metrics of `with_internal_metrics`.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::{
    KeyValue,
    logs::{LogRecord as _, Logger, LoggerProvider},
    metrics::MeterProvider as _,
    trace::{Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    logs::SdkLoggerProvider,
    metrics::{
        InMemoryMetricExporter, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData},
    },
    trace::SdkTracerProvider,
};
use opentelemetry_sentry_exporter::{
    DropReason, SentryExporter, SentryLogProcessor, SentryMeterProvider, SentrySpanProcessor, testing::LocalIngest,
};

const PATIENCE: Duration = Duration::from_secs(120);

/// The numbers of the metrics with this beginning, with their reason.
fn numbers(exporter: &InMemoryMetricExporter, prefix: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let all = exporter.get_finished_metrics().expect("metrics");
    let scopes = all.iter().flat_map(|resource| resource.scope_metrics());
    for metric in scopes.flat_map(|scope| scope.metrics()).filter(|metric| metric.name().starts_with(prefix)) {
        let AggregatedMetrics::U64(data) = metric.data() else { panic!("a whole number") };
        let mut add = |attributes: &mut dyn Iterator<Item = &KeyValue>, value| {
            let reason: String = attributes.map(|attribute| format!(" {}", attribute.value)).collect();
            found.insert(format!("{}{reason}", metric.name()), value);
        };
        match data {
            MetricData::Sum(sum) => sum.data_points().for_each(|point| add(&mut point.attributes(), point.value())),
            MetricData::Gauge(gauge) => {
                gauge.data_points().for_each(|point| add(&mut point.attributes(), point.value()));
            }
            other => panic!("{other:?}"),
        }
    }
    found
}

#[test]
fn spans_and_logs_are_counted_and_what_is_dropped_has_a_reason() {
    let metrics = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(metrics.clone()).build();
    let ingest = LocalIngest::start().expect("a free port");
    let builder = SentryExporter::builder().with_dsn(ingest.dsn()).with_internal_metrics(&meters.meter("sentry"));
    let builder = builder.with_before_send_log(|log| (log.body != "unwanted").then_some(log));
    let spans = SentrySpanProcessor::from(builder.build().expect("a valid setup"));
    let logs = SentryLogProcessor::from(&spans);
    let tracers = SdkTracerProvider::builder().with_span_processor(spans.clone()).build();
    let loggers = SdkLoggerProvider::builder().with_log_processor(logs).build();
    tracers.tracer("").in_span("work", |_| {});
    for body in ["first", "second", "unwanted"] {
        let logger = loggers.logger("");
        let mut record = logger.create_log_record();
        record.set_body(body.into());
        logger.emit(record);
    }
    spans.flush(PATIENCE).expect("everything arrives");
    meters.force_flush().expect("metrics are collected");

    let size = spans.stats().dropped[&DropReason::BeforeSend].log_bytes;
    assert!(size > 0);
    let wanted = [
        ("sentry.logs.received", 3),
        ("sentry.logs.sent", 2),
        ("sentry.logs.spooled", 0),
        ("sentry.logs.pending", 0),
        ("sentry.logs.dropped before_send", 1),
        ("sentry.logs.dropped.size before_send", size),
    ];
    assert_eq!(numbers(&metrics, "sentry.logs"), wanted.map(|(name, value)| (name.to_owned(), value)).into());
    let wanted = [
        ("sentry.spans.received", 1),
        ("sentry.spans.sent", 1),
        ("sentry.spans.spooled", 0),
        ("sentry.spans.pending", 0),
    ];
    assert_eq!(numbers(&metrics, "sentry.spans"), wanted.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn application_metrics_are_counted_too() {
    let internal = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(internal.clone()).build();
    let ingest = LocalIngest::start().expect("a free port");
    let builder = SentryExporter::builder().with_dsn(ingest.dsn()).with_internal_metrics(&meters.meter("sentry"));
    let builder = builder.with_before_send_metric(|metric| (metric.name != "unwanted").then_some(metric));
    let spans = SentrySpanProcessor::from(builder.build().expect("a valid setup"));
    let meter = SentryMeterProvider::from(&spans).meter("shop");
    for name in ["orders", "baskets", "unwanted"] {
        meter.u64_counter(name).build().add(1, &[]);
    }
    spans.flush(PATIENCE).expect("everything arrives");
    meters.force_flush().expect("metrics are collected");

    let size = spans.stats().dropped[&DropReason::BeforeSend].metric_bytes;
    assert!(size > 0);
    let wanted = [
        ("sentry.metrics.received", 3),
        ("sentry.metrics.sent", 2),
        ("sentry.metrics.spooled", 0),
        ("sentry.metrics.pending", 0),
        ("sentry.metrics.dropped before_send", 1),
        ("sentry.metrics.dropped.size before_send", size),
    ];
    assert_eq!(numbers(&internal, "sentry.metrics"), wanted.map(|(name, value)| (name.to_owned(), value)).into());
}
