//! Pages whose trace a browser continues.

use axum::{
    Router,
    response::{AppendHeaders, Html},
    routing::get,
};
use http::{HeaderMap, Method};
use opentelemetry::Context;
use opentelemetry_sentry::{
    propagator::meta_tags,
    web::{ServerLayer, ServerTimingLayer, TRACE_HEADERS},
};
use tower_http::cors::{Any, CorsLayer};
use tower_otel::trace::HttpLayer;
use tracing::Level;

use crate::support::{P, STAGE, Sent, headers, http_client, new_trace, serve};

/// A page with a `Server-Timing` header of its own.
async fn page() -> (AppendHeaders<[(&'static str, &'static str); 1]>, Html<String>) {
    (AppendHeaders([("server-timing", "db;dur=53")]), Html(meta_tags(&Context::current())))
}

fn site() -> Router {
    Router::new().route("/", get(page)).layer(ServerTimingLayer::new()).layer(HttpLayer::server(Level::INFO))
}

fn site_of_server_layer() -> Router {
    Router::new().route("/", get(page)).layer(ServerLayer::new().with_server_timing(true))
}

/// The trace headers in `Server-Timing`, which the browser's page load continues.
fn continued(response: &HeaderMap) -> HeaderMap {
    let lines: Vec<_> = response.get_all("server-timing").iter().map(|line| line.to_str().expect("text")).collect();
    let [_, ours] = lines[..] else { panic!("expected two lines, found {lines:?}") };
    let entries = ours.split(", ").map(|entry| entry.split_once(";desc=").expect("a description"));
    entries
        .map(|(name, value)| (name.parse().expect("a name"), value.trim_matches('"').parse().expect("a value")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_load_takes_the_servers_trace_to_a_second_service() {
    let _ = &*STAGE;
    let (first, second) = (serve(site()).await, serve(site_of_server_layer()).await);
    for (first, second) in [(&first, &second), (&second, &first)] {
        continues(first, second).await;
    }
}

/// Loads the page of the first service, and then that of the second with what a browser sends.
async fn continues(first: &str, second: &str) {
    let trace_id = new_trace();

    let response = http_client().get(first).headers(headers(&trace_id, "-1")).send().await.expect("a page");
    let lines = continued(response.headers());
    let page = response.text().await.expect("a page");
    assert!(page.contains(lines["sentry-trace"].to_str().expect("text")), "{page}");

    http_client().get(second).headers(lines).send().await.expect("a page");
    let sent = STAGE.wait("transaction", &trace_id, 2);
    // A request ends with its body, so the first one may be sent after the second.
    let of_caller = |sent: &&Sent| sent.context()["parent_span_id"] == P;
    let one = sent.iter().find(of_caller).expect("the first page");
    let two = sent.iter().find(|sent| !of_caller(sent)).expect("the second page");
    assert_eq!(two.context()["parent_span_id"], one.context()["span_id"]);
    assert_eq!(one.trace, two.trace);
    assert_eq!(one.trace["release"], "web@1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decision_of_an_unsampled_trace_is_passed_on() {
    let _ = &*STAGE;
    for site in [site(), site_of_server_layer()] {
        let trace_id = new_trace();
        let page = http_client().get(serve(site).await).headers(headers(&trace_id, "-0"));
        let response = page.send().await.expect("a page");
        let line = continued(response.headers())["sentry-trace"].to_str().expect("text").to_owned();
        assert!(line.starts_with(&trace_id) && line.ends_with("-0"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_active_span_no_header_is_added() {
    let _ = &*STAGE;
    for router in [
        Router::new().route("/", get(page)).layer(ServerTimingLayer::new()),
        // The layers in the wrong order.
        Router::new().route("/", get(page)).layer(HttpLayer::server(Level::INFO)).layer(ServerTimingLayer::new()),
    ] {
        let site = serve(router).await;
        let response = http_client().get(&site).send().await.expect("a page");
        let lines: Vec<_> = response.headers().get_all("server-timing").iter().collect();
        assert_eq!(lines, ["db;dur=53"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_allows_a_browser_of_another_origin_to_send_the_headers() {
    let cors = CorsLayer::new().allow_origin(Any).allow_headers(TRACE_HEADERS);
    let site = serve(site().layer(cors)).await;
    let preflight = http_client()
        .request(Method::OPTIONS, &site)
        .header("origin", "https://shop.example.com")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "baggage,sentry-trace,traceparent");
    let answer = preflight.send().await.expect("an answer");
    assert_eq!(answer.headers()["access-control-allow-headers"], "sentry-trace,baggage,traceparent");
}
