//! What a span gets of the event of a query.

use std::{sync::Arc, sync::Mutex, time::Duration};

use opentelemetry::{Context, Value};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use opentelemetry_sentry::TraceLifecycle;
use serde_json::json;
use tracing::{Level, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{PATIENCE, queries, query, sent_by, sentry_to_ingest, texts, transaction_of};

const SQL: &str = "SELECT id,\n  name FROM users\n  WHERE id = $1";

#[test]
fn a_query_is_a_child_of_the_active_span() {
    let transaction = transaction_of(|| info_span!("handler").in_scope(|| query!(SQL)));
    let handler = transaction.span("handler");
    let query = transaction.span(SQL);
    assert_eq!(query.parent_span_id.as_ref(), Some(&handler.span_id));
    assert_eq!((query.op.as_deref(), query.status.as_str()), (Some("db"), "ok"));
    for (key, value) in [
        ("db.system.name", json!("postgresql")),
        ("db.system", json!("postgresql")),
        ("db.query.text", json!(SQL)),
        ("db.query.summary", json!("SELECT users")),
        ("db.operation.name", json!("SELECT")),
        ("db.collection.name", json!("users")),
        ("db.response.returned_rows", json!(2)),
        ("rows_returned", json!(2)),
        ("rows_affected", json!(3)),
        ("otel.kind", json!("CLIENT")),
        ("sentry.origin", json!("auto.db.sqlx")),
    ] {
        assert_eq!(query.data.get(key), Some(&value), "{key}");
    }
    assert_eq!(query.data.get("db.query.slow"), None);
}

#[test]
fn it_ends_with_the_event_and_has_begun_the_elapsed_time_before() {
    let transaction = transaction_of(|| query!(SQL));
    let time = |json: &serde_json::Value, key: &str| json[key].as_f64().expect("a time");
    let query = &transaction.span(SQL).json;
    let elapsed = time(query, "timestamp") - time(query, "start_timestamp");
    assert!((elapsed - 0.25).abs() < 1e-5, "{elapsed}");
    assert!(time(query, "timestamp") <= time(&transaction.json, "timestamp"));
}

#[test]
fn a_short_statement_is_in_the_summary() {
    let transaction = transaction_of(|| {
        let text = String::new();
        tracing::debug!(
            target: "sqlx::query", summary = "SELECT 1", db.statement = text, rows_returned = 1_u64, elapsed_secs = 0.5,
        );
    });
    assert_eq!(texts(&transaction), ["SELECT 1"]);
    assert_eq!(transaction.span("SELECT 1").data["db.system.name"], "other_sql");
}

#[test]
fn a_slow_query_is_marked_and_is_no_event_of_the_span_around_it() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_logs(true).build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer()).with(sentry.log_layer());
    tracing::subscriber::with_default(subscriber, || {
        info_span!("work").in_scope(|| {
            tracing::warn!("kept");
            query!(Level::WARN, SQL, slow_threshold = ?Duration::from_millis(200), "slow statement: too slow");
        });
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    let transaction = ingest.transaction("work");
    let [query] = queries(&transaction)[..] else { panic!("{:?}", transaction.spans) };
    assert_eq!(query.data["db.query.slow"], true);
    assert_eq!(query.data["slow_threshold"], "200ms");
    // The line is of a level that the application logs.
    assert_eq!(ingest.log("slow statement").attributes["slow_threshold"], "200ms");
    let text = transaction.json.to_string();
    assert!(!text.contains("slow statement"), "{text}");
}

#[test]
fn a_query_at_warn_is_no_event_of_the_span_around_it() {
    let seen = Recorder::default();
    sent_by(
        |builder| builder.with_span_processor(seen.clone()),
        || {
            info_span!("work").in_scope(|| {
                tracing::warn!("kept");
                query!(Level::WARN, SQL, slow_threshold = ?Duration::from_millis(200), "slow statement");
            });
        },
    );
    let ended = seen.ended();
    let events: Vec<_> = ended.iter().flat_map(|span| &span.events.events).map(|event| event.name.as_ref()).collect();
    assert_eq!(events, ["kept"]);
}

#[test]
fn every_level_and_every_form_of_a_field_is_read() {
    let transaction = transaction_of(|| {
        query!(Level::TRACE, "SELECT 1 FROM traces");
        query!(Level::INFO, "SELECT 1 FROM infos");
        query!(Level::ERROR, "SELECT 1 FROM errors");
        tracing::debug!(target: "sqlx::query", summary = %"SELECT 1 FROM shown", elapsed = ?Duration::from_micros(1500));
        tracing::debug!(target: "sqlx::query", summary = "SELECT 1 FROM signed", rows_affected = -1_i64);
        tracing::debug!(target: "sqlx::query", summary = "SELECT 1 FROM large", rows_affected = u64::MAX);
    });
    // `sqlx` asks for TRACE only where the application has lowered its level: then other layers must want it as well.
    assert_eq!(texts(&transaction).len(), 5, "{:?}", texts(&transaction));
    assert_eq!(transaction.status, "ok", "an event at ERROR fails the span around it");
    let [shown, signed, large] = ["shown", "signed", "large"].map(|table| {
        let name = format!("SELECT 1 FROM {table}");
        transaction.spans.iter().find(|span| span.name == name).expect("a span")
    });
    let time = |key: &str| shown.json[key].as_f64().expect("a time");
    assert!((time("timestamp") - time("start_timestamp") - 0.0015).abs() < 1e-5);
    assert_eq!(signed.data["rows_affected"], -1);
    assert_eq!(large.data.get("rows_affected"), None);
}

#[test]
fn impossible_times_are_no_time() {
    let transaction = transaction_of(|| {
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e300, 1e18] {
            tracing::debug!(target: "sqlx::query", summary = "SELECT 1", elapsed_secs = seconds);
        }
    });
    assert_eq!(texts(&transaction), ["SELECT 1"; 5]);
    for query in queries(&transaction) {
        let time = |key: &str| query.json[key].as_f64().expect("a time");
        assert!(time("start_timestamp") >= 0.0 && time("start_timestamp") <= time("timestamp"), "{}", query.json);
    }
}

