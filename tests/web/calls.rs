//! Outgoing requests as spans.

use std::{future, io, net::TcpListener, sync::Mutex};

use axum::{Router, extract::Path, routing::any};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use opentelemetry::{
    Context,
    trace::{FutureExt, TraceContextExt},
};
use opentelemetry_sentry::{
    propagator::PropagationTargets,
    web::{ClientLayer, RequestBuilderExt},
};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{STAGE, Sent, active, http_client, root, serve};

/// A service that answers with the status in the path. The body has the trace headers of the request.
async fn neighbour() -> String {
    let answer = async |Path(status): Path<u16>, headers: HeaderMap| {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let got = json!({ "sentry-trace": text("sentry-trace"), "baggage": text("baggage") });
        (StatusCode::from_u16(status).expect("a status"), got.to_string())
    };
    serve(Router::new().route("/{status}", any(answer))).await
}

/// Makes a call inside of a new trace. Returns the call's span, its result and the transaction.
async fn call<T>(call: impl Future<Output = T>) -> (Value, T, Sent) {
    let (cx, trace_id) = root("work");
    let done = call.with_context(cx.clone()).await;
    cx.span().end();
    let sent = STAGE.transaction(&trace_id);
    let span = sent.spans().first().cloned().unwrap_or_default();
    (span, done, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_and_has_trace_headers() {
    let url = neighbour().await;
    let address = url.trim_start_matches("http://");
    let request = http_client().get(format!("http://me:pw@{address}/200?page=2"));
    let (span, answer, sent) = call(request.send_traced(&ClientLayer::new())).await;
    let got: Value = serde_json::from_str(&answer.expect("an answer").text().await.expect("text")).expect("JSON");

    let port: u16 = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let data = &span["data"];
    assert_eq!((&span["op"], &span["status"]), (&json!("http.client"), &json!("ok")));
    assert_eq!(span["description"], format!("GET http://{address}/200"));
    assert_eq!(data["http.request.method"], "GET");
    assert_eq!(data["url.full"], format!("http://{address}/200?page=2"));
    assert_eq!((&data["server.address"], &data["server.port"]), (&json!("127.0.0.1"), &json!(port)));
    assert_eq!(data["http.response.status_code"], 200);
    assert_eq!(data["otel.kind"], "CLIENT");
    let (trace_id, span_id) = (&sent.context()["trace_id"], &span["span_id"]);
    let expected = format!("{}-{}-1", trace_id.as_str().expect("an id"), span_id.as_str().expect("an id"));
    assert_eq!(got["sentry-trace"], expected);
    assert!(got["baggage"].as_str().is_some_and(|baggage| baggage.contains("sentry-release=shop%401.2.3")), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_400_or_above_is_an_error() {
    let url = neighbour().await;
    for (status, expected) in [(302, "ok"), (404, "not_found"), (429, "resource_exhausted"), (500, "internal_error")] {
        let request = http_client().post(format!("{url}/{status}"));
        let (span, ..) = call(request.send_traced(&ClientLayer::new())).await;
        assert_eq!(span["status"], expected);
        let error_type = if status < 400 { Value::Null } else { json!(status.to_string()) };
        assert_eq!(span["data"]["error.type"], error_type);
        assert_eq!(span["data"]["http.response.status_code"], status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_outlives_its_layer_and_can_be_spawned() {
    let url = neighbour().await;
    let request = {
        let layer = ClientLayer::new();
        http_client().get(format!("{url}/200")).send_traced(&layer)
    };
    let answer = tokio::spawn(request).await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_requests_to_targets_get_headers() {
    let url = neighbour().await;
    let wanted = PropagationTargets::builder().with_text("/200").build().expect("a target");
    let layer = ClientLayer::new().with_targets(wanted);
    for (status, has_headers) in [(200, true), (201, false)] {
        let request = http_client().get(format!("{url}/{status}")).send_traced(&layer);
        let (span, answer, _) = call(request).await;
        let got: Value = serde_json::from_str(&answer.expect("an answer").text().await.expect("text")).expect("JSON");
        assert_eq!((got["sentry-trace"].is_string(), got["baggage"].is_string()), (has_headers, has_headers));
        assert_eq!(span["op"], "http.client");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_has_already_stays() {
    let url = neighbour().await;
    let layer = ClientLayer::new();
    let got = async |headers: &[(&'static str, &'static str)]| {
        let request = headers
            .iter()
            .fold(http_client().get(format!("{url}/200")), |request, (name, value)| request.header(*name, *value));
        let (_, answer, sent) = call(request.send_traced(&layer)).await;
        let got: Value = serde_json::from_str(&answer.expect("an answer").text().await.expect("text")).expect("JSON");
        let text = |name: &str| got[name].as_str().unwrap_or_default().to_owned();
        let trace_id = sent.context()["trace_id"].as_str().expect("an id").to_owned();
        (text("sentry-trace"), text("baggage"), trace_id)
    };
    // The members of all its lines, but not a context of another trace.
    let own = [("baggage", "tenant=acme;p=1,sentry-trace_id=77"), ("baggage", "flag=b%20c")];
    let (trace, baggage, trace_id) = got(&own).await;
    assert!(trace.starts_with(&trace_id), "{trace}");
    assert!(baggage.contains(&format!("sentry-trace_id={trace_id}")), "{baggage}");
    assert!(baggage.ends_with(",tenant=acme;p=1,flag=b%20c"), "{baggage}");
    // A trace of its own.
    let own = [("sentry-trace", "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1"), ("baggage", "a=b")];
    let (trace, baggage, _) = got(&own).await;
    assert_eq!((trace.as_str(), baggage.as_str()), (own[0].1, own[1].1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baggage_line_that_cannot_be_read_stays_a_line_of_its_own() {
    let client = service_fn(|request: Request<()>| {
        let lines = request.headers().get_all("baggage").iter().map(|line| line.as_bytes().to_vec());
        future::ready(Ok::<_, io::Error>(Response::new(lines.collect::<Vec<_>>())))
    });
    let raw: &[u8] = b"name=Z\xfcrich";
    let request = Request::builder().uri("https://api.example.com/").header("baggage", raw).header("baggage", "a=b");
    let client = ClientLayer::new().layer(client);
    let (_, answer, _) = call(client.oneshot(request.body(()).expect("a request"))).await;
    let lines = answer.expect("an answer").into_body();
    let [ours, theirs] = &lines[..] else { panic!("two lines: {lines:?}") };
    assert!(ours.starts_with(b"sentry-") && ours.ends_with(b",a=b"), "{lines:?}");
    assert_eq!(theirs, raw);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_the_path_is_known_headers_are_sent_unless_nowhere() {
    for (targets, expected) in [
        (PropagationTargets::everywhere(), true),
        (PropagationTargets::builder().with_text("api.example.com").build().expect("a target"), true),
        (PropagationTargets::nowhere(), false),
    ] {
        let client = service_fn(|request: Request<()>| {
            future::ready(Ok::<_, io::Error>(Response::new(request.headers().contains_key("sentry-trace"))))
        });
        let client = ClientLayer::new().with_targets(targets).layer(client);
        let request = Request::builder().uri("/path").body(()).expect("a request");
        let (_, answer, _) = call(client.oneshot(request)).await;
        assert_eq!(answer.expect("an answer").into_body(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_is_an_error_with_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let request = http_client().get(format!("http://{address}/?key=hunter2"));
    let (span, answer, sent) = call(request.send_traced(&ClientLayer::new())).await;
    assert!(answer.is_err());
    assert_eq!(
        (&span["status"], &span["data"]["error.type"]),
        (&json!("internal_error"), &json!("reqwest::error::Error"))
    );
    assert!(sent.event.to_string().contains("refused"), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layer_works_with_any_service_of_http_requests() {
    let seen = Mutex::new(None);
    let client = service_fn(|request: Request<&str>| {
        *seen.lock().expect("no panic") = Some((request.headers().clone(), active().1));
        future::ready(match *request.body() {
            "fail" => Err(io::Error::other("no cable")),
            _ => Ok(Response::new(())),
        })
    });
    let request = |body| Request::builder().method("BREW").uri("https://[::1]/pot").body(body).expect("a request");
    for (body, status) in [("", "ok"), ("fail", "internal_error")] {
        let client = ClientLayer::new().layer(client);
        let (span, ..) = call(client.oneshot(request(body))).await;
        let (headers, active) = seen.lock().expect("no panic").take().expect("a request");
        assert_eq!(span["span_id"], active.to_string());
        assert!(headers["sentry-trace"].to_str().expect("text").contains(&active.to_string()));
        let data = &span["data"];
        assert_eq!(
            (&data["http.request.method"], &data["http.request.method_original"]),
            (&json!("_OTHER"), &json!("BREW"))
        );
        assert_eq!((&data["server.address"], &data["server.port"]), (&json!("::1"), &json!(443)));
        assert_eq!(span["status"], status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_dropped_before_its_answer_is_cancelled() {
    let mut client =
        ClientLayer::new().layer(service_fn(|_: Request<()>| future::pending::<Result<Response<()>, io::Error>>()));
    let (span, ..) = call(async { drop(client.call(Request::new(()))) }).await;
    assert_eq!((&span["status"], span["data"].get("url.full")), (&json!("cancelled"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_telemetry_suppression_a_request_has_neither_span_nor_headers() {
    let url = neighbour().await;
    let request = http_client().request(Method::GET, format!("{url}/200")).send_traced(&ClientLayer::new());
    let quiet = async { request.with_context(Context::current().with_telemetry_suppressed()).await };
    let (_, answer, sent) = call(quiet).await;
    let got: Value = serde_json::from_str(&answer.expect("an answer").text().await.expect("text")).expect("JSON");
    assert_eq!(got, json!({ "sentry-trace": null, "baggage": null }));
    assert_eq!(sent.spans(), [] as [Value; 0]);
}
