//! The service in the middle: it continues the incoming trace, calls the next service, and returns the headers of both.
//!
//! `GET /middle?next=URL` logs a line, measures two metrics, and answers with the incoming headers (`in`) and their number of `baggage` lines (`lines`), the
//! outgoing headers (`out`) and the next service's answer (`next`). The variable `SERVER` says what makes the span of a
//! request: `by hand`, `ServerLayer` or `tower-otel`. `GET /flush` answers when everything has been sent to Sentry. The
//! process ends when its standard input is closed.
#![expect(clippy::print_stdout, reason = "the caller reads the URL from standard output")]

use std::{
    env,
    error::Error,
    io,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    routing::get,
};
use opentelemetry::{
    Context, KeyValue, global,
    metrics::{Counter, Histogram},
    propagation::Extractor as _,
    trace::{FutureExt as _, SpanKind, TraceContextExt as _, Tracer as _},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sentry::{Sentry, web::ServerLayer};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, sync::oneshot, task};
use tower_otel::trace::HttpLayer;
use tracing::info;
use tracing_subscriber::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(60);

static DURATION: LazyLock<Histogram<f64>> =
    LazyLock::new(|| global::meter("middle").f64_histogram("checkout.duration").with_unit("ms").build());
static ORDERS: LazyLock<Counter<u64>> =
    LazyLock::new(|| global::meter("middle").u64_counter("checkout.orders").build());

/// The answer if the next service fails.
type Failure = (StatusCode, String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sentry = Arc::new(install()?);
    tracing_subscriber::registry().with(sentry.tracing_layer()).with(sentry.log_layer()).init();
    let router = traced(&env::var("SERVER")?)?.route("/flush", get(flush)).with_state(Arc::clone(&sentry));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/middle", listener.local_addr()?);
    axum::serve(listener, router).with_graceful_shutdown(stdin_closed()).await?;
    Ok(())
}

/// Reads `SENTRY_*` as always. `ORG_ID` and `STRICT` are settings without a variable of Sentry's.
fn install() -> Result<Sentry, Box<dyn Error>> {
    let mut builder = Sentry::builder().with_logs(true).with_metrics(true);
    builder = builder.with_strict_trace_continuation(env::var_os("STRICT").is_some());
    if let Ok(id) = env::var("ORG_ID") {
        builder = builder.with_org_id(id.parse()?);
    }
    Ok(builder.install()?)
}

/// The routes with what makes the spans of requests.
fn traced(server: &str) -> Result<Router<Arc<Sentry>>, String> {
    let router = Router::new().route("/middle", get(middle));
    match server {
        "by hand" => Ok(Router::new().route("/middle", get(by_hand))),
        "ServerLayer" => Ok(router.layer(ServerLayer::new())),
        "tower-otel" => Ok(router.layer(HttpLayer::server(tracing::Level::INFO))),
        other => Err(format!("SERVER is {other:?}")),
    }
}

async fn by_hand(uri: Uri, headers: HeaderMap) -> Result<Json<Value>, Failure> {
    let remote = global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(&headers)));
    let route = [KeyValue::new("http.request.method", "GET"), KeyValue::new("http.route", "/middle")];
    let server = start("GET /middle", SpanKind::Server, &route, &remote);
    let answer = middle(uri, headers).with_context(server.clone()).await;
    server.span().end();
    answer
}

/// Logs a line, measures, and calls the next service in a span below that of the request.
async fn middle(uri: Uri, headers: HeaderMap) -> Result<Json<Value>, Failure> {
    info!(order.items = 3, order.total = 9.5, order.paid = true, order.sku = "lamp", "checkout");
    let order =
        [KeyValue::new("order.sku", "lamp"), KeyValue::new("order.items", 3), KeyValue::new("order.paid", true)];
    DURATION.record(187.5, &order);
    ORDERS.add(1, &order);
    let client = start("GET", SpanKind::Client, &[KeyValue::new("http.request.method", "GET")], &Context::current());

    let mut out = HeaderMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&client, &mut HeaderInjector(&mut out)));
    let answer = call(&uri, out.clone()).await;
    client.span().end();
    let lines = headers.get_all("baggage").iter().count();
    Ok(Json(json!({ "in": trace_headers(&headers), "lines": lines, "out": trace_headers(&out), "next": answer? })))
}

fn start(name: &'static str, kind: SpanKind, attributes: &[KeyValue], parent: &Context) -> Context {
    let tracer = global::tracer("middle");
    let builder = tracer.span_builder(name).with_kind(kind).with_attributes(attributes.to_vec());
    parent.with_span(builder.start_with_context(&tracer, parent))
}

async fn call(uri: &Uri, headers: HeaderMap) -> Result<Value, Failure> {
    let next = uri.query().and_then(|query| query.strip_prefix("next="));
    let next = next.ok_or((StatusCode::BAD_REQUEST, "expected ?next=URL".to_owned()))?;
    let answer =
        async { reqwest::Client::new().get(next).headers(headers).send().await?.error_for_status()?.json().await };
    answer.await.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
}

/// The trace headers. Several lines of a header are joined.
fn trace_headers(headers: &HeaderMap) -> Value {
    let headers = HeaderExtractor(headers);
    let line = |name| Some((str::to_owned(name), Value::from(headers.get_all(name)?.join(","))));
    Value::from(["sentry-trace", "baggage", "traceparent"].into_iter().filter_map(line).collect::<Map<_, _>>())
}

async fn flush(State(sentry): State<Arc<Sentry>>) -> Result<Json<Value>, Failure> {
    let failure = |error: &dyn ToString| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let flushed = task::spawn_blocking(move || sentry.flush(TIMEOUT)).await.map_err(|error| failure(&error))?;
    flushed.map(|()| Json(json!({}))).map_err(|error| failure(&error))
}

async fn stdin_closed() {
    let (sender, closed) = oneshot::channel();
    // A thread: a runtime that shuts down would wait for a task that reads standard input.
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = sender.send(()); // fails if the server has failed
    });
    let _ = closed.await; // an error means that the thread ended, too
}
