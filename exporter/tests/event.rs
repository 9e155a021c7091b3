//! The wire cases of a transaction's fields other than its spans: user, request, response, contexts, tags and sender.

#[path = "support/case.rs"]
mod case;
mod support;

use opentelemetry::{InstrumentationScope, KeyValue, trace::Event};
use opentelemetry_sdk::{Resource, trace::SpanExporter as _};
use opentelemetry_sentry_exporter::{SentryExporterBuilder, TraceLifecycle};
use opentelemetry_sentry_vectors::{Attributes, Joined, each};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    case::SpanCase,
    support::{Pipeline, span},
};

const ROOT: u64 = 1;

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    children: Vec<SpanCase>,
    #[serde(default)]
    resource: Attributes,
    #[serde(default)]
    builder: SetUp,
    expected: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SetUp {
    release: Option<String>,
    environment: Option<String>,
    server_name: Option<String>,
    tags: Vec<(String, String)>,
    tag_attributes: Vec<String>,
}

impl SetUp {
    fn apply(&self, mut builder: SentryExporterBuilder) -> SentryExporterBuilder {
        if let Some(release) = &self.release {
            builder = builder.with_release(release);
        }
        if let Some(environment) = &self.environment {
            builder = builder.with_environment(environment);
        }
        if let Some(name) = &self.server_name {
            builder = builder.with_server_name(name);
        }
        for (key, value) in &self.tags {
            builder = builder.with_tag(key.as_str(), value.as_str());
        }
        builder.with_tag_attributes(self.tag_attributes.iter().map(String::as_str))
    }
}

#[test]
fn a_transaction_has_the_fields_of_the_wire_cases() {
    each("event", |Joined(root, case): &Joined<SpanCase, Case>| {
        let mut pipeline = Pipeline::start(|builder| case.builder.apply(builder));
        let resource = Resource::builder_empty().with_attributes(case.resource.0.clone()).build();
        pipeline.exporter.set_resource(&resource);
        let trace_id = pipeline.new_trace();
        let children = (2..).zip(&case.children);
        let mut spans: Vec<_> = children.map(|(id, child)| child.apply_to(span(trace_id, id, ROOT))).collect();
        // The children end in the reverse order of their start.
        spans.reverse();
        spans.push(root.apply_to(span(trace_id, ROOT, 0)));

        let envelopes = pipeline.send(spans);
        assert_eq!(envelopes.len(), 1, "{}", pipeline.exporter.stats());
        let event = envelopes[0].items()[0].json().unwrap();
        for (pointer, wanted) in &case.expected {
            let found = event.pointer(pointer).unwrap_or(&Value::Null);
            assert_eq!(found, wanted, "{pointer}: found, wanted");
        }
        let trace = envelopes[0].trace().expect("the header `trace`");
        for key in ["release", "environment"] {
            assert_eq!(trace.get(key), event.get(key), "{key} in the header and in the event");
        }
    });
}

#[test]
fn options_of_the_exporter_are_in_every_transaction() {
    let pipeline = Pipeline::start(|builder| builder.with_tag("team", "core").with_server_name("host-1"));
    for _ in 0..3 {
        let envelopes = pipeline.send(vec![span(pipeline.new_trace(), ROOT, 0)]);
        let event = envelopes[0].items()[0].json().unwrap();
        assert_eq!(event["tags"]["team"], "core");
        assert_eq!(event["server_name"], "host-1");
    }
}

/// What makes an error event too large for Sentry, by a key of its event; an empty one is the text itself as a key.
const LARGE: [&str; 3] = ["exception.type", "code.file.path", ""];

#[test]
fn an_error_that_is_too_large_loses_texts_and_is_sent() {
    let pipeline = Pipeline::start(|builder| builder.with_exceptions_as_errors(true));
    for text in ["x".repeat(1_100_000), "\u{1}".repeat(400_000)] {
        for key in LARGE {
            let mut failed = span(pipeline.new_trace(), ROOT, 0);
            let large = match key {
                "" => KeyValue::new(text.clone(), 1),
                key => KeyValue::new(key, text.clone()),
            };
            let attributes = vec![KeyValue::new("exception.message", "no stock"), large];
            let time = failed.start_time;
            failed.events.events = vec![Event::new("exception", time, attributes, 0)];
            let before = pipeline.exporter.stats();
            let envelopes = pipeline.send(vec![failed]);
            let stats = pipeline.exporter.stats();
            assert_eq!(
                (stats.errors_sent, stats.spans_sent),
                (before.errors_sent + 1, before.spans_sent + 1),
                "{stats}"
            );
            // A type is always cut, as Sentry keeps 256 characters of it.
            assert!(key == "exception.type" || stats.trimmed.values > before.trimmed.values, "{key}");
            let items: Vec<_> = envelopes.iter().flat_map(|envelope| envelope.items()).collect();
            let error = items.iter().find(|item| item.item_type() == "event").expect("an error").json().unwrap();
            assert_eq!(error.pointer("/exception/values/0/value"), Some(&Value::from("no stock")));
            let r#type = error.pointer("/exception/values/0/type").and_then(Value::as_str).expect("a type");
            assert!(r#type.chars().count() <= 256, "{key}");
        }
    }
}

#[test]
fn a_type_is_cut_at_the_characters_that_sentry_keeps() {
    let pipeline = Pipeline::start(|builder| builder.with_exceptions_as_errors(true));
    let cases = [("x", 255), ("x", 256), ("x", 257), ("ä", 256), ("ä", 257), ("🦀", 300)];
    for (character, count) in cases {
        for key in ["exception.type", "error.type"] {
            let mut failed = span(pipeline.new_trace(), ROOT, 0);
            let time = failed.start_time;
            let r#type = KeyValue::new(key, character.repeat(count));
            let message = KeyValue::new("exception.message", "no stock");
            failed.events.events = vec![Event::new("exception", time, vec![message, r#type], 0)];
            let envelopes = pipeline.send(vec![failed]);
            let items: Vec<_> = envelopes.iter().flat_map(|envelope| envelope.items()).collect();
            let error = items.iter().find(|item| item.item_type() == "event").expect("an error").json().unwrap();
            let expected = Value::from(character.repeat(count.min(256)));
            assert_eq!(error.pointer("/exception/values/0/type"), Some(&expected), "{key}, {count} of {character}");
        }
    }
}

#[test]
fn a_long_scope_costs_no_span() {
    for lifecycle in [TraceLifecycle::Transactions, TraceLifecycle::Stream] {
        let pipeline = Pipeline::start(|builder| builder.with_lifecycle(lifecycle));
        let long = "x".repeat(1_100_000);
        let mut one = span(pipeline.new_trace(), ROOT, 0);
        one.instrumentation_scope = InstrumentationScope::builder(long.clone()).with_version(long).build();
        pipeline.send(vec![one]);
        assert_eq!(pipeline.exporter.stats().spans_sent, 1);
    }
}
