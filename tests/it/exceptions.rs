//! Exceptions that `tracing` and OpenTelemetry's API record, as error events.

use std::{error::Error, io};

use opentelemetry::{
    KeyValue,
    trace::{Span, Tracer, TracerProvider},
};
use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
use serde_json::{Value, json};
use tracing_subscriber::prelude::*;

use crate::support::{NoStock, PATIENCE, sentry_to_ingest};

/// Runs code with the tracing layer, and returns the error events that are sent.
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
    let errors = ingest.errors();
    assert_eq!(sentry.stats().errors_sent, errors.len() as u64);
    for envelope in &envelopes {
        let header = envelope.trace().expect("a context");
        let event = envelope.items()[0].json().expect("JSON");
        assert_eq!(header["trace_id"], event["contexts"]["trace"]["trace_id"]);
    }
    errors
}

/// Type and value of each exception of an event.
fn exceptions(error: &Value) -> Vec<(&str, &str)> {
    let values = error["exception"]["values"].as_array().expect("values");
    values.iter().map(|one| (one["type"].as_str().unwrap_or(""), one["value"].as_str().unwrap_or(""))).collect()
}

fn no_stock() -> NoStock {
    NoStock(io::Error::other("disk on fire"))
}

#[test]
fn one_error_that_is_returned_through_five_spans_is_one_event() {
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
    assert_eq!(exceptions(error), [("Error", "too deep")]);
    assert_eq!(error["exception"]["values"][0]["mechanism"], json!({ "type": "auto.otel.exception", "handled": true }));
    assert_eq!((&error["level"], &error["transaction"]), (&json!("error"), &json!("dig")));
    assert_eq!(error["tags"], json!({ "team": "shop" }));
    assert_eq!(error["contexts"]["trace"]["status"], "internal_error");
    assert_eq!(error["contexts"]["otel"]["attributes"]["target"], "it::exceptions");
    assert!(error["timestamp"].as_f64().is_some_and(|time| time > 1.7e9));
    // The event belongs to the innermost span, which has a parent.
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
    assert_eq!(exceptions(error), [("Error", "disk on fire"), ("Error", "no stock")]);
    let mechanism = |place: usize| &error["exception"]["values"][place]["mechanism"];
    assert_eq!((&mechanism(0)["exception_id"], &mechanism(0)["parent_id"]), (&json!(1), &json!(0)));
    assert_eq!((&mechanism(1)["exception_id"], &mechanism(1)["parent_id"]), (&json!(0), &json!(null)));
    assert_eq!(error["logentry"]["formatted"], "could not buy");
    assert_eq!(error["contexts"]["otel"]["attributes"]["sku"], "lamp");
}

#[test]
fn a_cause_that_was_recorded_before_makes_no_second_event() {
    let errors = errors_of(|| {
        let _outer = tracing::info_span!("outer").entered();
        tracing::info_span!("inner").in_scope(|| tracing::error!(error = %io::Error::other("disk on fire"), "inner"));
        tracing::error!(error = &no_stock() as &dyn Error, "outer");
    });
    assert_eq!(errors.iter().map(exceptions).collect::<Vec<_>>(), [[("Error", "disk on fire"), ("Error", "no stock")]]);
    assert!(errors[0]["contexts"]["trace"]["parent_span_id"].is_string(), "it belongs to the inner span");
}

#[test]
fn an_error_without_a_stack_trace_has_the_place_of_its_log_line_or_function() {
    let errors = errors_of(|| {
        tracing::info_span!("buy").in_scope(|| tracing::error!(error = &no_stock() as &dyn Error, "could not buy"));
    });
    let frames = &exception_frames(&errors[0]);
    assert_eq!(frames.as_array().map(Vec::len), Some(1));
    assert_eq!((&frames[0]["module"], &frames[0]["in_app"]), (&json!("it::exceptions"), &json!(true)));
    assert_eq!(frames[0]["filename"], "tests/it/exceptions.rs");
    assert_eq!(frames[0]["function"], "buy", "without a function Sentry would group by the module alone");

    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
    let mut span = sentry.tracer_provider().tracer("test").start("work");
    span.set_attributes([KeyValue::new("code.function.name", "shop::buy"), KeyValue::new("code.line.number", 7)]);
    span.record_error(&no_stock());
    drop(span);
    // All errors in a span of a library, such as that of a request, would be one issue.
    let mut span = sentry.tracer_provider().tracer("test").start("work");
    span.set_attribute(KeyValue::new("code.function.name", "tower::call"));
    span.record_error(&no_stock());
    drop(span);
    let mut frames: Vec<_> = self::errors(&sentry, &ingest).iter().map(exception_frames).collect();
    frames.sort_by_key(Value::is_null);
    assert_eq!(frames, [json!([{ "function": "shop::buy", "lineno": 7, "in_app": true }]), Value::Null]);
}

