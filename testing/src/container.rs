//! The checks of streamed spans, which travel in containers.
//!
//! Sentry drops single spans and attributes without a word. Here they cost the whole envelope, so that a test sees it.

use std::collections::HashSet;

use hyper::StatusCode;
use serde_json::{Map, Value};

use crate::{envelope::Envelope, item::Item, refusal::Refusal};

/// The most spans of a container.
const MAX_SPANS: usize = 1000;

/// Fields without which Sentry drops a span.
const REQUIRED: [&str; 6] = ["trace_id", "span_id", "name", "status", "start_timestamp", "end_timestamp"];

/// The streamed spans of an envelope.
pub(super) fn spans(envelope: &Envelope) -> Vec<Value> {
    envelope.items().iter().flat_map(Item::streamed).collect()
}

/// Checks the container of an envelope, if it has one.
pub(super) fn check_containers(envelope: &Envelope) -> Result<(), Refusal> {
    let mut items = envelope.items().iter().filter(|item| item.item_type() == "span");
    let Some(item) = items.next() else { return Ok(()) };
    if items.next().is_some() {
        return Err(refusal("expected at most one container of spans"));
    }
    if !item.is_container() {
        return Err(refusal("expected the content type of a container of spans"));
    }
    let trace_id = trace_id(envelope)?;
    let payload = item.json().map_err(|_| refusal("expected JSON in the container"))?;
    if payload["version"] != 2 {
        return Err(refusal("expected version 2 of the container"));
    }
    let Some(spans) = payload["items"].as_array() else { return Err(refusal("expected a list of items")) };
    if spans.is_empty() || spans.len() > MAX_SPANS {
        return Err(refusal("expected 1 to 1000 spans"));
    }
    if item.headers().get("item_count").and_then(Value::as_u64) != Some(spans.len() as u64) {
        return Err(refusal("expected the number of spans in item_count"));
    }
    let transaction = envelope.items().iter().find(|item| item.item_type() == "transaction");
    let transaction = transaction.and_then(|item| item.json().ok()).unwrap_or_default();
    let root = &transaction["contexts"]["trace"];
    if !root["trace_id"].is_null() && root["trace_id"] != trace_id {
        return Err(refusal("expected the trace of the transaction"));
    }
    let children = transaction["spans"].as_array().into_iter().flatten();
    let mut ids: HashSet<_> = children.chain([root]).map(|span| span["span_id"].as_str()).collect();
    for span in spans {
        check_span(span, trace_id).map_err(refusal)?;
        if !ids.insert(span["span_id"].as_str()) {
            return Err(refusal("expected different ids of spans"));
        }
    }
    Ok(())
}

/// The trace of the envelope's context. Without a public key Sentry cannot read a context.
fn trace_id(envelope: &Envelope) -> Result<&str, Refusal> {
    let text = |key| envelope.trace().and_then(|trace| trace.get(key)).and_then(Value::as_str);
    let trace_id = text("trace_id").filter(|_| text("public_key").is_some());
    trace_id.ok_or_else(|| refusal("missing dynamic sampling context"))
}

fn check_span(span: &Value, trace_id: &str) -> Result<(), &'static str> {
    if REQUIRED.iter().any(|field| span[*field].is_null()) {
        return Err("expected all required fields of a span");
    }
    if span["trace_id"] != trace_id {
        return Err("expected the trace of the dynamic sampling context");
    }
    match (span["start_timestamp"].as_f64(), span["end_timestamp"].as_f64()) {
        (Some(start), Some(end)) if start <= end => {}
        _ => return Err("expected a start before the end"),
    }
    let links = span["links"].as_array().into_iter().flatten().map(|link| &link["attributes"]);
    for attributes in links.chain([&span["attributes"]]).filter_map(Value::as_object) {
        check_attributes(attributes)?;
    }
    Ok(())
}

fn check_attributes(attributes: &Map<String, Value>) -> Result<(), &'static str> {
    if attributes.values().all(is_typed) { Ok(()) } else { Err("expected the value of an attribute to have its type") }
}

fn is_typed(attribute: &Value) -> bool {
    let value = &attribute["value"];
    match attribute["type"].as_str() {
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("double") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.as_array().is_some_and(|values| is_of_one_kind(values)),
        _ => false,
    }
}

/// Whether the values of an array are all flags, all numbers or all texts. Some may be missing.
fn is_of_one_kind(values: &[Value]) -> bool {
    let mut values = values.iter().filter(|value| !value.is_null()).peekable();
    let is_kind = match values.peek() {
        None => return true,
        Some(Value::Bool(_)) => Value::is_boolean,
        Some(Value::Number(_)) => Value::is_number,
        Some(Value::String(_)) => Value::is_string,
        Some(_) => return false,
    };
    values.all(is_kind)
}

fn refusal(reason: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad container", reason.to_owned())
}
