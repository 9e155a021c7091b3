//! Attribute values with their types.

use opentelemetry::{Array, Value};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    convert::{number::Number, value::Plain},
    json::{self, Ready},
};

/// A value that Sentry stores with its type.
#[derive(Clone, Copy, Debug)]
pub(in crate::convert) enum Typed<'a> {
    Bool(bool),
    Integer(i64),
    /// It is finite: JSON has neither infinities nor NaN.
    Double(f64),
    Text(&'a str),
    Array(&'a Array),
    /// A type that OpenTelemetry has added. As text nothing is lost.
    Other(&'a Value),
}

impl<'a> Typed<'a> {
    /// The value of an attribute. `None` if JSON cannot express it.
    pub(in crate::convert) fn of(key: &str, value: &'a Value) -> Option<Self> {
        match (Number::of(key, value), value) {
            (Some(Number::Integer(number)), _) => Some(Self::Integer(number)),
            (Some(Number::Float(number)), _) => Some(Self::Double(number)),
            (None, Value::Bool(value)) => Some(Self::Bool(*value)),
            (None, Value::I64(value)) => Some(Self::Integer(*value)),
            (None, Value::F64(value)) => Self::double(*value),
            (None, Value::String(text)) => Some(Self::Text(text.as_str())),
            (None, Value::Array(array)) => Some(Self::of_array(array, value)),
            (None, other) => Some(Self::Other(other)),
        }
    }

    pub(super) fn double(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Double(value))
    }

    const fn of_array(array: &'a Array, value: &'a Value) -> Self {
        match array {
            Array::Bool(_) | Array::I64(_) | Array::F64(_) | Array::String(_) => Self::Array(array),
            _ => Self::Other(value),
        }
    }

    /// The size as Sentry counts it.
    pub(in crate::convert) fn size(&self) -> usize {
        match self {
            Self::Bool(_) => 1,
            Self::Integer(_) | Self::Double(_) => 8,
            Self::Text(text) => text.len(),
            Self::Array(array) => size_of_array(array),
            Self::Other(value) => value.as_str().len(),
        }
    }

    /// The word for its type, and the entry of the type with the key of the value behind it, as JSON.
    const fn type_word(self) -> (&'static str, &'static [u8]) {
        match self {
            Self::Bool(_) => ("boolean", br#""type":"boolean","value""#),
            Self::Integer(_) => ("integer", br#""type":"integer","value""#),
            Self::Double(_) => ("double", br#""type":"double","value""#),
            Self::Text(_) | Self::Other(_) => ("string", br#""type":"string","value""#),
            Self::Array(_) => ("array", br#""type":"array","value""#),
        }
    }
}

fn size_of_array(array: &Array) -> usize {
    match array {
        Array::Bool(values) => values.len(),
        Array::I64(values) => 8 * values.len(),
        // Those that JSON cannot express are missing.
        Array::F64(values) => 8 * values.iter().filter(|value| value.is_finite()).count(),
        Array::String(values) => values.iter().map(|text| text.as_str().len()).sum(),
        _ => 0,
    }
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let takes_ready = json::takes_ready(&serializer);
        let mut map = serializer.serialize_map(Some(2))?;
        let (word, ready) = self.type_word();
        if takes_ready {
            map.serialize_key(&Ready(ready))?;
        } else {
            map.serialize_entry("type", word)?;
            map.serialize_key("value")?;
        }
        match self {
            Self::Bool(value) => map.serialize_value(value)?,
            Self::Integer(value) => map.serialize_value(value)?,
            Self::Double(value) => map.serialize_value(value)?,
            Self::Text(text) => map.serialize_value(text)?,
            Self::Array(array) => map.serialize_value(&List(array))?,
            // `Plain` writes what it does not know as text.
            Self::Other(value) => map.serialize_value(&Plain(value))?,
        }
        map.end()
    }
}

/// The values of an array. A number that JSON cannot express is `null`, so that the others keep their places.
struct List<'a>(&'a Array);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Array::Bool(values) => serializer.collect_seq(values),
            Array::I64(values) => serializer.collect_seq(values),
            // `serde_json` writes `null` for a number that is not finite.
            Array::F64(values) => serializer.collect_seq(values),
            Array::String(values) => serializer.collect_seq(values.iter().map(|text| text.as_str())),
            _ => serializer.collect_seq::<[(); 0]>([]),
        }
    }
}

/// Attributes with their types. The key of each occurs once.
pub(in crate::convert) struct TypedList<'a>(pub(in crate::convert) &'a [(&'a str, Typed<'a>)]);

impl Serialize for TypedList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
