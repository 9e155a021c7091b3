//! Metrics, as hooks see them.

use std::collections::BTreeMap;

use opentelemetry::{KeyValue, SpanId, TraceId, Value};

use crate::trace::{Measured, Measurement, MetricType, Number};

/// A metric that is about to be sent, as a hook sees it.
///
/// A hook is set by [`with_before_send_metric`](crate::SentryExporterBuilder::with_before_send_metric). It sees the attributes of
/// the measurement. Those that every metric has, such as `sentry.release`, are added after it, unless it sets them.
///
/// ```
/// use opentelemetry_sentry_exporter::SentryExporter;
///
/// let exporter = SentryExporter::builder()
///     .with_before_send_metric(|mut metric| {
///         metric.attributes.remove("http.route");
///         (!metric.name.starts_with("tokio.")).then_some(metric)
///     })
///     .build()?;
/// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct MetricEvent {
    /// The name, such as `http.server.request.duration`. A blank name drops the metric as
    /// [`Invalid`](crate::DropReason::Invalid).
    pub name: String,
    /// The sum of a counter, the value of a gauge, or one value of a histogram. If it is not finite, the metric is dropped as
    /// [`Invalid`](crate::DropReason::Invalid).
    pub value: f64,
    /// The unit in Sentry's words, such as `millisecond`. Another text means none.
    pub unit: Option<String>,
    /// The attributes of the measurement.
    pub attributes: BTreeMap<String, Value>,
    metric_type: MetricType,
    /// What a hook cannot change, and the value before: an integer may have more digits than `value`.
    measurement: Measurement,
}

impl MetricEvent {
    /// `counter`, `gauge` or `distribution`.
    #[must_use]
    pub const fn metric_type(&self) -> &'static str {
        self.metric_type.word()
    }

    /// The trace's id, if the value was measured in a trace and not summed over several.
    #[must_use]
    pub const fn trace_id(&self) -> Option<TraceId> {
        self.measurement.trace_id
    }

    /// The id of the active span, if there was one and it is sampled.
    #[must_use]
    pub const fn span_id(&self) -> Option<SpanId> {
        self.measurement.span_id
    }

    pub(in crate::packing) fn new(measured: &Measured, measurement: Measurement) -> Self {
        let attribute = |KeyValue { key, value, .. }: &KeyValue| (key.as_str().to_owned(), value.clone());
        Self {
            name: measured.info.name.clone(),
            value: measurement.number.to_f64(),
            unit: measured.info.unit.map(str::to_owned),
            attributes: measured.attributes.iter().map(attribute).collect(),
            metric_type: measured.info.metric_type,
            measurement,
        }
    }

    pub(in crate::packing) fn number(&self) -> Number {
        let before = self.measurement.number;
        // Bits: NaN is not equal to itself.
        if before.to_f64().to_bits() == self.value.to_bits() { before } else { Number::F64(self.value) }
    }

    pub(in crate::packing) fn attributes(&self) -> Vec<KeyValue> {
        self.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect()
    }
}
