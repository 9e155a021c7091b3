//! An embedded SQLite database. Each query is a span, and no line here makes it: the layer of `tracing` reads `sqlx`'s events.
//!
//! Statements have placeholders, so that no customer data gets into the trace.

use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};

const SCHEMA: &str = "
    CREATE TABLE stock (sku TEXT PRIMARY KEY, quantity INTEGER NOT NULL) STRICT;
    INSERT INTO stock VALUES ('lamp', 12), ('mug', 40), ('chair', 3);";
const QUANTITY: &str = "SELECT quantity FROM stock WHERE sku = ?1";
const RESERVE: &str = "UPDATE stock SET quantity = quantity - 1 WHERE sku = ?1";
/// There is no such table: this statement fails on purpose.
const SALES: &str = "SELECT count(*) FROM sales";

#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: SqlitePool,
}

impl Database {
    pub(crate) async fn open() -> sqlx::Result<Self> {
        // A database in memory belongs to its connection.
        let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = one.connect("sqlite::memory:").await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self { pool })
    }

    /// The quantity in stock; `None` for an unknown product.
    pub(crate) async fn quantity(&self, sku: &str) -> sqlx::Result<Option<i64>> {
        sqlx::query_scalar(QUANTITY).bind(sku).fetch_optional(&self.pool).await
    }

    /// Takes one from the stock, and returns the rest; `None` if the product is unknown or out of stock.
    pub(crate) async fn reserve(&self, sku: &str) -> sqlx::Result<Option<i64>> {
        let mut transaction = self.pool.begin().await?;
        let stock: Option<i64> = sqlx::query_scalar(QUANTITY).bind(sku).fetch_optional(&mut *transaction).await?;
        let Some(stock) = stock.filter(|stock| *stock > 0) else { return Ok(None) };
        sqlx::query(RESERVE).bind(sku).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Some(stock - 1))
    }

    pub(crate) async fn sales(&self) -> sqlx::Result<i64> {
        sqlx::query_scalar(SALES).fetch_one(&self.pool).await
    }
}
