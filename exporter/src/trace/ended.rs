//! An ended span, and what is measured of it.

use opentelemetry::{Array, KeyValue, SpanId, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

/// A local root has no parent, or one in another process.
pub(crate) fn is_local_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote
}

/// An estimate of what a span holds in memory, in bytes.
pub(crate) fn size_of_span(span: &SpanData) -> usize {
    let mut size = size_of_val(span) + span.name.len() + size_of_attributes(&span.attributes);
    for event in &span.events.events {
        size += size_of_val(event) + event.name.len() + size_of_attributes(&event.attributes);
    }
    for link in &span.links.links {
        size += size_of_val(link) + size_of_attributes(&link.attributes);
    }
    match &span.status {
        Status::Error { description } => size + description.len(),
        Status::Ok | Status::Unset => size,
    }
}

fn size_of_attributes(attributes: &[KeyValue]) -> usize {
    let size = |attribute: &KeyValue| attribute.key.as_str().len() + size_of_value(&attribute.value);
    size_of_val(attributes) + attributes.iter().map(size).sum::<usize>()
}

fn size_of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::Bool(values)) => values.len(),
        Value::Array(Array::I64(values)) => size_of_val(values.as_slice()),
        Value::Array(Array::F64(values)) => size_of_val(values.as_slice()),
        Value::Array(Array::String(values)) => values.iter().map(|text| size_of_val(text) + text.as_str().len()).sum(),
        _ => 0,
    }
}
