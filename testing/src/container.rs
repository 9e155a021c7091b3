//! The checks of streamed spans, logs and metrics, which travel in containers.
//!
//! Sentry drops single spans, logs, metrics and attributes without a word. Here they cost the whole envelope, so that a test sees it.
//! A unit that Sentry does not know costs nothing: other SDKs send such units, and the metric stays.

use std::collections::HashSet;

use hyper::StatusCode;
use serde_json::{Map, Value};

use crate::{
    envelope::Envelope,
    item::{Item, SPAN_CONTAINER},
    refusal::Refusal,
};

/// A kind of containers.
pub(super) struct Kind {
    item_type: &'static str,
    content_type: &'static str,
    /// The most items of a container.
    most: usize,
}

/// Containers of streamed spans.
pub(super) const SPANS: Kind = Kind { item_type: "span", content_type: SPAN_CONTAINER, most: 1000 };

/// Containers of logs.
pub(super) const LOGS: Kind =
    Kind { item_type: "log", content_type: "application/vnd.sentry.items.log+json", most: 100 };

/// Containers of metrics.
pub(super) const METRICS: Kind =
    Kind { item_type: "trace_metric", content_type: "application/vnd.sentry.items.trace-metric+json", most: 1000 };

/// Fields without which Sentry drops a metric.
const REQUIRED_OF_METRIC: [&str; 5] = ["timestamp", "trace_id", "name", "type", "value"];

/// The types of metrics.
const METRIC_TYPES: [&str; 3] = ["counter", "gauge", "distribution"];

/// The most bytes of a metric: its name, its value, and the keys and values of its attributes.
const MAX_METRIC: usize = 1 << 20;

/// Fields without which Sentry drops a log.
const REQUIRED_OF_LOG: [&str; 4] = ["timestamp", "trace_id", "level", "body"];

/// The levels of logs.
const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

/// Fields without which Sentry drops a span.
const REQUIRED: [&str; 6] = ["trace_id", "span_id", "name", "status", "start_timestamp", "end_timestamp"];

/// The items in an envelope's containers of a kind.
pub(super) fn items(envelope: &Envelope, kind: &Kind) -> Vec<Value> {
    let containers = envelope.items().iter().filter(|item| is_container(item, kind));
    let items = |item: &Item| item.json().ok()?.get_mut("items").map(Value::take);
    containers
        .filter_map(items)
        .flat_map(|items| if let Value::Array(items) = items { items } else { Vec::new() })
        .collect()
}

/// Checks the containers of an envelope, if it has some.
pub(super) fn check_containers(envelope: &Envelope) -> Result<(), Refusal> {
    check_spans(envelope)?;
    // Items of this type that claim to be something else are for tests of envelopes, which need not know logs.
    if envelope.items().iter().any(|item| is_container(item, &LOGS)) {
        for log in checked(envelope, &LOGS)? {
            check_log(&log).map_err(refusal)?;
        }
    }
    if envelope.items().iter().any(|item| item.item_type() == METRICS.item_type) {
        for metric in checked(envelope, &METRICS)? {
            check_metric(&metric).map_err(refusal)?;
        }
    }
    Ok(())
}

/// The items of the only container of a kind; none if there is no container.
fn checked(envelope: &Envelope, kind: &Kind) -> Result<Vec<Value>, Refusal> {
    let Kind { item_type, most, .. } = kind;
    let mut items = envelope.items().iter().filter(|item| item.item_type() == *item_type);
    let Some(item) = items.next() else { return Ok(Vec::new()) };
    if items.next().is_some() {
        return Err(refusal(&format!("expected at most one container of {item_type}s")));
    }
    if !is_container(item, kind) {
        return Err(refusal(&format!("expected the content type of a container of {item_type}s")));
    }
    let mut payload = item.json().map_err(|_| refusal("expected JSON in the container"))?;
    // The `sentry` crate writes none for logs.
    let is_unversioned = payload["version"].is_null() && *item_type == LOGS.item_type;
    if payload["version"] != 2 && !is_unversioned {
        return Err(refusal("expected version 2 of the container"));
    }
    let Value::Array(items) = payload["items"].take() else { return Err(refusal("expected a list of items")) };
    if items.is_empty() || items.len() > *most {
        return Err(refusal(&format!("expected 1 to {most} {item_type}s")));
    }
    if item.headers().get("item_count").and_then(Value::as_u64) != Some(items.len() as u64) {
        return Err(refusal(&format!("expected the number of {item_type}s in item_count")));
    }
    Ok(items)
}