#[test]
fn an_event_without_a_summary_is_no_query() {
    let transaction = transaction_of(|| tracing::debug!(target: "sqlx::query", "connected"));
    assert_eq!(transaction.spans, []);
}

#[test]
fn the_system_can_be_set() {
    let ingest =
        sent_by(|builder| builder.with_database_system("cockroachdb"), || info_span!("work").in_scope(|| query!(SQL)));
    assert_eq!(ingest.transaction("work").span(SQL).data["db.system.name"], "cockroachdb");
}

#[test]
fn a_streamed_query_is_named_by_its_summary() {
    let ingest = sent_by(
        |builder| builder.with_lifecycle(TraceLifecycle::Stream),
        || info_span!("work").in_scope(|| query!(SQL)),
    );
    let (root, query) = (ingest.span("work"), ingest.span("SELECT users"));
    assert_eq!((query.op.as_deref(), query.parent_span_id.as_ref()), (Some("db.query"), Some(&root.span_id)));
    assert_eq!(query.attributes["db.query.text"], SQL);
    assert_eq!(query.attributes["db.system.name"], "postgresql");
    assert_eq!(query.attributes["rows_affected"], 3);
    assert_eq!(query.attributes.get("db.system"), None);
}

/// Keeps what a processor of the application sees.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<SpanData>>>);

impl Recorder {
    fn ended(&self) -> Vec<SpanData> {
        self.0.lock().expect("no panic").clone()
    }
}

impl SpanProcessor for Recorder {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().expect("no panic").push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn processors_of_the_application_see_it_with_the_id_that_is_sent() {
    let seen = Recorder::default();
    let ingest =
        sent_by(|builder| builder.with_span_processor(seen.clone()), || info_span!("work").in_scope(|| query!(SQL)));
    let ended = seen.ended();
    let query = ended.iter().find(|span| span.name == "SELECT users").expect("the query");
    assert_eq!(ingest.transaction("work").span(SQL).span_id, query.span_context.span_id().to_string());
    let rows = query.attributes.iter().find(|attribute| attribute.key.as_str() == "rows_affected");
    assert_eq!(rows.map(|rows| &rows.value), Some(&Value::I64(3)));
}
