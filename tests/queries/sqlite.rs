//! `sqlx` with SQLite, which runs queries on threads of its own: these see the subscriber of the process only.

use std::{
    collections::HashSet,
    sync::{Arc, Condvar, OnceLock},
};

use opentelemetry_sentry::{
    Sentry,
    exporter::testing::{LocalIngest, Transaction},
};
use sqlx::{Connection, Row, SqliteConnection, SqlitePool, sqlite::SqlitePoolOptions};
use tokio::sync::Mutex;
use tracing::{Instrument, Subscriber, info_span, span::Id};
use tracing_subscriber::{
    layer::{Context, Layer},
    prelude::*,
};

use crate::support::{PATIENCE, queries, sentry_to_ingest, texts};

/// Which spans have ended. SQLite's thread keeps the span of a query for a moment after the answer.
#[derive(Clone, Default)]
pub(crate) struct Ended(Arc<(std::sync::Mutex<HashSet<Id>>, Condvar)>);

impl Ended {
    fn wait_for(&self, id: &Id) {
        let (ended, changed) = &*self.0;
        let ended = ended.lock().expect("no panic");
        drop(changed.wait_while(ended, |ended| !ended.remove(id)).expect("no panic"));
    }
}

impl<S: Subscriber> Layer<S> for Ended {
    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.0.0.lock().expect("no panic").insert(id);
        self.0.1.notify_all();
    }
}

/// The Sentry of the process, which all tests of this file share. They differ in the names of their root spans.
pub(crate) fn process() -> &'static (LocalIngest, Sentry, Ended) {
    static PROCESS: OnceLock<(LocalIngest, Sentry, Ended)> = OnceLock::new();
    PROCESS.get_or_init(|| {
        let (ingest, builder) = sentry_to_ingest();
        let sentry = builder.build().expect("a valid setup");
        let ended = Ended::default();
        // A layer that is added later sees the end of a span later.
        let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer()).with(ended.clone());
        tracing::subscriber::set_global_default(subscriber).expect("the first one");
        (ingest, sentry, ended)
    })
}

/// The transaction of some work.
pub(crate) async fn transaction_of(name: &'static str, work: impl Future<Output = ()>) -> Transaction {
    // A flush also sends spans whose root is still open, so that of one test would tear the transaction of another.
    static TURN: Mutex<()> = Mutex::const_new(());
    let (ingest, sentry, ended) = process();
    let _turn = TURN.lock().await;
    let span = info_span!("work", otel.name = name);
    let id = span.id().expect("a span");
    work.instrument(span).await;
    ended.wait_for(&id);
    sentry.flush(PATIENCE).expect("everything arrives");
    ingest.transaction(name)
}

/// A pool with one connection, so that all queries have the same database in memory.
async fn pool() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.expect("a database");
    sqlx::query("CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL CHECK (quantity >= 0))")
        .execute(&pool)
        .await
        .expect("a table");
    sqlx::query("INSERT INTO stock VALUES ('lamp', 12), ('mug', 40)").execute(&pool).await.expect("two rows");
    pool
}

#[tokio::test]
async fn queries_are_spans_with_their_database_and_their_rows() {
    process();
    let pool = pool().await;
    let transaction = transaction_of("rows", async {
        let rows = sqlx::query("SELECT sku, quantity FROM stock WHERE quantity > ?").bind(1).fetch_all(&pool).await;
        assert_eq!(rows.expect("rows").len(), 2);
        let done = sqlx::query("UPDATE stock SET quantity = quantity - 1").execute(&pool).await;
        assert_eq!(done.expect("an update").rows_affected(), 2);
    })
    .await;
    let select = transaction.span("SELECT sku, quantity FROM stock WHERE quantity > ?");
    assert_eq!((select.op.as_deref(), &select.data["db.system.name"]), (Some("db"), &"sqlite".into()));
    assert_eq!((&select.data["rows_returned"], &select.data["db.query.summary"]), (&2.into(), &"SELECT stock".into()));
    let update = transaction.span("UPDATE stock SET quantity = quantity - 1");
    assert_eq!(update.data["rows_affected"], 2);
    for query in [select, update] {
        assert_eq!(query.parent_span_id.as_ref(), Some(&transaction.span_id));
    }
}