fn check_spans(envelope: &Envelope) -> Result<(), Refusal> {
    let spans = checked(envelope, &SPANS)?;
    if spans.is_empty() {
        return Ok(());
    }
    let trace_id = trace_id(envelope)?;
    let transaction = envelope.items().iter().find(|item| item.item_type() == "transaction");
    let transaction = transaction.and_then(|item| item.json().ok()).unwrap_or_default();
    let root = &transaction["contexts"]["trace"];
    if !root["trace_id"].is_null() && root["trace_id"] != trace_id {
        return Err(refusal("expected the trace of the transaction"));
    }
    let children = transaction["spans"].as_array().into_iter().flatten();
    let mut ids: HashSet<_> = children.chain([root]).map(|span| span["span_id"].as_str()).collect();
    for span in &spans {
        check_span(span, trace_id).map_err(refusal)?;
        if !ids.insert(span["span_id"].as_str()) {
            return Err(refusal("expected different ids of spans"));
        }
    }
    Ok(())
}

fn is_container(item: &Item, kind: &Kind) -> bool {
    let has_type = item.headers().get("content_type").is_some_and(|found| found == kind.content_type);
    item.item_type() == kind.item_type && has_type
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

fn check_log(log: &Value) -> Result<(), &'static str> {
    if REQUIRED_OF_LOG.iter().any(|field| log[*field].is_null()) {
        return Err("expected all required fields of a log");
    }
    if !log["timestamp"].is_number() || !log["body"].is_string() {
        return Err("expected a number as the timestamp of a log, and a text as its body");
    }
    if !is_id(&log["trace_id"], 32) || !(log["span_id"].is_null() || is_id(&log["span_id"], 16)) {
        return Err("expected valid ids of a log");
    }
    if !LEVELS.iter().any(|level| log["level"] == *level) {
        return Err("expected one of Sentry's levels");
    }
    log["attributes"].as_object().map_or(Ok(()), check_attributes)
}

fn check_metric(metric: &Value) -> Result<(), &'static str> {
    if REQUIRED_OF_METRIC.iter().any(|field| metric[*field].is_null()) {
        return Err("expected all required fields of a metric");
    }
    if !metric["timestamp"].is_number() || !metric["value"].is_number() {
        return Err("expected numbers as the timestamp and the value of a metric");
    }
    if !is_id(&metric["trace_id"], 32) || !(metric["span_id"].is_null() || is_id(&metric["span_id"], 16)) {
        return Err("expected valid ids of a metric");
    }
    if !METRIC_TYPES.iter().any(|known| metric["type"] == *known) {
        return Err("expected counter, gauge or distribution as the type of a metric");
    }
    if metric["name"].as_str().is_none_or(|name| name.trim().is_empty()) {
        return Err("expected a name of a metric that is not blank");
    }
    let Some(attributes) = metric["attributes"].as_object() else { return Ok(()) };
    check_attributes(attributes)?;
    let rate = &attributes.get("sentry.client_sample_rate").unwrap_or(&Value::Null)["value"];
    if !rate.is_null() && rate.as_f64().is_none_or(|rate| !(rate > 0.0 && rate <= 1.0)) {
        return Err("expected a sample rate above 0 and up to 1");
    }
    let size = |(key, typed): (&String, &Value)| key.len() + size_of(&typed["value"]);
    let name = metric["name"].as_str().map_or(0, str::len);
    let is_small = name + 8 + attributes.iter().map(size).sum::<usize>() <= MAX_METRIC;
    if is_small { Ok(()) } else { Err("expected at most 1 MiB of a metric") }
}

/// The size of a value as Sentry counts it.
fn size_of(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(all) => all.iter().map(size_of).sum(),
        Value::Object(all) => all.iter().map(|(key, value)| key.len() + size_of(value)).sum(),
    }
}

/// Whether it is an id of this number of digits. Zeros are none.
fn is_id(value: &Value, digits: usize) -> bool {
    let is_id = |id: &str| id.len() == digits && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    value.as_str().is_some_and(|id| is_id(id) && id.bytes().any(|byte| byte != b'0'))
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
