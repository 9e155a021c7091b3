//! No query gets a span inside of a span of the same query.

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sentry::{Sentry, exporter::testing::Transaction};
use tracing::{debug_span, field::Empty, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{PATIENCE, query, sentry_to_ingest, texts, transaction_of};

const SQL: &str = "SELECT name FROM users WHERE id = $1";

#[test]
fn inside_of_a_database_span_of_tracing() {
    let spans = [
        || info_span!("by hand", otel.kind = "client", db.system = "postgresql"),
        || info_span!("by hand", db.system.name = "postgresql"),
        || info_span!("by hand", db.query.text = SQL),
        || info_span!("by hand", db.statement = Empty),
        || info_span!("by hand", otel.kind = "client", sentry.op = "db"),
        || info_span!("by hand", sentry.op = "db.query"),
    ];
    for (number, span) in spans.into_iter().enumerate() {
        let transaction = transaction_of(|| span().in_scope(|| query!(SQL)));
        assert_eq!(transaction.spans.len(), 1, "{number}: {:?}", transaction.spans);
    }
}

#[test]
fn a_database_span_further_up_does_not_count_nor_does_one_that_has_ended() {
    let transaction = transaction_of(|| {
        info_span!("unit", db.system = "postgresql")
            .in_scope(|| info_span!("inner").in_scope(|| query!("SELECT 1 FROM a")));
        query!("SELECT 2 FROM a");
    });
    let inner = transaction.span("inner").span_id.clone();
    let parents = |name: &str| transaction.span(name).parent_span_id.clone();
    assert_eq!(parents("SELECT 1 FROM a"), Some(inner));
    assert_eq!(parents("SELECT 2 FROM a"), Some(transaction.span_id.clone()));
}

#[test]
fn other_operations_are_no_databases() {
    let transaction = transaction_of(|| {
        info_span!("fetch", sentry.op = "dbx", db.namespace = "shop").in_scope(|| query!(SQL));
    });
    assert_eq!(texts(&transaction), [SQL]);
}

#[test]
fn a_span_that_the_layer_does_not_see_changes_nothing() {
    let transaction = transaction_of(|| {
        info_span!("by hand", db.system = "mysql").in_scope(|| debug_span!("inner").in_scope(|| query!(SQL)));
        debug_span!("hidden", db.system = "mysql").in_scope(|| query!("SELECT 2 FROM a"));
    });
    assert_eq!(transaction.spans.len(), 2, "{:?}", transaction.spans);
    assert_eq!(transaction.span("SELECT 2 FROM a").parent_span_id.as_ref(), Some(&transaction.span_id));
}

/// The transaction of a `tracing` span. The work inside of it makes spans without `tracing`.
fn with_tracer(work: impl FnOnce(&Sentry)) -> Transaction {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || info_span!("work").in_scope(|| work(&sentry)));
    sentry.flush(PATIENCE).expect("everything arrives");
    ingest.transaction("work")
}

fn active(sentry: &Sentry, kind: SpanKind, attributes: Vec<KeyValue>, work: impl FnOnce()) {
    let tracer = sentry.tracer_provider().tracer("driver");
    let span = tracer.span_builder("by hand").with_kind(kind).with_attributes(attributes).start(&tracer);
    let _active = Context::current_with_span(span).attach();
    work();
}

#[test]
fn inside_of_a_database_span_that_was_made_without_tracing() {
    let attributes = [("db.system", "mysql"), ("db.system.name", "mysql"), ("db.query.text", SQL), ("sentry.op", "db")];
    for (key, value) in attributes {
        for kind in [SpanKind::Client, SpanKind::Internal] {
            let attributes = vec![KeyValue::new("other", 1), KeyValue::new(key, value)];
            let transaction = with_tracer(|sentry| active(sentry, kind, attributes, || query!(SQL)));
            assert_eq!(transaction.spans.len(), 1, "{key}: {:?}", transaction.spans);
        }
    }
}

#[test]
fn inside_of_another_span_that_was_made_without_tracing_it_is_a_child_of_it() {
    let transaction = with_tracer(|sentry| {
        active(sentry, SpanKind::Client, vec![KeyValue::new("db.system", "mysql")], || ());
        active(sentry, SpanKind::Internal, vec![KeyValue::new("other", 1)], || query!(SQL));
    });
    let query = transaction.span(SQL);
    let parent = transaction.spans.iter().find(|span| Some(&span.span_id) == query.parent_span_id.as_ref());
    assert_eq!(
        parent.map(|parent| (parent.name.as_str(), parent.data.get("other").is_some())),
        Some(("by hand", true))
    );
}
