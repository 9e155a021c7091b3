//! Attribute values as JSON and as text.

use std::borrow::Cow;

use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sentry_semantics::Attributes;
use serde::{Serialize, Serializer};

/// Attributes as a JSON object.
#[derive(Debug)]
pub(crate) struct AttributeMap<'a>(Attributes<'a>);

impl<'a> AttributeMap<'a> {
    pub(crate) fn new(attributes: &'a [KeyValue]) -> Self {
        Self(Attributes::new(attributes))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for AttributeMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.unique().map(|attribute| (attribute.key.as_str(), Plain(&attribute.value))))
    }
}

/// The value of an attribute as text. The values of a list of texts are joined by commas.
pub(crate) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Array(Array::String(texts)) => {
            texts.iter().map(|text| text.as_str()).collect::<Vec<_>>().join(", ").into()
        }
        value => value.as_str(),
    }
}

/// An OpenTelemetry value as JSON.
#[derive(Debug)]
pub(crate) struct Plain<'a>(pub(crate) &'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I64(value) => serializer.serialize_i64(*value),
            Value::F64(value) => Float(*value).serialize(serializer),
            Value::String(text) => serializer.serialize_str(text.as_str()),
            Value::Array(Array::Bool(values)) => serializer.collect_seq(values),
            Value::Array(Array::I64(values)) => serializer.collect_seq(values),
            Value::Array(Array::F64(values)) => serializer.collect_seq(values.iter().map(|value| Float(*value))),
            Value::Array(Array::String(values)) => serializer.collect_seq(values.iter().map(|text| text.as_str())),
            // OpenTelemetry may add types. As text nothing is lost.
            other => serializer.collect_str(other),
        }
    }
}

/// A number. JSON has no infinities and no NaN, so these become text.
struct Float(f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}
