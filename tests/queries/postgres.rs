//! `sqlx` with PostgreSQL. The server is that of `tests/interop/postgres`, which names it in `POSTGRES_URL`.

use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tracing::{Instrument, info_span};

use crate::{
    sqlite::{process, transaction_of},
    support::{queries, texts},
};

#[tokio::test]
#[ignore = "needs a server: bash tests/interop/run postgres"]
async fn queries_of_postgresql_are_spans() {
    let url = std::env::var("POSTGRES_URL").expect("tests/interop/postgres sets it");
    process();
    let mut connection = PgConnection::connect(&url).await.expect("a server");
    let transaction = transaction_of("postgres", async {
        sqlx::query("CREATE TEMPORARY TABLE stock (sku text, quantity int)")
            .execute(&mut connection)
            .await
            .expect("a table");
        sqlx::query("INSERT INTO stock VALUES ($1, $2)")
            .bind("lamp")
            .bind(12)
            .execute(&mut connection)
            .await
            .expect("a row");
        let rows =
            sqlx::query("SELECT quantity FROM stock WHERE sku = $1").bind("lamp").fetch_all(&mut connection).await;
        assert_eq!(rows.expect("rows").len(), 1);
        let slow = sqlx::query("SELECT pg_sleep(1.1)").execute(&mut connection).await;
        assert!(slow.is_ok());
        assert!(sqlx::query("SELECT 1 FROM sales").execute(&mut connection).await.is_err());
    })
    .await;
    let all = [
        "CREATE TEMPORARY TABLE stock (sku text, quantity int)",
        "INSERT INTO stock VALUES ($1, $2)",
        "SELECT quantity FROM stock WHERE sku = $1",
        "SELECT pg_sleep(1.1)",
        "SELECT 1 FROM sales",
    ];
    assert_eq!(texts(&transaction), all);
    let select = transaction.span(all[2]);
    assert_eq!((&select.data["db.system.name"], &select.data["rows_returned"]), (&"postgresql".into(), &1.into()));
    assert_eq!(transaction.span(all[1]).data["rows_affected"], 1);
    let slow = transaction.span(all[3]);
    assert_eq!((&slow.data["db.query.slow"], &slow.data["slow_threshold"]), (&true.into(), &"1s".into()));
}

/// A pool whose connections are open, so that the statements of their start are in no transaction.
async fn pool(connections: u32) -> (PgConnectOptions, PgPool) {
    let url = std::env::var("POSTGRES_URL").expect("tests/interop/postgres sets it");
    process();
    let options: PgConnectOptions = url.parse().expect("a URL");
    let pool = PgPoolOptions::new().min_connections(connections).max_connections(connections);
    (options.clone(), pool.connect_with(options).await.expect("a server"))
}

#[tokio::test]
#[ignore = "needs a server: bash tests/interop/run postgres"]
async fn concurrent_queries_are_children_of_the_span_that_each_has() {
    let (_, pool) = pool(3).await;
    let transaction = transaction_of("postgres concurrent", async {
        let query = |sql| sqlx::query(sql).fetch_all(&pool);
        let (one, two, three) = tokio::join!(
            query("SELECT 1 AS one").instrument(info_span!("first")),
            query("SELECT 2 AS two").instrument(info_span!("second")),
            query("SELECT 3 AS three"),
        );
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
        let lost = pool.clone();
        let lost = tokio::spawn(async move { sqlx::query("SELECT 4 AS lost").fetch_all(&lost).await });
        assert!(lost.await.expect("no panic").is_ok());
    })
    .await;
    let parent = |sql: &str| transaction.span(sql).parent_span_id.clone().expect("a parent");
    assert_eq!(parent("SELECT 1 AS one"), transaction.span("first").span_id);
    assert_eq!(parent("SELECT 2 AS two"), transaction.span("second").span_id);
    assert_eq!(parent("SELECT 3 AS three"), transaction.span_id);
    assert!(!texts(&transaction).contains(&"SELECT 4 AS lost"), "a task without a span: {:?}", texts(&transaction));
}

#[tokio::test]
#[ignore = "needs a server: bash tests/interop/run postgres"]
async fn a_transaction_that_fails_and_a_server_that_is_away_leave_what_was_asked() {
    let (options, pool) = pool(1).await;
    let transaction = transaction_of("postgres failing", async {
        let mut open = pool.begin().await.expect("a transaction");
        let create = sqlx::query("CREATE TEMPORARY TABLE ids (id int PRIMARY KEY)").execute(&mut *open).await;
        assert!(create.is_ok());
        assert!(sqlx::query("INSERT INTO ids VALUES (1)").execute(&mut *open).await.is_ok());
        assert!(sqlx::query("INSERT INTO ids VALUES (1), (2)").execute(&mut *open).await.is_err());
        open.rollback().await.expect("a rollback");
        // Nothing listens there, so there is no connection and no query.
        assert!(options.port(1).connect().await.is_err());
    })
    .await;
    let asked = [
        "CREATE TEMPORARY TABLE ids (id int PRIMARY KEY)",
        "INSERT INTO ids VALUES (1)",
        "INSERT INTO ids VALUES (1), (2)",
    ];
    assert_eq!(texts(&transaction)[..3], asked);
    assert_eq!(transaction.span(asked[1]).data["rows_affected"], 1);
    assert_eq!(transaction.span(asked[2]).data["rows_affected"], 0);
    assert!(queries(&transaction).iter().all(|query| query.parent_span_id.as_ref() == Some(&transaction.span_id)));
}
