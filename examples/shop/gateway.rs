//! The service in front: it serves the pages, calls the inventory over HTTP, and confirms orders after its answer.
//!
//! Middleware makes a span for each incoming and each outgoing request, and `#[tracing::instrument]` for each function.
//! So most of this file has nothing to do with Sentry. The exceptions are the page and the tunnel for the browser, and
//! the two ways to make a separate transaction, [`order`] and [`catalogue`].

use std::{
    error::Error,
    fmt,
    sync::LazyLock,
    time::{Duration, Instant},
};

use axum::{
    Form, Json, Router,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram},
};
use opentelemetry_sentry::web::{ServerLayer, Tunnel, deferred, server_action};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tower::{Layer, ServiceExt};
use tower_otel::trace::{Http, HttpLayer};
use tracing::{Instrument, Level, info_span};

use crate::{page::Page, service};

/// How long the mail server takes. Longer than an answer, also on a busy machine.
const MAIL: Duration = Duration::from_millis(250);

/// The orders. An instrument is made when it is first used: before `install` the global meter measures nothing.
static ORDERS: LazyLock<Counter<u64>> = LazyLock::new(|| global::meter("gateway").u64_counter("orders").build());

/// How long the inventory takes to answer.
static LATENCY: LazyLock<Histogram<f64>> =
    LazyLock::new(|| global::meter("gateway").f64_histogram("inventory.duration").with_unit("ms").build());

pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let inventory = Inventory {
        url: service::setting("INVENTORY_URL")?,
        http: HttpLayer::client(Level::INFO).layer(reqwest::Client::new()),
    };
    let page = Page::from_env()?;
    let tunnel = Tunnel::builder().with_dsn(service::setting("SENTRY_DSN")?).build()?;
    let background = TaskTracker::new();
    let router = Router::new()
        .route("/", get(shop_page))
        .route("/static", get(static_page))
        .route("/sentry.js", get(bundle))
        .route("/products/{sku}", get(product_page))
        .route("/orders", post(order))
        .route("/orders/{sku}", post(place_order))
        .route("/catalogue", get(catalogue))
        .route("/sales", get(sales_report))
        .with_state(Shop { page, inventory, background: background.clone() })
        .layer(ServerLayer::new().with_server_timing(true)) // after the routes, so that it knows the matched route
        .route_service("/tunnel", tunnel); // after the layer: requests to the tunnel are not traced
    service::run("gateway@1.0.0", router, background).await
}

#[derive(Clone)]
struct Shop {
    page: Page,
    inventory: Inventory,
    background: TaskTracker,
}

/// A page with its trace in `<meta>` elements.
async fn shop_page(State(shop): State<Shop>) -> Html<String> {
    Html(shop.page.with_trace())
}

/// A static page: its trace is in the header `Server-Timing` only.
async fn static_page(State(shop): State<Shop>) -> Html<String> {
    Html(shop.page.without_trace())
}

async fn bundle(State(shop): State<Shop>) -> Response {
    shop.page.bundle()
}

#[tracing::instrument(skip_all, fields(%sku), err)]
async fn product_page(State(shop): State<Shop>, Path(sku): Path<String>) -> Result<Json<Value>, Failure> {
    let stock = shop.inventory.call(Method::GET, &format!("/stock/{sku}")).await?;
    Ok(Json(json!({ "product": sku, "available": stock["quantity"] })))
}

#[tracing::instrument(skip_all, fields(%sku), err)]
async fn place_order(State(shop): State<Shop>, Path(sku): Path<String>) -> Result<(StatusCode, Json<Value>), Failure> {
    let left = shop.inventory.call(Method::POST, &format!("/stock/{sku}/reservations")).await?;
    ORDERS.add(1, &[KeyValue::new("from", "api")]);
    // The span starts here, inside of this function's span, and moves into the task. So the work is in this trace.
    shop.background.spawn(send_confirmation().instrument(info_span!("send_confirmation", sku)));
    Ok((StatusCode::ACCEPTED, Json(json!({ "ordered": left["sku"] }))))
}

#[derive(Deserialize)]
struct Order {
    sku: String,
}

/// The target of the page's form: a server action as in Next.js.
async fn order(State(shop): State<Shop>, headers: HeaderMap, Form(order): Form<Order>) -> Result<Redirect, Failure> {
    let action = server_action("createOrder").with_headers(&headers).with_form_data([("sku", &*order.sku)]);
    let path = format!("/stock/{}/reservations", order.sku);
    action
        .with_result(|left: &Value| left["quantity"].to_string().into())
        .run(shop.inventory.call(Method::POST, &path))
        .await?;
    ORDERS.add(1, &[KeyValue::new("from", "form")]);
    Ok(Redirect::to("/"))
}

/// Answers at once and does the work afterwards: in the same trace, as a separate transaction.
async fn catalogue(State(shop): State<Shop>) -> (StatusCode, &'static str) {
    let inventory = shop.inventory.clone();
    shop.background.spawn(deferred("send_catalogue", async move {
        sleep(MAIL).await;
        inventory.call(Method::GET, "/stock/chair").await
    }));
    (StatusCode::ACCEPTED, "The catalogue is on its way.")
}

async fn send_confirmation() {
    sleep(MAIL).await;
}

#[tracing::instrument(skip_all, err)]
async fn sales_report(State(shop): State<Shop>) -> Result<Json<Value>, Failure> {
    Ok(Json(shop.inventory.call(Method::GET, "/sales").await?))
}

/// A client for the other service.
#[derive(Clone)]
struct Inventory {
    url: String,
    /// Makes an `http.client` span for each request, and adds the trace headers.
    http: Http<reqwest::Client>,
}

impl Inventory {
    async fn call(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.url).parse().map_err(Failure::Address)?;
        let start = Instant::now();
        let response = self.http.clone().oneshot(reqwest::Request::new(method, url)).await?;
        let took = start.elapsed(); // before the first use of the instrument, which makes it
        LATENCY.record(took.as_secs_f64() * 1e3, &[]);
        Ok(response.error_for_status()?.json().await?)
    }
}

/// A call of the inventory failed.
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
