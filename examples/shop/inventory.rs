//! The service behind the gateway: it keeps the stock in a database, records the tenant of each request, and writes log
//! lines.

use std::{error::Error, fmt};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use opentelemetry::Context;
use opentelemetry_sentry::{protocol::RemoteTrace, web::ServerLayer};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::{database::Database, service};

pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::new()
        .route("/stock/{sku}", get(stock))
        .route("/stock/{sku}/reservations", post(reserve))
        .route("/sales", get(sales))
        .with_state(Database::open().await?)
        .layer(ServerLayer::new());
    service::run("inventory@1.0.0", router, TaskTracker::new()).await
}

#[tracing::instrument(skip_all, fields(%sku, tenant = tenant()), err)]
async fn stock(State(database): State<Database>, Path(sku): Path<String>) -> Result<Json<Value>, Failure> {
    let quantity = database.quantity(&sku).await?.ok_or(Failure::Unknown)?;
    tracing::info!(quantity, "in stock");
    Ok(Json(json!({ "sku": sku, "quantity": quantity })))
}

#[tracing::instrument(skip_all, fields(%sku, tenant = tenant()), err)]
async fn reserve(State(database): State<Database>, Path(sku): Path<String>) -> Result<Json<Value>, Failure> {
    let left = database.reserve(&sku).await?.ok_or(Failure::Unknown)?;
    tracing::info!(left, "one reserved");
    Ok(Json(json!({ "sku": sku, "quantity": left })))
}

#[tracing::instrument(skip_all, fields(tenant = tenant()), err)]
async fn sales(State(database): State<Database>) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({ "sold": database.sales().await? })))
}

/// The member `tenant` of the incoming `baggage`. It is a foreign member, which is passed on with Sentry's.
fn tenant() -> Option<String> {
    let cx = Context::current();
    RemoteTrace::from_context(&cx)?.foreign_value("tenant").map(Into::into)
}

#[derive(Debug)]
enum Failure {
    Unknown,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such product, or none left"),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}
