//! Work that goes on after its response.

use std::{
    future,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, routing::get};
use opentelemetry::{
    Context, TraceId, global,
    trace::{FutureExt, TraceContextExt},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sentry::web::{ServerLayer, deferred};
use tokio::sync::oneshot;
use tower_otel::trace::HttpLayer;
use tracing::Level;

use crate::support::{STAGE, active, headers, http_client, new_trace, outgoing, root, serve};

type Gate = Arc<Mutex<Option<oneshot::Receiver<()>>>>;

#[tracing::instrument]
async fn mail() {}

async fn order(State(gate): State<Gate>) -> &'static str {
    let gate = gate.lock().expect("no panic").take().expect("one order");
    tokio::spawn(deferred("send_confirmation", async {
        gate.await.expect("the test goes on");
        mail().await;
    }));
    "ordered"
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_work_is_a_transaction_of_its_own_after_that_of_its_request_was_sent() {
    stays_apart(|router| router.layer(ServerLayer::new())).await;
    stays_apart(|router| router.layer(HttpLayer::server(Level::INFO))).await;
}

/// Takes an order through a router with this middleware.
async fn stays_apart(middleware: impl FnOnce(Router) -> Router) {
    let _ = &*STAGE;
    let (go, gate) = oneshot::channel();
    let gate = Arc::new(Mutex::new(Some(gate)));
    let router = middleware(Router::new().route("/orders", get(order)).with_state(gate));
    let url = format!("{}/orders", serve(router).await);
    let trace_id = new_trace();

    let answer = http_client().get(url).headers(headers(&trace_id, "-1")).send().await.expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "ordered");
    let request = STAGE.transaction(&trace_id);
    assert_eq!(request.event["transaction"], "GET /orders");

    go.send(()).expect("the work waits");
    let sent = STAGE.wait("transaction", &trace_id, 2);
    let [_, work] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(work.event["transaction"], "send_confirmation");
    assert_eq!(work.context()["parent_span_id"], request.context()["span_id"]);
    assert_eq!(work.context()["status"], "ok");
    // It is not marked as a late part of the request's transaction.
    assert_eq!(work.context()["data"].get("sentry.parent_span_already_sent"), None);
    let link = &work.context()["links"][0];
    assert_eq!((&link["trace_id"], &link["span_id"]), (&trace_id.as_str().into(), &request.context()["span_id"]));
    assert_eq!(work.trace, request.trace);
    assert_eq!(work.trace["release"], "web@1");
    let [mail] = work.spans() else { panic!("{work:?}") };
    assert_eq!((&mail["description"], &mail["parent_span_id"]), (&"mail".into(), &work.context()["span_id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_work_has_the_sampling_context_of_the_trace_that_began_here() {
    let (cx, trace_id) = root("nightly");
    let work = {
        let _guard = cx.clone().attach();
        deferred("report", async { outgoing() })
    };
    cx.span().end();
    let nightly = STAGE.transaction(&trace_id);

    let headers = tokio::spawn(work).await.expect("no panic");
    let sent = STAGE.wait("transaction", &trace_id, 2);
    assert_eq!(sent[1].trace, nightly.trace);
    assert_eq!(nightly.trace["transaction"], "nightly");
    assert_eq!(sent[1].trace["sample_rate"], nightly.trace["sample_rate"]);
    assert!(headers["baggage"].contains("sentry-transaction=nightly"), "{headers:?}");
    assert!(headers["sentry-trace"].starts_with(&trace_id), "{headers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_incoming_decision_applies_to_deferred_work() {
    let _ = &*STAGE;
    for (flag, sampled) in [("-0", false), ("-1", true)] {
        let trace_id = new_trace();
        let headers = headers(&trace_id, flag);
        let cx = global::get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), &HeaderExtractor(&headers))
        });
        let outer = async { deferred("work", async { (active(), outgoing()) }).await };
        let ((trace, span), headers) = outer.with_context(cx).await;
        assert_eq!(trace.to_string(), trace_id);
        assert_eq!(headers["sentry-trace"], format!("{trace_id}-{span}-{}", u8::from(sampled)));
        assert_eq!(STAGE.sent("transaction", &trace_id).len(), 0);
        if sampled {
            STAGE.transaction(&trace_id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_work_that_panics_or_is_dropped_has_a_status_of_its_own() {
    for (panics, status) in [(true, "internal_error"), (false, "cancelled")] {
        let (cx, trace_id) = root("order");
        let (started, has_started) = oneshot::channel();
        let work = {
            let _guard = cx.clone().attach();
            deferred("work", async move {
                started.send(()).expect("the test waits");
                assert!(!panics, "as the test wants");
                future::pending::<()>().await;
            })
        };
        let task = tokio::spawn(work);
        has_started.await.expect("it starts");
        task.abort();
        assert!(task.await.is_err());
        assert_eq!(STAGE.transaction(&trace_id).context()["status"], status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_work_without_a_request_begins_a_trace() {
    let _ = &*STAGE;
    let (trace_id, _) = deferred("lonely", async { active() }).await;
    let sent = STAGE.transaction(&trace_id.to_string());
    assert!(sent.context().get("parent_span_id").is_none() && sent.context().get("links").is_none(), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deferred_work_under_telemetry_suppression_has_no_span() {
    let _ = &*STAGE;
    let suppressed = Context::new().with_telemetry_suppressed();
    let ((trace_id, _), headers) =
        async { deferred("quiet", async { (active(), outgoing()) }).await }.with_context(suppressed).await;
    assert_eq!((trace_id, headers.len()), (TraceId::INVALID, 0));
}
