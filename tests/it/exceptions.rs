//! Exceptions of `tracing` and of OpenTelemetry's API as error events.

use std::{error::Error, fmt, io};

use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
use serde_json::{Value, json};
use tracing_subscriber::prelude::*;

use crate::support::{PATIENCE, sentry_to_ingest};

/// Runs something with `tracing` spans, and returns the error events that come of it.
fn errors_of(work: impl FnOnce()) -> Vec<Value> {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder
        .with_exceptions_as_errors(true)
        .with_exporter(|exporter| exporter.with_tag("team", "shop"))
        .build()
        .expect("a valid setup");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(sentry.tracing_layer()), work);
    errors(&sentry, &ingest)
}

fn errors(sentry: &Sentry, ingest: &LocalIngest) -> Vec<Value> {
    sentry.flush(PATIENCE).expect("everything arrives");
    let envelopes = ingest.envelopes();
    let items = envelopes.iter().flat_map(|envelope| envelope.items()).filter(|item| item.item_type() == "event");
    let errors: Vec<Value> = items.map(|item| item.json().expect("JSON")).collect();
    assert_eq!(sentry.stats().errors_sent, errors.len() as u64);
    for envelope in &envelopes {
        let header = envelope.trace().expect("a context");
        let event = envelope.items()[0].json().expect("JSON");
        assert_eq!(header["trace_id"], event["contexts"]["trace"]["trace_id"]);
    }
    errors
}

fn of(error: &Value) -> Vec<(&str, &str)> {
    let values = error["exception"]["values"].as_array().expect("values");
    values.iter().map(|one| (one["type"].as_str().unwrap_or(""), one["value"].as_str().unwrap_or(""))).collect()
}

#[derive(Debug)]
struct NoStock(io::Error);

impl fmt::Display for NoStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no stock")
    }
}

impl Error for NoStock {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn no_stock() -> NoStock {
    NoStock(io::Error::other("disk on fire"))
}

#[test]
fn one_failure_that_travels_through_five_spans_is_one_event() {
    #[tracing::instrument(err)]
    fn dig(depth: u32) -> Result<(), io::Error> {
        match depth {
            1 => Err(io::Error::other("too deep")),
            depth => dig(depth - 1),
        }
    }
    let errors = errors_of(|| drop(dig(5)));
    assert_eq!(errors.len(), 1);
    let error = &errors[0];
    assert_eq!(of(error), [("Error", "too deep")]);
    assert_eq!(error["exception"]["values"][0]["mechanism"], json!({ "type": "auto.otel.exception", "handled": true }));
    assert_eq!((&error["level"], &error["transaction"]), (&json!("error"), &json!("dig")));
    assert_eq!(error["tags"], json!({ "team": "shop" }));
    assert_eq!(error["contexts"]["trace"]["status"], "internal_error");
    assert_eq!(error["contexts"]["otel"]["attributes"]["target"], "it::exceptions");
    assert!(error["timestamp"].as_f64().is_some_and(|time| time > 1.7e9));
    // The innermost span: the only one with a parent that no other error names.
    assert!(error["contexts"]["trace"]["parent_span_id"].is_string());
}

#[test]
fn an_error_field_is_an_exception_with_its_causes() {
    let errors = errors_of(|| {
        let _span = tracing::info_span!("buy").entered();
        tracing::error!(error = &no_stock() as &dyn Error, sku = "lamp", "could not buy");
        tracing::error!("only a line in a log");
        tracing::warn!(error = "no exception", "a warning");
    });
    assert_eq!(errors.len(), 1);
    let error = &errors[0];
    assert_eq!(of(error), [("Error", "disk on fire"), ("Error", "no stock")]);
    let mechanism = |place: usize| &error["exception"]["values"][place]["mechanism"];
    assert_eq!((&mechanism(0)["exception_id"], &mechanism(0)["parent_id"]), (&json!(1), &json!(0)));
    assert_eq!((&mechanism(1)["exception_id"], &mechanism(1)["parent_id"]), (&json!(0), &json!(null)));
    assert_eq!(error["logentry"]["formatted"], "could not buy");
    assert_eq!(error["contexts"]["otel"]["attributes"]["sku"], "lamp");
}

#[test]
fn a_cause_that_was_told_before_is_no_second_event() {
    let errors = errors_of(|| {
        let _outer = tracing::info_span!("outer").entered();
        tracing::info_span!("inner").in_scope(|| tracing::error!(error = %io::Error::other("disk on fire"), "inner"));
        tracing::error!(error = &no_stock() as &dyn Error, "outer");
    });
    assert_eq!(errors.iter().map(of).collect::<Vec<_>>(), [[("Error", "disk on fire"), ("Error", "no stock")]]);
    assert!(errors[0]["contexts"]["trace"]["parent_span_id"].is_string(), "it belongs to the inner span");
}

#[test]
fn the_api_knows_types_and_stacks() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
    let mut span = sentry.tracer_provider().tracer("test").start("work");
    let event = |kind: &'static str, stack: &'static str| {
        vec![
            opentelemetry::KeyValue::new("exception.type", kind),
            opentelemetry::KeyValue::new("exception.message", format!("{kind} failed")),
            opentelemetry::KeyValue::new("exception.stacktrace", stack),
            opentelemetry::KeyValue::new("exception.escaped", true),
        ]
    };
    let rust = "   0: shop::stock::take\n             at ./src/stock.rs:7:9\n   1: shop::main\n             at ./src/main.rs:3:5\n";
    span.add_event("exception", event("shop::NoStock", rust));
    span.add_event("exception", event("java.lang.Error", "at java.base/Main.main(Main.java:3)"));
    drop(span);
    let errors = errors(&sentry, &ingest);
    let by = |kind: &str| errors.iter().find(|error| of(error)[0].0 == kind).unwrap();
    let frames = &by("shop::NoStock")["exception"]["values"][0]["stacktrace"]["frames"];
    assert_eq!(frames[1]["function"], "shop::stock::take", "the frame that failed is the last");
    assert_eq!((&frames[1]["lineno"], &frames[1]["in_app"]), (&json!(7), &json!(true)));
    assert_eq!(by("shop::NoStock")["exception"]["values"][0]["mechanism"]["handled"], false);
    let java = by("java.lang.Error");
    assert_eq!(java["extra"]["exception.stacktrace"], "at java.base/Main.main(Main.java:3)");
    assert!(java["exception"]["values"][0].get("stacktrace").is_none());
}

#[test]
fn errors_are_off_unless_asked_for() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let mut span = sentry.tracer_provider().tracer("test").start("work");
    span.record_error(&no_stock());
    drop(span);
    assert_eq!(errors(&sentry, &ingest).len(), 0);
}
