//! Streamed spans, as hooks see them, and back.
//!
//! A hook sees plain values, as in a transaction. Each value that it changes gets the type of what it wrote.

use std::mem;

use opentelemetry_sentry_semantics::{Source, cut, semconv, shortened};
use serde_json::{Map, Value, json};

use super::{
    fields::{take_map, take_text},
    transaction::SpanEvent,
};

/// Attributes without which a server cannot read the span. No hook sees them.
const KEPT: [&str; 2] = ["sentry.segment.id", "sentry.trace_lifecycle"];

const SEGMENT_NAME: &str = "sentry.segment.name";

/// What a hook does not see or may leave as it is.
pub(super) struct Fields {
    /// The attributes with their types.
    attributes: Map<String, Value>,
    name: String,
}

/// Makes the event of a streamed span.
pub(super) fn event(span: Value, status: &str) -> Option<(SpanEvent, Fields)> {
    let Value::Object(mut rest) = span else { return None };
    let name = take_text(&mut rest, "name")?;
    let attributes = take_map(&mut rest, "attributes");
    let plain = |(key, typed): (&String, &Value)| {
        let is_seen = key != semconv::SENTRY_OP && !KEPT.contains(&key.as_str());
        is_seen.then(|| (key.clone(), plain(typed).clone()))
    };
    let data = attributes.iter().filter_map(plain).collect();
    let op = attributes.get(semconv::SENTRY_OP).and_then(|op| Some(plain_text(op)?.to_owned()));
    let event = SpanEvent { description: name.clone(), op, status: status.to_owned(), data, rest };
    Some((event, Fields { attributes, name }))
}

impl Fields {
    /// The span with the name, the op and the attributes of the event.
    pub(super) fn with(mut self, event: SpanEvent) -> Value {
        let SpanEvent { description, op, data, mut rest, .. } = event;
        let before = mem::take(&mut self.attributes);
        let mut attributes: Map<_, _> =
            data.into_iter().filter_map(|(key, value)| Some((key.clone(), typed(before.get(&key), value)?))).collect();
        for key in KEPT {
            attributes.remove(key);
            attributes.extend(before.get(key).map(|typed| (key.to_owned(), typed.clone())));
        }
        attributes.remove(semconv::SENTRY_OP);
        let op = op.filter(|op| !op.is_empty());
        attributes.extend(op.map(|op| (semconv::SENTRY_OP.to_owned(), text(cut(&op, 128)))));
        let name = if description.is_empty() { self.name.clone() } else { description };
        if name != self.name && rest["is_segment"] == true {
            self.rename_segment(&name, &before, &mut attributes);
        }
        rest.insert("name".to_owned(), name.into());
        rest.insert("attributes".to_owned(), Value::Object(attributes));
        Value::Object(rest)
    }

    /// A segment span that has a new name names its segment like this, too. The name is not a route any more.
    fn rename_segment(&self, name: &str, before: &Map<String, Value>, attributes: &mut Map<String, Value>) {
        let new = [(SEGMENT_NAME, shortened(name)), (semconv::SENTRY_SEGMENT_NAME_SOURCE, Source::Custom.as_str())];
        for (key, value) in new {
            if attributes.contains_key(key) && attributes.get(key) == before.get(key) {
                attributes.insert(key.to_owned(), text(value));
            }
        }
    }
}

fn plain(typed: &Value) -> &Value {
    &typed["value"]
}

fn plain_text(typed: &Value) -> Option<&str> {
    plain(typed).as_str()
}

fn text(text: &str) -> Value {
    json!({ "type": "string", "value": text })
}

/// A value with its type. One that did not change keeps its type: an integer may be a double, for example. `None` if it has
/// no value.
pub(super) fn typed(before: Option<&Value>, value: Value) -> Option<Value> {
    if let Some(before) = before.filter(|before| *plain(before) == value) {
        return Some(before.clone());
    }
    let word = match &value {
        Value::Null => return None,
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        // Sentry removes larger integers.
        Value::Number(number) if number.is_u64() => return Some(text(&number.to_string())),
        Value::Number(_) => "double",
        Value::String(_) => "string",
        Value::Array(values) if is_of_one_kind(values) => "array",
        // Sentry has no type for maps and mixed lists.
        other => return Some(text(&other.to_string())),
    };
    Some(json!({ "type": word, "value": value }))
}

