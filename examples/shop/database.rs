//! An embedded SQLite database. Every statement is a span.
//!
//! Sentry shows a span with `db.system.name` as a query, with the text of `db.query.text`. Statements have placeholders,
//! so that no customer data gets into the trace.

use std::{
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::task::spawn_blocking;
use tracing::Span;

const SCHEMA: &str = "
    CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL) STRICT;
    INSERT INTO stock VALUES ('lamp', 12), ('mug', 40), ('chair', 3);";
const QUANTITY: &str = "SELECT quantity FROM stock WHERE sku = ?1";
const RESERVE: &str = "UPDATE stock SET quantity = quantity - 1 WHERE sku = ?1";
/// There is no such table: this statement fails on purpose.
const SALES: &str = "SELECT count(*) FROM sales";

#[derive(Clone, Debug)]
pub(crate) struct Database {
    connection: Arc<Mutex<Connection>>,
}

impl Database {
    pub(crate) fn open() -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// The quantity in stock; `None` for an unknown product.
    pub(crate) async fn quantity(&self, sku: String) -> rusqlite::Result<Option<i64>> {
        self.run(move |connection| quantity(connection, &sku)).await
    }

    /// Takes one from the stock, and returns the rest; `None` if the product is unknown or out of stock.
    pub(crate) async fn reserve(&self, sku: String) -> rusqlite::Result<Option<i64>> {
        self.run(move |connection| {
            let immediate = TransactionBehavior::Immediate;
            let transaction = query("BEGIN IMMEDIATE", |_| connection.transaction_with_behavior(immediate))?;
            let Some(stock) = quantity(&transaction, &sku)?.filter(|stock| *stock > 0) else {
                return Ok(None);
            };
            query(RESERVE, |sql| transaction.execute(sql, [&sku]))?;
            query("COMMIT", |_| transaction.commit())?;
            Ok(Some(stock - 1))
        })
        .await
    }

    pub(crate) async fn sales(&self) -> rusqlite::Result<i64> {
        self.run(|connection| query(SALES, |sql| connection.query_row(sql, [], |row| row.get(0)))).await
    }

    /// Runs on a thread that may block, inside of the caller's span.
    async fn run<T, F>(&self, f: F) -> rusqlite::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (caller, connection) = (Span::current(), Arc::clone(&self.connection));
        let work = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            caller.in_scope(|| f(&mut connection))
        };
        spawn_blocking(work).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }
}

fn quantity(connection: &Connection, sku: &str) -> rusqlite::Result<Option<i64>> {
    query(QUANTITY, |sql| connection.query_row(sql, [sku], |row| row.get(0)).optional())
}

/// One statement, in a span of its own.
#[tracing::instrument(
    skip_all,
    err,
    fields(otel.kind = "client", db.system.name = "sqlite", db.namespace = "main", db.query.text = sql)
)]
fn query<T>(sql: &str, execute: impl FnOnce(&str) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    execute(sql)
}
