//! The service in front: it asks the inventory over HTTP, and confirms orders after it has answered.
//!
//! Nothing here knows Sentry. A middleware makes a span of each request that comes in, another one of each that goes
//! out, and `#[tracing::instrument]` makes one of each function.

use std::{error::Error, fmt, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tower::{Layer, ServiceExt};
use tower_otel::trace::{Http, HttpLayer};
use tracing::{Instrument, Level, info_span};

use crate::service;

/// How long the mail server takes.
const MAIL: Duration = Duration::from_millis(60);

pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let inventory = Inventory {
        url: service::setting("INVENTORY_URL")?,
        http: HttpLayer::client(Level::INFO).layer(reqwest::Client::new()),
    };
    let background = TaskTracker::new();
    let router = Router::new()
        .route("/products/{sku}", get(product_page))
        .route("/orders/{sku}", post(place_order))
        .route("/sales", get(sales_report))
        .with_state(Shop { inventory, background: background.clone() })
        .layer(HttpLayer::server(Level::INFO)); // after the routes, so that it knows which one was found
    service::run("gateway@1.0.0", router, background).await
}

#[derive(Clone)]
struct Shop {
    inventory: Inventory,
    background: TaskTracker,
}

#[tracing::instrument(skip_all, fields(%sku), err)]
async fn product_page(State(shop): State<Shop>, Path(sku): Path<String>) -> Result<Json<Value>, Failure> {
    let stock = shop.inventory.call(Method::GET, &format!("/stock/{sku}")).await?;
    Ok(Json(json!({ "product": sku, "available": stock["quantity"] })))
}

#[tracing::instrument(skip_all, fields(%sku), err)]
async fn place_order(State(shop): State<Shop>, Path(sku): Path<String>) -> Result<(StatusCode, Json<Value>), Failure> {
    let left = shop.inventory.call(Method::POST, &format!("/stock/{sku}/reservations")).await?;
    // The span begins here, inside of this one, and goes along: that is what keeps the work in this trace.
    shop.background.spawn(send_confirmation().instrument(info_span!("send_confirmation", sku)));
    Ok((StatusCode::ACCEPTED, Json(json!({ "ordered": left["sku"] }))))
}

async fn send_confirmation() {
    sleep(MAIL).await;
}

#[tracing::instrument(skip_all, err)]
async fn sales_report(State(shop): State<Shop>) -> Result<Json<Value>, Failure> {
    Ok(Json(shop.inventory.call(Method::GET, "/sales").await?))
}

/// The other service, as this one sees it.
#[derive(Clone)]
struct Inventory {
    url: String,
    /// Makes an `http.client` span of each request, and puts the trace's headers on it.
    http: Http<reqwest::Client>,
}

impl Inventory {
    async fn call(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.url).parse().map_err(Failure::Address)?;
        let response = self.http.clone().oneshot(reqwest::Request::new(method, url)).await?;
        Ok(response.error_for_status()?.json().await?)
    }
}

/// The inventory did not do what it was asked for.
#[derive(Debug)]
enum Failure {
    Address(<reqwest::Url as std::str::FromStr>::Err),
    Call(reqwest::Error),
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Call(error.without_url())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "the inventory's address: {error}"),
            Self::Call(error) => write!(f, "the inventory: {error}"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Call(error) => error.status().filter(StatusCode::is_client_error),
            Self::Address(_) => None,
        };
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), self.to_string()).into_response()
    }
}
