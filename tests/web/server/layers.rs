//! `ServerLayer` with other layers, and with another one of its own kind.

use std::future;

use axum::{
    Router,
    routing::{any, get},
};
use opentelemetry::SpanId;
use opentelemetry_sentry::web::{ServerLayer, Tunnel};
use tower::{Layer, ServiceExt, service_fn};
use tracing::Instrument;

use super::{Incoming, empty, request};
use crate::{
    support::{STAGE, active, headers, http_client, new_trace, serve},
    tunnel::envelope,
};

#[tokio::test(flavor = "multi_thread")]
async fn under_a_second_layer_a_request_is_one_transaction() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let inner = ServerLayer::new().layer(service_fn(|_: Incoming| future::ready(Ok::<_, std::io::Error>(empty()))));
    let response = ServerLayer::new().layer(inner).oneshot(request(&trace_id, "/")).await;
    drop(response.expect("an answer"));
    let sent = STAGE.transaction(&trace_id);
    assert_eq!((sent.spans().len(), &sent.context()["status"]), (0, &"ok".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_on_one_connection_are_two_traces() {
    let _ = &*STAGE;
    let url = serve(Router::new().route("/", get(async || active().0.to_string())).layer(ServerLayer::new())).await;
    let client = http_client();
    let mut traces = Vec::new();
    for _ in 0..2 {
        traces.push(client.get(&url).send().await.expect("an answer").text().await.expect("text"));
    }
    assert_ne!(traces[0], traces[1]);
    for trace_id in &traces {
        assert_eq!(STAGE.transaction(trace_id).context()["parent_span_id"], serde_json::Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_the_tunnel_makes_no_span() {
    let _ = &*STAGE;
    let tunnel = || Tunnel::builder().with_dsn(STAGE.ingest.dsn()).build().expect("a tunnel");
    let page = Router::new().route("/", get(async || ""));
    let mounted = page.clone().route_service("/tunnel", tunnel());
    let handed_on = async move |request| {
        tunnel().oneshot(request).instrument(tracing::info_span!("hand on")).await.expect("an answer")
    };
    let in_a_handler = page.clone().route("/tunnel", any(handed_on));
    let untraced = ServerLayer::new().with_untraced_paths(["/tunnel"]);
    for app in [
        mounted.clone().layer(ServerLayer::new()),
        mounted.clone().layer(ServerLayer::new()).layer(ServerLayer::new()),
        in_a_handler.layer(ServerLayer::new()),
        mounted.layer(untraced),
    ] {
        let url = serve(app).await;
        let (trace_id, client) = (new_trace(), http_client());
        let envelope = envelope(&STAGE.ingest.dsn());
        for (method, body, expected) in [("POST", &*envelope, 200), ("POST", "no envelope", 400), ("GET", "", 405)] {
            let method = method.parse().expect("a method");
            let request = client.request(method, format!("{url}/tunnel")).headers(headers(&trace_id, "-1"));
            assert_eq!(request.body(body.to_owned()).send().await.expect("an answer").status(), expected);
        }
        // A later request of the same trace is its only transaction.
        client.get(&url).headers(headers(&trace_id, "-1")).send().await.expect("an answer");
        assert_eq!(STAGE.transaction(&trace_id).event["transaction"], "GET /");
        assert!(STAGE.is_kept_from_sentry(&trace_id, "hand on"));
        assert_eq!(active().1, SpanId::INVALID);
    }
}
