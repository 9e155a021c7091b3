//! `sqlx` with PostgreSQL. The server is that of `tests/interop/postgres`, which names it in `POSTGRES_URL`.

use sqlx::{Connection, PgConnection};

use crate::{
    sqlite::{process, transaction_of},
    support::texts,
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
