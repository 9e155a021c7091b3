//! A measurement as a metric item. The rules are in the guide, page `metrics`.
//!
//! Specification: <https://develop.sentry.dev/sdk/telemetry/metrics/>

use std::borrow::Cow;

use opentelemetry::{KeyValue, TraceId};
use opentelemetry_sentry_semantics::semconv;
use serde::{Serialize, Serializer};

use super::{
    ids::{Hex, span_id, trace_id},
    sender::{SDK_NAME, SDK_VERSION, Sender},
    streamed::{Typed, TypedList},
};
use crate::{
    account::seconds,
    trace::{Measurement, MetricInfo, Number},
};

/// The most bytes of a name, as in OpenTelemetry.
const MAX_NAME: usize = 255;

/// The most bytes of a unit that Sentry does not know, as in OpenTelemetry.
const MAX_UNIT: usize = 63;

/// Relay adds it to the time as nanoseconds.
const SEQUENCE: &str = "sentry.timestamp.sequence";

/// The share of the values that are sent. Sentry extrapolates with it.
const SAMPLE_RATE: &str = "sentry.client_sample_rate";

/// A unit that Sentry does not know.
const OTHER_UNIT: &str = "otel.unit";

/// OpenTelemetry's units and Sentry's words for them. Sentry removes all other units.
const UNITS: [(&str, &str); 24] = [
    ("ns", "nanosecond"),
    ("us", "microsecond"),
    ("ms", "millisecond"),
    ("s", "second"),
    ("min", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("wk", "week"),
    ("bit", "bit"),
    ("By", "byte"),
    ("kBy", "kilobyte"),
    ("KiBy", "kibibyte"),
    ("MBy", "megabyte"),
    ("MiBy", "mebibyte"),
    ("GBy", "gigabyte"),
    ("GiBy", "gibibyte"),
    ("TBy", "terabyte"),
    ("TiBy", "tebibyte"),
    ("PBy", "petabyte"),
    ("PiBy", "pebibyte"),
    ("EBy", "exabyte"),
    ("EiBy", "exbibyte"),
    ("%", "percent"),
    // UCUM has no name for it.
    ("ratio", "ratio"),
];

/// Infers the value of an attribute. An attribute of the measurement with the same key beats it.
type Infer = for<'a> fn(&'a Sender) -> Option<Typed<'a>>;

/// The attributes that every metric has.
const DEFAULTS: [(&str, Infer); 6] = [
    ("sentry.release", |sender| text(sender.service.release()?)),
    ("sentry.environment", |sender| text(sender.service.environment())),
    ("sentry.sdk.name", |_| text(SDK_NAME)),
    ("sentry.sdk.version", |_| text(SDK_VERSION)),
    (semconv::SERVER_ADDRESS, |sender| text(sender.server_name.as_deref()?)),
    (semconv::SERVICE_NAME, |sender| Typed::of(semconv::SERVICE_NAME, sender.service_name()?)),
];

fn text(text: &str) -> Option<Typed<'_>> {
    (!text.is_empty()).then_some(Typed::Text(text))
}

/// A name in Sentry's alphabet: of other characters each run becomes one underscore. `None` for a blank name, which Sentry
/// does not accept.
pub(crate) fn metric_name(name: &str) -> Option<Cow<'_, str>> {
    if name.trim().is_empty() {
        return None;
    }
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if name.len() <= MAX_NAME && name.chars().all(is_fine) {
        return Some(Cow::Borrowed(name));
    }
    let mut fine = String::new();
    let mut is_in_run = false;
    for c in name.chars() {
        match (is_fine(c), is_in_run) {
            (true, _) => fine.push(c),
            (false, false) => fine.push('_'),
            (false, true) => {}
        }
        is_in_run = !is_fine(c);
        if fine.len() == MAX_NAME {
            break;
        }
    }
    Some(Cow::Owned(fine))
}

/// Sentry's word for a unit of OpenTelemetry or of Sentry.
pub(crate) fn sentry_unit(unit: &str) -> Option<&'static str> {
    UNITS.iter().find(|(ucum, word)| *ucum == unit || *word == unit).map(|(_, word)| *word)
}

