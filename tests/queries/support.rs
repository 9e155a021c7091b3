//! What the tests of this folder share.

use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sentry::{
    Sentry, SentryBuilder,
    exporter::testing::{LocalIngest, Span, Transaction},
};
use tracing_subscriber::prelude::*;

/// Only a test that hangs waits this long, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Emits an event as `sqlx` does for a query that took 250 ms.
macro_rules! query {
    ($sql:expr) => {
        query!(tracing::Level::DEBUG, $sql)
    };
    ($level:expr, $sql:expr $(, $($field:tt)+)?) => {
        tracing::event!(
            target: "sqlx::query",
            $level,
            summary = $sql.split_whitespace().take(4).collect::<Vec<_>>().join(" "),
            db.statement = format!("\n\n{}\n", $sql),
            rows_affected = 3_u64,
            rows_returned = 2_u64,
            elapsed = ?std::time::Duration::from_millis(250),
            elapsed_secs = 0.25,
            $($($field)+)?
        )
    };
}
pub(crate) use query;

/// An ingest, and a builder that sends every trace to it.
pub(crate) fn sentry_to_ingest() -> (LocalIngest, SentryBuilder) {
    let ingest = LocalIngest::start().expect("a free port");
    let builder = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).with_release("shop@1.2.3");
    (ingest, builder.with_resource(Resource::builder_empty().build()))
}

/// What arrives of some work under the layer of `tracing_layer`.
pub(crate) fn sent_by(set: impl FnOnce(SentryBuilder) -> SentryBuilder, work: impl FnOnce()) -> LocalIngest {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = set(builder).build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, work);
    sentry.flush(PATIENCE).expect("everything arrives");
    ingest
}

/// The transaction that arrives of some work.
pub(crate) fn transaction_of(work: impl FnOnce()) -> Transaction {
    let ingest = sent_by(|builder| builder, || tracing::info_span!("work").in_scope(work));
    ingest.transaction("work")
}

/// The queries of a transaction.
pub(crate) fn queries(transaction: &Transaction) -> Vec<&Span> {
    transaction.spans.iter().filter(|span| span.op.as_deref() == Some("db")).collect()
}

/// Their texts.
pub(crate) fn texts(transaction: &Transaction) -> Vec<&str> {
    queries(transaction).iter().map(|span| span.name.as_str()).collect()
}
