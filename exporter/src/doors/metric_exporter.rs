//! The door for metrics that OpenTelemetry's SDK has collected.

use std::{
    sync::{Arc, Once},
    time::{Duration, SystemTime},
};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        Temporality,
        data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
};

use super::{
    exporter::{FLUSH_TIMEOUT, sdk_result},
    membership::Membership,
    meter::Measurable,
    sharing::shares_engine,
};
use crate::{
    engine::{Engine, MetricStore, info},
    trace::{Measured, Measurement, MetricInfo, MetricType, Number},
};

/// Sends what OpenTelemetry's SDK has collected, for applications that must keep its pipeline, with its readers and views.
///
/// Counters and gauges are exact. A histogram is bucketed before an exporter sees it, so its values and percentiles are lost: it
/// becomes the counters `<name>.count` and `<name>.sum`, and the gauges `<name>.min`, `<name>.max` and `<name>.avg`. Nothing has
/// a trace. [`SentryMeterProvider`](crate::SentryMeterProvider) loses none of this.
///
/// `export` hands the metrics to the exporter's thread and never waits for the network. They leave within five seconds, and at
/// the shutdown.
///
/// ```
/// use opentelemetry::metrics::MeterProvider;
/// use opentelemetry_sdk::metrics::SdkMeterProvider;
/// use opentelemetry_sentry_exporter::{SentryExporter, SentryMetricExporter};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ingest = opentelemetry_sentry_exporter::testing::LocalIngest::start()?;
/// # let dsn = ingest.dsn();
/// let exporter = SentryExporter::builder().with_dsn(dsn).build()?;
/// let provider = SdkMeterProvider::builder().with_periodic_exporter(SentryMetricExporter::from(exporter)).build();
///
/// provider.meter("shop").u64_counter("orders").build().add(5, &[]);
///
/// provider.shutdown()?;
/// # assert_eq!(ingest.metric("orders").value, 5.0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SentryMetricExporter {
    engine: Option<Arc<Engine>>,
    membership: Membership,
    /// The resource is handed over with the first metrics. It does not change.
    has_resource: Once,
}

impl SentryMetricExporter {
    fn new(engine: Option<Arc<Engine>>) -> Self {
        let membership = Membership::default();
        if let Some(engine) = &engine {
            // Nothing says when a reader is built, and the end of a tracer provider must not cost the last metrics.
            membership.join(engine);
        }
        Self { engine, membership, has_resource: Once::new() }
    }
}

shares_engine!(SentryMetricExporter, "For metrics without spans.");

impl PushMetricExporter for SentryMetricExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let Some(engine) = &self.engine else { return Ok(()) };
        self.has_resource.call_once(|| engine.set_resource(metrics.resource().clone()));
        for scope in metrics.scope_metrics() {
            let store = engine.metrics();
            for metric in scope.metrics().filter(|metric| !store.ignores(metric.name())) {
                Conversion { store, scope: scope.scope(), metric }.push();
            }
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        sdk_result(self.engine.as_ref().map_or(Ok(()), |engine| engine.flush(FLUSH_TIMEOUT)))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let Some(engine) = &self.engine else { return Ok(()) };
        sdk_result(self.membership.shut_down(engine, timeout))
    }

    /// Sentry adds up counters, so each sum is sent once.
    fn temporality(&self) -> Temporality {
        Temporality::Delta
    }
}

/// A metric on its way to the engine.
#[derive(Clone, Copy)]
struct Conversion<'a> {
    store: &'a MetricStore,
    scope: &'a InstrumentationScope,
    metric: &'a Metric,
}

/// The attributes and the time of a data point.
struct Point {
    attributes: Vec<KeyValue>,
    time: SystemTime,
}

/// What is left of a histogram.
struct Summary<T> {
    count: u64,
    sum: T,
    min: Option<T>,
    max: Option<T>,
}

impl Conversion<'_> {
    fn push(self) {
        match self.metric.data() {
            AggregatedMetrics::F64(data) => self.push_data(data),
            AggregatedMetrics::I64(data) => self.push_data(data),
            AggregatedMetrics::U64(data) => self.push_data(data),
        }
    }

    fn push_data<T: Measurable>(self, data: &MetricData<T>) {
        match data {
            MetricData::Gauge(gauge) => {
                let info = self.info("", MetricType::Gauge);
                for point in gauge.data_points() {
                    let at = Point { attributes: point.attributes().cloned().collect(), time: gauge.time() };
                    self.push_number(info.as_ref(), at, point.value().number());
                }
            }
            MetricData::Sum(sum) => {
                // An up-down counter is cumulative whatever the exporter prefers: its total, not a change.
                let is_delta = sum.is_monotonic() && sum.temporality() == Temporality::Delta;
                let info = self.info("", if is_delta { MetricType::Counter } else { MetricType::Gauge });
                for point in sum.data_points().filter(|point| !is_delta || point.value().number().to_f64() != 0.0) {
                    let at = Point { attributes: point.attributes().cloned().collect(), time: sum.time() };
                    self.push_number(info.as_ref(), at, point.value().number());
                }
            }
            MetricData::Histogram(histogram) => {
                for point in histogram.data_points() {
                    let at = Point { attributes: point.attributes().cloned().collect(), time: histogram.time() };
                    let (min, max) = (point.min(), point.max());
                    self.push_summary(at, &Summary { count: point.count(), sum: point.sum(), min, max });
                }
            }
            MetricData::ExponentialHistogram(histogram) => {
                for point in histogram.data_points() {
                    let at = Point { attributes: point.attributes().cloned().collect(), time: histogram.time() };
                    let (min, max) = (point.min(), point.max());
                    self.push_summary(at, &Summary { count: point.count() as u64, sum: point.sum(), min, max });
                }
            }
        }
    }

    fn push_summary<T: Measurable>(self, at: Point, summary: &Summary<T>) {
        let Summary { count, sum, min, max } = summary;
        if *count == 0 {
            return;
        }
        let average = sum.number().to_f64() / *count as f64;
        let all = [
            (".count", MetricType::Counter, Some(Number::U64(*count))),
            (".sum", MetricType::Counter, Some(sum.number())),
            (".min", MetricType::Gauge, min.map(Measurable::number)),
            (".max", MetricType::Gauge, max.map(Measurable::number)),
            (".avg", MetricType::Gauge, Some(Number::F64(average))),
        ];
        for (suffix, metric_type, number) in all {
            if let Some(number) = number {
                let at = Point { attributes: at.attributes.clone(), time: at.time };
                self.push_number(self.info(suffix, metric_type).as_ref(), at, number);
            }
        }
    }

    /// The unit of the values is not that of their number.
    fn info(self, suffix: &str, metric_type: MetricType) -> Option<Arc<MetricInfo>> {
        let (name, unit) = (self.metric.name(), if suffix == ".count" { "" } else { self.metric.unit() });
        // A blank name stays blank.
        let name = if name.trim().is_empty() { String::new() } else { format!("{name}{suffix}") };
        info(self.scope, &name, unit, metric_type).map(Arc::new)
    }

    fn push_number(self, info: Option<&Arc<MetricInfo>>, at: Point, number: Number) {
        let Point { attributes, time } = at;
        let Some(info) = info else { return self.store.refuse(&attributes) };
        let value = Measurement { number, time, trace_id: None, span_id: None };
        self.store.push(Measured { info: Arc::clone(info), attributes, values: vec![value], sample_rate: None });
    }
}
