//! The parts of a span that several files of cases write down.

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::SpanKind};
use serde::{
    Deserialize,
    de::{Deserializer, Error as _},
};
use serde_json::Number;

use crate::json::Json;

/// The kind of a span, as one lower-case word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests match on it")]
pub struct Kind(pub SpanKind);

impl Default for Kind {
    fn default() -> Self {
        Self(SpanKind::Internal)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(Self(match word.as_str() {
            "internal" => SpanKind::Internal,
            "client" => SpanKind::Client,
            "server" => SpanKind::Server,
            "producer" => SpanKind::Producer,
            "consumer" => SpanKind::Consumer,
            _ => return Err(D::Error::custom(format!("unknown kind {word:?}"))),
        }))
    }
}

/// Attributes in the order of the file: an object, or a list of pairs where a key occurs twice.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "tests match on it")]
pub struct Attributes(pub Vec<KeyValue>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let pairs = match json {
            Json::Object(entries) => entries,
            pairs => Vec::deserialize(pairs).map_err(D::Error::custom)?,
        };
        let attribute = |(key, json): (String, Json)| match value(&json) {
            Some(value) => Ok(KeyValue::new(key, value)),
            None => Err(D::Error::custom(format!("{key}: not the value of an attribute: {json:?}"))),
        };
        pairs.into_iter().map(attribute).collect::<Result<_, _>>().map(Self)
    }
}

fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => number.as_i64().map_or(number.as_f64().map(Value::F64), |n| Some(Value::I64(n)))?,
        Json::Text(text) => text.clone().into(),
        Json::List(values) => Value::Array(array(values)?),
        Json::Object(entries) => match entries.as_slice() {
            [(key, Json::List(values))] if key == "f64" => Value::Array(Array::F64(all(values, float)?)),
            [(key, number)] if key == "f64" => Value::F64(float(number)?),
            _ => return None,
        },
    })
}

fn array(values: &[Json]) -> Option<Array> {
    Some(match values.first() {
        Some(Json::Bool(_)) => Array::Bool(all(values, flag)?),
        Some(Json::Number(number)) if number.is_i64() => Array::I64(all(values, |json| number_of(json)?.as_i64())?),
        Some(Json::Number(_)) => Array::F64(all(values, |json| number_of(json)?.as_f64())?),
        _ => Array::String(all(values, |json| Some(StringValue::from(text(json)?.to_owned())))?),
    })
}

fn all<T>(values: &[Json], read: impl Fn(&Json) -> Option<T>) -> Option<Vec<T>> {
    values.iter().map(read).collect()
}

fn flag(json: &Json) -> Option<bool> {
    match json {
        Json::Bool(flag) => Some(*flag),
        _ => None,
    }
}

fn text(json: &Json) -> Option<&str> {
    match json {
        Json::Text(text) => Some(text),
        _ => None,
    }
}

fn number_of(json: &Json) -> Option<&Number> {
    match json {
        Json::Number(number) => Some(number),
        _ => None,
    }
}

/// A number, or the text of one that JSON cannot write.
fn float(json: &Json) -> Option<f64> {
    number_of(json).and_then(Number::as_f64).or_else(|| text(json)?.parse().ok())
}
