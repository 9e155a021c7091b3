//! Gives values the shapes that Sentry's pages for caches and for generative models read. The rules are in the guide, page
//! `modules`.
//!
//! It comes after the scrubber, which sees what the application has set.

mod blobs;
mod messages;

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sentry_semantics::{is_model_content, semconv};
use serde_json::Value as Json;

use crate::trace::EndedSpan;

/// Shapes the values of a span.
pub(super) fn shape(span: &mut EndedSpan) {
    if !span.attributes.iter().any(|attribute| may_be_shaped(attribute.key.as_str())) {
        return;
    }
    let attributes = &mut span.data_mut().attributes;
    attributes.iter_mut().for_each(shape_value);
    if messages::reshape(attributes) {
        // There are new keys.
        span.index();
    }
}

/// Whether a key can be one of those below. Nearly all keys are not, and end at their first byte.
fn may_be_shaped(key: &str) -> bool {
    matches!(key.as_bytes(), [b'g' | b'm' | b'a' | b'c', ..]) && (key == semconv::CACHE_KEY || is_model_content(key))
}

fn shape_value(attribute: &mut KeyValue) {
    let key = attribute.key.as_str();
    if key == semconv::CACHE_KEY {
        if let Some(list) = list_of(&attribute.value) {
            attribute.value = Value::Array(list);
        }
    } else if is_model_content(key) {
        if let Value::Array(list) = &attribute.value {
            attribute.value = json_of(list).to_string().into();
        }
        if let Some(text) = text_of(&attribute.value).and_then(blobs::without_blobs) {
            attribute.value = text.into();
        }
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// A key as a list, which Sentry wants also of a single key. `tracing` records lists as texts such as `["a", "b"]`.
fn list_of(key: &Value) -> Option<Array> {
    let one = |text: StringValue| Array::String(vec![text]);
    match key {
        Value::Array(_) => None,
        Value::I64(number) => Some(Array::I64(vec![*number])),
        Value::String(text) => {
            let list =
                Some(text.as_str()).filter(|text| text.starts_with('[')).map(serde_json::from_str::<Vec<String>>);
            Some(match list {
                Some(Ok(list)) => Array::String(list.into_iter().map(StringValue::from).collect()),
                _ => one(text.clone()),
            })
        }
        other => Some(one(other.as_str().into_owned().into())),
    }
}

/// A list of messages as JSON. A message that is an object in JSON becomes that object.
fn json_of(list: &Array) -> Json {
    let message = |text: &StringValue| match serde_json::from_str(text.as_str()) {
        Ok(object @ Json::Object(_)) => object,
        _ => Json::from(text.as_str()),
    };
    match list {
        Array::Bool(values) => values.iter().copied().collect(),
        Array::I64(values) => values.iter().copied().collect(),
        Array::F64(values) => values.iter().copied().collect(),
        Array::String(texts) => texts.iter().map(message).collect(),
        other => Json::from(other.to_string()),
    }
}