#[test]
fn the_http_status_of_a_request_is_no_type_of_an_exception() {
    for (error_type, expected) in [("500", "Error"), ("shop::NoStock", "shop::NoStock")] {
        let (ingest, builder) = sentry_to_ingest();
        let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
        let mut span = sentry.tracer_provider().tracer("test").start("work");
        span.set_attribute(KeyValue::new("error.type", error_type));
        span.record_error(&io::Error::other(error_type));
        drop(span);
        assert_eq!(exceptions(&errors(&sentry, &ingest)[0]), [(expected, error_type)]);
    }
}

fn exception_frames(error: &Value) -> Value {
    let values = error["exception"]["values"].as_array().cloned().unwrap_or_default();
    values.last().map(|last| last["stacktrace"]["frames"].clone()).unwrap_or_default()
}

#[test]
fn exceptions_of_the_api_have_types_and_stack_traces() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
    let mut span = sentry.tracer_provider().tracer("test").start("work");
    let event = |kind: &'static str, stack: &'static str| {
        vec![
            KeyValue::new("exception.type", kind),
            KeyValue::new("exception.message", format!("{kind} failed")),
            KeyValue::new("exception.stacktrace", stack),
            KeyValue::new("exception.escaped", true),
        ]
    };
    let rust = "   0: shop::stock::take\n             at ./src/stock.rs:7:9\n   1: shop::main\n             at ./src/main.rs:3:5\n";
    span.add_event("exception", event("shop::NoStock", rust));
    span.add_event("exception", event("java.lang.Error", "at java.base/Main.main(Main.java:3)"));
    drop(span);
    let errors = errors(&sentry, &ingest);
    let with_type = |kind: &str| errors.iter().find(|error| exceptions(error)[0].0 == kind).unwrap();
    let frames = &with_type("shop::NoStock")["exception"]["values"][0]["stacktrace"]["frames"];
    assert_eq!(frames[1]["function"], "shop::stock::take", "the frame that failed is the last");
    assert_eq!((&frames[1]["lineno"], &frames[1]["in_app"]), (&json!(7), &json!(true)));
    assert_eq!(with_type("shop::NoStock")["exception"]["values"][0]["mechanism"]["handled"], false);
    let java = with_type("java.lang.Error");
    assert_eq!(java["extra"]["exception.stacktrace"], "at java.base/Main.main(Main.java:3)");
    assert!(java["exception"]["values"][0].get("stacktrace").is_none());
}

#[test]
fn no_error_events_are_sent_by_default() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let mut span = sentry.tracer_provider().tracer("test").start("work");
    span.record_error(&no_stock());
    drop(span);
    assert_eq!(errors(&sentry, &ingest).len(), 0);
}

#[test]
fn an_error_stays_in_the_data_of_its_span_unless_the_layer_leaves_it_out() {
    for is_kept in [true, false] {
        let (ingest, builder) = sentry_to_ingest();
        let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
        let layer = sentry.unfiltered_tracing_layer().with_error_records_to_exceptions(is_kept);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info_span!("work").in_scope(|| {
                let error = io::Error::other("disk on fire");
                tracing::error!(error = &error as &dyn Error, "failed");
            });
        });
        sentry.flush(PATIENCE).unwrap();
        let message = ingest.transaction("work").data.get("exception.message").cloned();
        assert_eq!(message, is_kept.then(|| json!("disk on fire")));
        assert_eq!(ingest.error("disk on fire").level, "error", "the event does not depend on it");
    }
}