/// A unit that Sentry does not know, unless it stands for "no unit".
pub(crate) fn other_unit(unit: &str) -> Option<String> {
    let is_none = matches!(unit, "" | "1" | "none") || sentry_unit(unit).is_some();
    (!is_none).then(|| opentelemetry_sentry_semantics::cut(unit, MAX_UNIT).to_owned())
}

/// A metric that is about to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric<'a> {
    pub(crate) info: &'a MetricInfo,
    pub(crate) name: &'a str,
    pub(crate) unit: Option<&'static str>,
    pub(crate) attributes: &'a [KeyValue],
    pub(crate) measurement: Measurement,
    pub(crate) sample_rate: Option<f64>,
}

/// A metric as JSON.
#[derive(Debug)]
pub(crate) struct MetricItem<'a> {
    metric: Metric<'a>,
    trace_id: TraceId,
    /// The key of each occurs once.
    attributes: Vec<(&'a str, Typed<'a>)>,
}

impl<'a> MetricItem<'a> {
    /// `process` is the trace id of what belongs to no trace. `sequence` is the place among the items of the same millisecond.
    pub(crate) fn new(metric: Metric<'a>, sender: &'a Sender, process: TraceId, sequence: i64) -> Self {
        let typed = |KeyValue { key, value, .. }: &'a KeyValue| Some((key.as_str(), Typed::of(key.as_str(), value)?));
        let own = metric.attributes.iter().filter_map(typed).filter(|(key, _)| !matches!(*key, SEQUENCE | SAMPLE_RATE));
        let mut attributes: Vec<_> = own.collect();
        let MetricInfo { other_unit, scope: [scope, version], .. } = metric.info;
        let of_instrument = [
            (OTHER_UNIT, other_unit.as_deref().and_then(text)),
            (semconv::OTEL_SCOPE_NAME, text(scope)),
            (semconv::OTEL_SCOPE_VERSION, text(version)),
        ];
        let of_instrument = of_instrument.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let fixed = sender.attributes.as_slice().iter().filter_map(typed);
        let defaults = DEFAULTS.iter().filter_map(|(key, infer)| Some((*key, infer(sender)?)));
        for (key, value) in of_instrument.chain(fixed).chain(defaults) {
            if attributes.iter().all(|(known, _)| *known != key) {
                attributes.push((key, value));
            }
        }
        attributes.extend(metric.sample_rate.map(|rate| (SAMPLE_RATE, Typed::Double(rate))));
        attributes.push((SEQUENCE, Typed::Integer(sequence)));
        Self { metric, trace_id: metric.measurement.trace_id.unwrap_or(process), attributes }
    }

    /// Its size as Sentry counts it for quotas: the name, the value, and the keys and values of the attributes.
    pub(crate) fn size(&self) -> u64 {
        let attributes = self.attributes.iter().map(|(key, value)| key.len() + value.size());
        (self.metric.name.len() + 8 + attributes.sum::<usize>()) as u64
    }
}

/// The size of attributes as Sentry counts it.
pub(crate) fn size_of_attributes(attributes: &[KeyValue]) -> usize {
    let size = |KeyValue { key, value, .. }: &KeyValue| {
        Typed::of(key.as_str(), value).map_or(0, |value| key.as_str().len() + value.size())
    };
    attributes.iter().map(size).sum()
}

impl Serialize for MetricItem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { metric: Metric { info, name, unit, measurement, .. }, attributes, .. } = self;
        Fields {
            timestamp: seconds(measurement.time),
            trace_id: trace_id(self.trace_id),
            name,
            r#type: info.metric_type.word(),
            value: measurement.number,
            span_id: measurement.span_id.map(span_id),
            unit: *unit,
            attributes: TypedList(attributes),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct Fields<'a> {
    timestamp: f64,
    trace_id: Hex<16>,
    name: &'a str,
    r#type: &'static str,
    value: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<Hex<8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    attributes: TypedList<'a>,
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::U64(number) => serializer.serialize_u64(*number),
            Self::I64(number) => serializer.serialize_i64(*number),
            Self::F64(number) => serializer.serialize_f64(*number),
        }
    }
}
