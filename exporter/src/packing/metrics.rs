//! Makes metric items of what instruments have measured.

use opentelemetry::{Array, KeyValue, Value, otel_warn};

use super::{
    batch::MAX_BYTES,
    contain::contain,
    envelope::{Envelope, HEAD, TAIL},
    hook::{Hooked, MetricEvent},
    packer::Packer,
    trim::{keep_keys, longest_that_fits, with_mark},
};
use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{Metric, MetricItem, metric_name, sentry_unit},
    json,
    trace::{Measured, Measurement},
};

impl Packer {
    /// Adds what a series has measured to the batch: hides secrets, runs the hook, and writes an item for each value. Returns
    /// the envelopes that are full.
    pub(crate) fn pack_metrics(&mut self, mut measured: Measured, ledger: &Ledger) -> Vec<Envelope> {
        // Once for all values: they share their attributes.
        self.rules.scrubber.scrub_attributes(&mut measured.attributes);
        ledger.trimmed(cut_to_fit(&mut measured.attributes));
        let mut envelopes = Vec::new();
        for measurement in &measured.values {
            if self.rules.hooks.has_metric() {
                envelopes.extend(self.pack_hooked(&measured, *measurement, ledger));
            } else {
                envelopes.extend(self.write_metric(metric(&measured, *measurement), ledger));
            }
        }
        envelopes
    }

    /// The envelope of the metrics that wait, if there are any.
    pub(crate) fn close_metrics(&mut self) -> Option<Envelope> {
        self.metrics.take()
    }

    /// Counts metrics that are dropped before they are packed.
    pub(crate) fn drop_metrics(&self, measured: &Measured, reason: DropReason, ledger: &Ledger) {
        for measurement in &measured.values {
            ledger.dropped(reason, self.counts_of(metric(measured, *measurement)));
        }
    }

    /// The size of the attributes that every metric has, as Sentry counts it.
    pub(crate) fn size_of_metric_defaults(&self) -> u64 {
        let nothing = Measured::nothing();
        let Some(measurement) = nothing.values.first() else { return 0 };
        self.counts_of(metric(&nothing, *measurement)).metric_bytes.saturating_sub(8)
    }

    fn counts_of(&self, metric: Metric<'_>) -> Counts {
        Counts::metric(MetricItem::new(metric, &self.sender, self.process, 0).size())
    }

    fn pack_hooked(&mut self, measured: &Measured, measurement: Measurement, ledger: &Ledger) -> Vec<Envelope> {
        // A metric that the hook drops is gone afterwards, so it is measured before.
        let counts = self.counts_of(metric(measured, measurement));
        let event = MetricEvent::new(measured, measurement);
        let reason = match self.rules.hooks.run_metric(event) {
            Hooked::Kept(event) => {
                let (name, unit) = (metric_name(&event.name), event.unit.as_deref().and_then(sentry_unit));
                let measurement = Measurement { number: event.number(), ..measurement };
                let mut attributes = event.attributes();
                ledger.trimmed(cut_to_fit(&mut attributes));
                if let Some(name) = name {
                    let metric = Metric {
                        info: &measured.info,
                        name: &name,
                        unit,
                        attributes: &attributes,
                        measurement,
                        sample_rate: measured.sample_rate,
                    };
                    return self.write_metric(metric, ledger);
                }
                DropReason::Invalid
            }
            Hooked::Dropped => DropReason::BeforeSend,
            Hooked::Failed => DropReason::InternalSdkError,
        };
        ledger.dropped(reason, counts);
        Vec::new()
    }

    fn write_metric(&mut self, metric: Metric<'_>, ledger: &Ledger) -> Vec<Envelope> {
        let sequence = self.sequence.next(metric.measurement.time);
        let Self { sender, process, buffer, metrics, .. } = self;
        let buffer = buffer.get_mut(..MAX_BYTES).unwrap_or_default();
        let item = MetricItem::new(metric, sender, *process, sequence);
        let counts = Counts::metric(item.size());
        // JSON has neither infinities nor NaN. A hook may set them, and the SDK's sums may become infinite.
        if !metric.measurement.number.is_finite() {
            ledger.dropped(DropReason::Invalid, counts);
            return Vec::new();
        }
        let written = contain("serialisation", || json::write(buffer, &item));
        match written.and_then(Result::ok) {
            Some(size) if size + HEAD.len() + TAIL.len() <= MAX_BYTES => {
                let item = buffer.get(..size).unwrap_or_default();
                metrics.add(item, counts).into_iter().flatten().collect()
            }
            Some(_) => {
                ledger.dropped(DropReason::Invalid, counts);
                Vec::new()
            }
            None => {
                otel_warn!(name: "SentryExporter.SerializationFailed");
                ledger.dropped(DropReason::InternalSdkError, counts);
                Vec::new()
            }
        }
    }
}

fn metric(measured: &Measured, measurement: Measurement) -> Metric<'_> {
    let Measured { info, attributes, sample_rate, .. } = measured;
    Metric { info, name: &info.name, unit: info.unit, attributes, measurement, sample_rate: *sample_rate }
}

/// The most bytes of an item's own attributes. Each byte takes at most six as JSON, and the attributes that every metric has
/// need room too.
const MAX_ATTRIBUTES: usize = 100_000;

/// Cuts attributes that are too large for an item: the longest texts first, and attributes only if their keys alone are too
/// long.
fn cut_to_fit(attributes: &mut Vec<KeyValue>) -> Trimmed {
    let mut trimmed = Trimmed::default();
    let size = |attribute: &KeyValue| attribute.key.as_str().len() + size_of(&attribute.value);
    if attributes.iter().map(size).sum::<usize>() <= MAX_ATTRIBUTES {
        return trimmed;
    }
    let mut left = MAX_ATTRIBUTES / 2;
    trimmed += keep_keys(attributes, &mut left);
    let mut lengths = Vec::new();
    super::logs::for_each_text(attributes, |text| lengths.push(text.as_str().len()));
    let longest = longest_that_fits(lengths, MAX_ATTRIBUTES / 2);
    super::logs::for_each_text(attributes, |text| {
        if let Some(kept) = with_mark(text.as_str(), longest, &mut trimmed) {
            *text = kept.into();
        }
    });
    trimmed
}

/// About the bytes of a value as JSON.
fn size_of(value: &Value) -> usize {
    const NUMBER: usize = 24;
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts.iter().map(|text| text.as_str().len() + 3).sum(),
        Value::Array(Array::Bool(all)) => 6 * all.len(),
        Value::Array(Array::I64(all)) => NUMBER * all.len(),
        Value::Array(Array::F64(all)) => NUMBER * all.len(),
        _ => NUMBER,
    }
}