#[tokio::test]
async fn statements_of_a_transaction_are_in_its_span() {
    process();
    let pool = pool().await;
    let transaction = transaction_of("purchase", async {
        async {
            let mut purchase = pool.begin().await.expect("a transaction");
            sqlx::query("UPDATE stock SET quantity = 1").execute(&mut *purchase).await.expect("an update");
            let left = sqlx::query("SELECT quantity FROM stock").fetch_one(&mut *purchase).await.expect("a row");
            assert_eq!(left.get::<i64, _>(0), 1);
            purchase.commit().await.expect("a commit");
        }
        .instrument(info_span!("reserve"))
        .await;
    })
    .await;
    let reserve = &transaction.span("reserve").span_id;
    assert_eq!(texts(&transaction), ["UPDATE stock SET quantity = 1", "SELECT quantity FROM stock"]);
    assert!(queries(&transaction).iter().all(|query| query.parent_span_id.as_ref() == Some(reserve)));
}

#[tokio::test]
async fn concurrent_queries_are_children_of_the_span_that_each_has() {
    process();
    let pool = pool().await;
    let transaction = transaction_of("concurrent", async {
        let query = |sql| sqlx::query(sql).fetch_all(&pool);
        let (one, two, three) = tokio::join!(
            query("SELECT 1 FROM stock").instrument(info_span!("first")),
            query("SELECT 2 FROM stock").instrument(info_span!("second")),
            query("SELECT 3 FROM stock"),
        );
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
    })
    .await;
    let parent = |sql: &str| transaction.span(sql).parent_span_id.clone().expect("a parent");
    assert_eq!(parent("SELECT 1 FROM stock"), transaction.span("first").span_id);
    assert_eq!(parent("SELECT 2 FROM stock"), transaction.span("second").span_id);
    assert_eq!(parent("SELECT 3 FROM stock"), transaction.span_id);
}

#[tokio::test]
async fn a_query_that_fails_is_a_span_too() {
    process();
    let pool = pool().await;
    let transaction = transaction_of("failing", async {
        let refused = sqlx::query("UPDATE stock SET quantity = -1").execute(&pool).await;
        let unknown = sqlx::query("SELECT 1 FROM sales").fetch_all(&pool).await;
        assert!(refused.is_err() && unknown.is_err());
    })
    .await;
    assert_eq!(texts(&transaction), ["UPDATE stock SET quantity = -1", "SELECT 1 FROM sales"]);
    // `sqlx` does not say in its events how a query ended.
    assert!(queries(&transaction).iter().all(|query| query.status == "ok"));
}

#[tokio::test]
async fn a_query_in_a_task_without_a_span_is_of_no_trace() {
    process();
    let pool = pool().await;
    let transaction = transaction_of("spawning", async {
        let (with, without) = (pool.clone(), pool.clone());
        let without = tokio::spawn(async move { sqlx::query("SELECT 1 FROM stock").fetch_all(&without).await });
        let with = async move { sqlx::query("SELECT 2 FROM stock").fetch_all(&with).await };
        let with = tokio::spawn(with.in_current_span());
        assert!(without.await.expect("no panic").is_ok() && with.await.expect("no panic").is_ok());
    })
    .await;
    assert_eq!(texts(&transaction), ["SELECT 2 FROM stock"]);
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_makes_no_span() {
    let transaction = transaction_of("closed", async {
        assert!(SqliteConnection::connect("sqlite:///no/such/folder/shop.db").await.is_err());
    })
    .await;
    assert_eq!(transaction.spans, []);
}

#[tokio::test]
async fn a_driver_that_makes_spans_itself_keeps_its_own() {
    process();
    let pool = pool().await;
    let transaction = transaction_of("instrumented", async {
        let span = info_span!("driver", otel.kind = "client", db.system.name = "sqlite", db.query.text = "SELECT 1");
        assert!(sqlx::query("SELECT 1").fetch_all(&pool).instrument(span).await.is_ok());
    })
    .await;
    assert_eq!(transaction.spans.len(), 1, "{:?}", transaction.spans);
}
