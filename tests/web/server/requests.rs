//! Which headers are read, and what spans of requests have.

use std::{future, net::SocketAddr, pin::pin};

use axum::{Router, extract::Path, routing::get};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, USER_AGENT},
};
use opentelemetry::{Context, SpanId, trace::TraceContextExt};
use opentelemetry_sentry::{protocol::RemoteTrace, web::ServerLayer};
use serde_json::{Value, json};

use super::{Incoming, answer, empty, request};
use crate::support::{P, STAGE, active, headers, http_client, new_trace, serve};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_transaction_named_after_its_route() {
    let _ = &*STAGE;
    let router = Router::new().route("/products/{sku}", get(async |Path(sku): Path<String>| sku));
    let url = serve(router.layer(ServerLayer::new())).await;
    let trace_id = new_trace();
    let lamp = http_client().get(format!("{url}/products/lamp?page=2")).headers(headers(&trace_id, "-1"));
    let answer = lamp.header("user-agent", "me/1").header("content-length", "4").body("text").send().await;
    assert_eq!(answer.expect("an answer").text().await.expect("text"), "lamp");

    let sent = STAGE.transaction(&trace_id);
    let data = &sent.context()["data"];
    assert_eq!(sent.event["transaction"], "GET /products/{sku}");
    assert_eq!(sent.event["transaction_info"]["source"], "route");
    assert_eq!((&sent.context()["op"], &sent.context()["status"]), (&json!("http.server"), &json!("ok")));
    assert_eq!(sent.context()["parent_span_id"], P);
    assert_eq!(sent.trace["release"], "web@1");
    let port: u16 = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    for (key, value) in [
        ("http.request.method", json!("GET")),
        ("http.route", json!("/products/{sku}")),
        ("url.path", json!("/products/lamp")),
        ("url.query", json!("page=2")),
        ("url.scheme", json!("http")),
        ("server.address", json!("127.0.0.1")),
        ("server.port", json!(port)),
        ("user_agent.original", json!("me/1")),
        ("network.protocol.name", json!("http")),
        ("network.protocol.version", json!("1.1")),
        ("http.request.body.size", json!(4)),
        ("http.response.status_code", json!(200)),
        ("http.response.body.size", json!(4)),
        ("otel.kind", json!("SERVER")),
        ("client.address", Value::Null),
    ] {
        assert_eq!(data[key], value, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sampler_decides_by_all_that_is_known_of_a_request() {
    let _ = &*STAGE;
    let router = Router::new().route("/sampled/{sku}", get(async || "a lamp"));
    let server = router.layer(ServerLayer::new().with_client_address(1).with_request_headers([ACCEPT]));
    let url = serve(server).await;
    let request = http_client().get(format!("{url}/sampled/lamp?page=2")).header("user-agent", "me/1");
    let request = request.header("x-forwarded-for", "203.0.113.8").header("x-forwarded-proto", "https");
    request.header("accept", "text/html").header("content-length", "4").body("text").send().await.expect("an answer");

    let asked = STAGE.asked_about("/sampled/lamp");
    let port = url.rsplit(':').next().expect("a port");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/sampled/{sku}"),
        ("url.query", "page=2"),
        ("url.scheme", "https"),
        ("server.address", "127.0.0.1"),
        ("server.port", port),
        ("client.address", "203.0.113.8"),
        ("user_agent.original", "me/1"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "1.1"),
        ("http.request.body.size", "4"),
        ("http.request.header.accept", "[\"text/html\"]"),
    ] {
        assert_eq!(asked.get(key).map(ToString::to_string).as_deref(), Some(value), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_header_is_read() {
    let _ = &*STAGE;
    let router = Router::new().route("/", get(async || foreign()));
    let url = serve(router.layer(ServerLayer::new())).await;
    let trace_id = new_trace();
    let mut lines = headers(&trace_id, "-1");
    let sentry = lines.remove("baggage").expect("a line");
    // The first line has only foreign members. One of them is not ASCII.
    lines.append("baggage", HeaderValue::from_bytes(b"tenant=acme,name=J\xfcrgen,flag=b").expect("a value"));
    lines.append("baggage", sentry);
    let answer = http_client().get(url).headers(lines).send().await.expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "tenant=acme,flag=b");
    assert_eq!(STAGE.transaction(&trace_id).trace["release"], "web@1");
}

fn foreign() -> String {
    let cx = Context::current();
    RemoteTrace::from_context(&cx).map(|trace| trace.foreign().collect::<Vec<_>>().join(",")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_requests_over_one_http2_connection_are_five_transactions() {
    let _ = &*STAGE;
    let router = Router::new().route("/h2", get(async || "over h2"));
    let url = serve(router.layer(ServerLayer::new())).await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    let trace_ids: Vec<_> = (0..5).map(|_| new_trace()).collect();
    for trace_id in &trace_ids {
        let answer = client.get(format!("{url}/h2")).headers(headers(trace_id, "-1")).send().await;
        assert_eq!(answer.expect("an answer").text().await.expect("text"), "over h2");
    }
    for trace_id in &trace_ids {
        let sent = STAGE.transaction(trace_id);
        assert_eq!(sent.context()["data"]["network.protocol.version"], "2");
        assert_eq!(sent.context()["data"]["server.address"], "127.0.0.1");
        assert_eq!(sent.spans(), [] as [Value; 0]);
    }
    // The connection has made no transactions of its own; these are spans of h2.
    let envelopes = STAGE.ingest.envelopes();
    let sent = envelopes.iter().flat_map(|envelope| envelope.items()).filter_map(|item| item.json().ok());
    let names: Vec<_> = sent.map(|event| event["transaction"].clone()).collect();
    for name in ["Connection", "FramedRead::poll_next", "FramedWrite::buffer", "FramedWrite::flush", "poll"] {
        assert!(!names.contains(&json!(name)), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_and_paths_on_the_list_make_no_span() {
    let _ = &*STAGE;
    let layer = ServerLayer::new().with_untraced_paths(["/health", "/sentry/*"]);
    let traced = async |request: Incoming| {
        let mut span = None;
        answer(&layer, request, |_| {
            span = Some(active().1);
            future::ready(empty())
        })
        .await;
        span.expect("the handler was called") != SpanId::INVALID
    };
    for (path, expected) in
        [("/health", false), ("/health/db", true), ("/sentry/tunnel?a=b", false), ("/sentry", true), ("/", true)]
    {
        assert_eq!(traced(request(&new_trace(), path)).await, expected, "{path}");
    }
    let mut options = request(&new_trace(), "/");
    *options.method_mut() = Method::OPTIONS;
    assert!(traced(options.clone()).await);
    options.headers_mut().insert("origin", HeaderValue::from_static("https://shop.example.com"));
    options.headers_mut().insert("access-control-request-method", HeaderValue::from_static("GET"));
    assert!(!traced(options).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_telemetry_is_suppressed_no_span_is_made() {
    let _ = &*STAGE;
    let layer = ServerLayer::new();
    let mut call = pin!(answer(&layer, request(&new_trace(), "/"), |_| {
        assert!(!Context::current().span().span_context().is_valid());
        future::ready(empty())
    }));
    // The guard must not be kept while the task waits.
    let poll = future::poll_fn(|cx| {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        call.as_mut().poll(cx)
    });
    poll.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_server_is_one_of_the_span_and_one_of_the_client_is_not() {
    let _ = &*STAGE;
    for (status, expected, error_type) in [
        (StatusCode::FOUND, "ok", Value::Null),
        (StatusCode::NOT_FOUND, "not_found", Value::Null),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable", json!("503")),
    ] {
        let trace_id = new_trace();
        answer(&ServerLayer::new(), request(&trace_id, "/"), |_| {
            let mut response = empty();
            *response.status_mut() = status;
            future::ready(response)
        })
        .await;
        let sent = STAGE.transaction(&trace_id);
        assert_eq!(sent.context()["status"], expected);
        assert_eq!(sent.context()["data"]["error.type"], error_type);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_headers_on_the_list_are_recorded() {
    let _ = &*STAGE;
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    let layer = ServerLayer::new()
        .with_request_headers(names(&["x-shop", "x-none", "authorization"]))
        .with_response_headers(names(&["x-answer"]));
    let trace_id = new_trace();
    let mut request = request(&trace_id, "/");
    request.headers_mut().append("x-shop", HeaderValue::from_static("one"));
    request.headers_mut().append("x-shop", HeaderValue::from_static("two"));
    request.headers_mut().append("x-other", HeaderValue::from_static("no"));
    request.headers_mut().append("authorization", HeaderValue::from_static("Bearer hunter2"));
    answer(&layer, request, |_| {
        let mut response = empty();
        response.headers_mut().insert("x-answer", HeaderValue::from_static("yes"));
        response.headers_mut().insert("x-other", HeaderValue::from_static("no"));
        future::ready(response)
    })
    .await;
    let sent = STAGE.transaction(&trace_id);
    let data = &sent.context()["data"];
    assert_eq!(data["http.request.header.x-shop"], json!(["one", "two"]));
    assert_eq!(data["http.response.header.x-answer"], json!(["yes"]));
    let text = sent.event.to_string();
    assert!(!text.contains("x-other") && !text.contains("x-none") && !text.contains("hunter2"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_headers_are_cut() {
    let _ = &*STAGE;
    let mut request = request(&new_trace(), "/long");
    for name in [USER_AGENT, ACCEPT] {
        request.headers_mut().insert(name, HeaderValue::from_str(&"a".repeat(5000)).expect("a value"));
    }
    answer(&ServerLayer::new().with_request_headers([ACCEPT]), request, |_| future::ready(empty())).await;
    let asked = STAGE.asked_about("/long");
    assert_eq!(asked["user_agent.original"].to_string(), "a".repeat(2048));
    assert_eq!(asked["http.request.header.accept"].to_string(), format!("[\"{}\"]", "a".repeat(2048)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_address_is_what_the_first_own_proxy_has_seen() {
    let _ = &*STAGE;
    let peer = axum::extract::ConnectInfo(SocketAddr::from(([10, 0, 0, 9], 4711)));
    for (proxies, expected, scheme) in [
        (None, Value::Null, "http"),
        (Some(0), json!("10.0.0.9"), "http"),
        (Some(1), json!("2001:db8::7"), "https"),
        (Some(2), json!("203.0.113.8"), "https"),
        (Some(3), Value::Null, "https"),
        (Some(9), Value::Null, "https"),
    ] {
        let layer = proxies.into_iter().fold(ServerLayer::new(), ServerLayer::with_client_address);
        let trace_id = new_trace();
        let mut request = request(&trace_id, "/");
        request.extensions_mut().insert(peer);
        request.headers_mut().append("x-forwarded-for", HeaderValue::from_static("forged"));
        request.headers_mut().append("x-forwarded-for", HeaderValue::from_static("203.0.113.8:81, [2001:db8::7]"));
        request.headers_mut().append("x-forwarded-proto", HeaderValue::from_static("https"));
        answer(&layer, request, |_| future::ready(empty())).await;
        let sent = STAGE.transaction(&trace_id);
        let data = &sent.context()["data"];
        assert_eq!(data["client.address"], expected, "{proxies:?}");
        assert_eq!(data["url.scheme"], scheme, "{proxies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_hide_what_a_proxy_appends_to_its_line() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let mut request = request(&trace_id, "/");
    for (name, line) in [("x-forwarded-for", &b"\xff, 203.0.113.8"[..]), ("x-forwarded-proto", b"\xff, https")] {
        request.headers_mut().insert(name, HeaderValue::from_bytes(line).expect("a value"));
    }
    answer(&ServerLayer::new().with_client_address(1), request, |_| future::ready(empty())).await;
    let sent = STAGE.transaction(&trace_id);
    let data = &sent.context()["data"];
    assert_eq!((&data["client.address"], &data["url.scheme"]), (&json!("203.0.113.8"), &json!("https")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_load_can_continue_the_trace() {
    let _ = &*STAGE;
    for on in [true, false] {
        let trace_id = new_trace();
        let layer = ServerLayer::new().with_server_timing(on);
        let head = answer(&layer, request(&trace_id, "/"), |_| future::ready(empty())).await;
        let sent = STAGE.transaction(&trace_id);
        let span_id = sent.context()["span_id"].as_str().expect("an id");
        let line = head.headers.get("server-timing").map(|line| line.to_str().expect("text"));
        assert_eq!(line.is_some_and(|line| line.contains(&format!("{trace_id}-{span_id}-1"))), on, "{line:?}");
    }
}