/// Whether the values of a list are all flags, all numbers that Sentry stores, or all texts.
fn is_of_one_kind(values: &[Value]) -> bool {
    let is_number = |value: &Value| value.is_i64() || value.is_f64();
    values.iter().all(Value::is_boolean) || values.iter().all(is_number) || values.iter().all(Value::is_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::hook::Hooks;

    fn span() -> Value {
        json!({
            "span_id": "1", "name": "GET /a", "status": "ok", "is_segment": true,
            "attributes": {
                "sentry.op": text("http.server"), "sentry.segment.id": text("1"), "sentry.segment.name": text("GET /a"),
                "sentry.segment.name.source": text("route"), "sentry.trace_lifecycle": text("stream"),
                "rows": { "type": "double", "value": 1.0 }, "tenant": text("acme"),
            },
        })
    }

    fn hooked(hook: impl Fn(&mut SpanEvent) + Send + Sync + 'static) -> Option<Value> {
        let mut hooks = Hooks::default();
        hooks.set_span(hook);
        hooks.run_streamed(span(), "ok")
    }

    #[test]
    fn what_a_hook_leaves_stays_as_it_is() {
        assert_eq!(hooked(|_| {}), Some(span()));
    }

    #[test]
    fn a_hook_sees_plain_values_and_changes_name_op_and_attributes() {
        let changed = hooked(|span| {
            assert_eq!((span.op.as_deref(), span.status.as_str(), span.span_id()), (Some("http.server"), "ok", "1"));
            assert_eq!((&span.data["rows"], &span.data["tenant"]), (&json!(1.0), &json!("acme")));
            span.description = "renamed".to_owned();
            span.op = Some("task".to_owned());
            span.status = "internal_error".to_owned();
            span.data.remove("tenant");
            let new = [
                ("flag", json!(true)),
                ("count", json!(2)),
                ("ratio", json!(0.5)),
                ("huge", json!(u64::MAX)),
                ("list", json!([1, 2.5])),
                ("mixed", json!([1, "a"])),
                ("map", json!({ "b": 1 })),
                ("none", json!(null)),
            ];
            span.data.extend(new.map(|(key, value)| (key.to_owned(), value)));
        })
        .unwrap();
        let (name, status, attributes) = (&changed["name"], &changed["status"], &changed["attributes"]);
        assert_eq!((name, status), (&json!("renamed"), &json!("ok")), "a status cannot be changed");
        for key in ["tenant", "none"] {
            assert_eq!(attributes[key], Value::Null, "{key}");
        }
        for (key, word, value) in [
            ("sentry.op", "string", json!("task")),
            ("sentry.segment.name", "string", json!("renamed")),
            ("sentry.segment.name.source", "string", json!("custom")),
            ("rows", "double", json!(1.0)),
            ("flag", "boolean", json!(true)),
            ("count", "integer", json!(2)),
            ("ratio", "double", json!(0.5)),
            ("huge", "string", json!("18446744073709551615")),
            ("list", "array", json!([1, 2.5])),
            ("mixed", "string", json!("[1,\"a\"]")),
            ("map", "string", json!("{\"b\":1}")),
        ] {
            assert_eq!(attributes[key], json!({ "type": word, "value": value }), "{key}");
        }
    }

    #[test]
    fn no_hook_removes_what_makes_a_span_readable() {
        let changed = hooked(|span| {
            span.data.clear();
            span.data.insert("sentry.segment.id".to_owned(), "other".into());
            (span.description, span.op) = (String::new(), None);
        })
        .unwrap();
        assert_eq!(changed["name"], "GET /a", "Sentry drops a span without a name");
        let kept = json!({ "sentry.segment.id": text("1"), "sentry.trace_lifecycle": text("stream") });
        assert_eq!(changed["attributes"], kept);
    }

    #[test]
    fn a_hook_that_panics_changes_nothing() {
        assert_eq!(hooked(|_| panic!("a bug")), None);
    }
}
