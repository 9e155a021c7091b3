//! Attributes, as the `data` of a span.
//!
//! Of a key that was set twice the last value counts. Values whose key speaks of a secret are replaced by
//! `[Filtered]`. What only the sampler and we talk about is left out.

use std::collections::HashMap;

use opentelemetry::{Array, KeyValue, Value, trace::SpanKind};
use opentelemetry_sentry_protocol::semconv;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// What stands in the place of a value that must not be shown.
const FILTERED: &str = "[Filtered]";

/// Part of the name of an attribute whose text must not be shown.
const SENSITIVE: [&str; 7] = ["authorization", "cookie", "token", "secret", "password", "api-key", "api_key"];

/// Attributes that are not sent as they are: ours alone, or replaced by what we inferred.
const LEFT_OUT: [&str; 12] = [
    semconv::DSC_FROZEN,
    semconv::DSC_SAMPLE_RAND,
    semconv::DSC_TRANSACTION,
    semconv::NOT_SAMPLED,
    semconv::SENTRY_CUSTOM_SPAN_NAME,
    semconv::SENTRY_OP,
    semconv::SENTRY_ORIGIN,
    semconv::SENTRY_SAMPLE_RATE,
    semconv::SENTRY_SOURCE,
    semconv::SENTRY_STATUS_MESSAGE,
    PARENT_ALREADY_SENT,
    "otel.kind",
];

/// Marks a transaction whose parent had been sent before it ended.
const PARENT_ALREADY_SENT: &str = "sentry.parent_span_already_sent";

/// From so many attributes on, those that were set twice are looked up in a table.
const MANY: usize = 64;

/// The `data` of a span: what was inferred, then its attributes.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    pub(crate) attributes: &'a [KeyValue],
    pub(crate) kind: &'a SpanKind,
    pub(crate) op: Option<&'a str>,
    pub(crate) origin: &'a str,
    pub(crate) http_status: Option<i64>,
    /// What the status says beside its word.
    pub(crate) status_message: &'a str,
    /// What only a transaction has.
    pub(crate) root: Option<RootData>,
}

/// The `data` that only a transaction has.
#[derive(Debug)]
pub(crate) struct RootData {
    pub(crate) source: &'static str,
    pub(crate) sample_rate: Option<f64>,
    pub(crate) parent_already_sent: bool,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(op) = self.op {
            map.serialize_entry(semconv::SENTRY_OP, op)?;
        }
        map.serialize_entry(semconv::SENTRY_ORIGIN, self.origin)?;
        if let Some(root) = &self.root {
            map.serialize_entry(semconv::SENTRY_SOURCE, root.source)?;
            if let Some(rate) = root.sample_rate {
                map.serialize_entry(semconv::SENTRY_SAMPLE_RATE, &rate)?;
            }
            if root.parent_already_sent {
                map.serialize_entry(PARENT_ALREADY_SENT, &true)?;
            }
        }
        if let Some(kind) = kind_word(self.kind) {
            map.serialize_entry("otel.kind", kind)?;
        }
        if let Some(status) = self.http_status {
            map.serialize_entry(semconv::HTTP_RESPONSE_STATUS_CODE, &status)?;
        }
        if !self.status_message.is_empty() {
            map.serialize_entry(semconv::SENTRY_STATUS_MESSAGE, self.status_message)?;
        }
        let last = self.last_places();
        for (place, attribute) in self.attributes.iter().enumerate() {
            if !self.is_left_out(place, attribute, &last) {
                map.serialize_entry(attribute.key.as_str(), &shown(attribute))?;
            }
        }
        map.end()
    }
}

impl Data<'_> {
    fn is_left_out(&self, place: usize, attribute: &KeyValue, last: &HashMap<&str, usize>) -> bool {
        let key = attribute.key.as_str();
        let is_repeated = || match last.get(key) {
            Some(last) => *last > place,
            None => self.attributes[place + 1..].iter().any(|later| later.key == attribute.key),
        };
        LEFT_OUT.contains(&key)
            || (self.http_status.is_some() && key == semconv::HTTP_RESPONSE_STATUS_CODE)
            || is_repeated()
    }

    /// Where each key was set last; empty where there are too few for a table to pay.
    fn last_places(&self) -> HashMap<&str, usize> {
        let many = if self.attributes.len() > MANY { self.attributes } else { &[] };
        many.iter().enumerate().map(|(place, attribute)| (attribute.key.as_str(), place)).collect()
    }
}

/// The kind as JavaScript's SDK writes it; an internal span says nothing.
const fn kind_word(kind: &SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Client => Some("CLIENT"),
        SpanKind::Server => Some("SERVER"),
        SpanKind::Producer => Some("PRODUCER"),
        SpanKind::Consumer => Some("CONSUMER"),
        SpanKind::Internal => None,
    }
}

/// The value of an attribute as it may be shown. Numbers and flags are no secrets, whatever they are called.
fn shown(attribute: &KeyValue) -> Shown<'_> {
    let is_text = matches!(attribute.value, Value::String(_) | Value::Array(Array::String(_)));
    if is_text && is_sensitive(attribute.key.as_str()) { Shown::Filtered } else { Shown::Value(&attribute.value) }
}

fn is_sensitive(key: &str) -> bool {
    let contains =
        |word: &&str| key.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    SENSITIVE.iter().any(contains)
}

enum Shown<'a> {
    Filtered,
    Value(&'a Value),
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Filtered => serializer.serialize_str(FILTERED),
            Self::Value(value) => serialize_value(value, serializer),
        }
    }
}

/// An OpenTelemetry value as JSON.
pub(crate) fn serialize_value<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Value::Bool(value) => serializer.serialize_bool(*value),
        Value::I64(value) => serializer.serialize_i64(*value),
        Value::F64(value) => Float(*value).serialize(serializer),
        Value::String(text) => serializer.serialize_str(text.as_str()),
        Value::Array(Array::Bool(values)) => serializer.collect_seq(values),
        Value::Array(Array::I64(values)) => serializer.collect_seq(values),
        Value::Array(Array::F64(values)) => serializer.collect_seq(values.iter().map(|value| Float(*value))),
        Value::Array(Array::String(values)) => serializer.collect_seq(values.iter().map(|text| text.as_str())),
        // The types are open to additions; text loses nothing.
        other => serializer.collect_str(other),
    }
}

/// JSON has no word for infinities and NaN; as text they are at least seen.
struct Float(f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}
