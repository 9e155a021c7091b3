//! When the span of a request ends, and with which status.

use std::{
    convert::Infallible,
    future, io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{self, Poll},
    time::SystemTime,
};

use axum::{Router, routing::get};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use opentelemetry::{
    global,
    trace::{Span, Tracer},
};
use opentelemetry_http::Bytes;
use opentelemetry_sentry::web::ServerLayer;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::{Layer, ServiceExt, service_fn};

use super::{answer, request};
use crate::support::{STAGE, Sent, headers, http_client, new_trace, serve};

/// What a body does when it is polled.
#[derive(Clone, Copy)]
enum Step {
    /// A piece of two bytes, with two spans.
    Piece,
    Trailers(&'static str),
    Wait,
    Fail,
    Panic,
}

/// A body of these steps. It does not know its end before it is asked for it.
struct Steps(Vec<Step>);

impl Body for Steps {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(step) = self.0.first().copied() else { return Poll::Ready(None) };
        if matches!(step, Step::Wait) {
            return Poll::Pending;
        }
        self.0.remove(0);
        Poll::Ready(Some(match step {
            Step::Piece => {
                tracing::info_span!("piece").in_scope(|| global::tracer("test").start("query").end());
                Ok(Frame::data(Bytes::from_static(b"ab")))
            }
            Step::Trailers(status) => {
                let status = HeaderValue::from_static(status);
                Ok(Frame::trailers(HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status)])))
            }
            Step::Fail => Err(io::Error::other("disk on fire")),
            Step::Panic => panic!("this test wants it"),
            Step::Wait => unreachable!("it waits"),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A body that says how long it is, without a header.
struct Sized(Steps, u64);

impl Body for Sized {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

fn outcome(sent: &Sent) -> (&Value, &Value) {
    (&sent.context()["status"], &sent.context()["data"]["error.type"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_open_and_active_until_it_ends() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Steps(vec![Step::Piece; 3]))));
    let response = ServerLayer::new().layer(service).oneshot(request(&trace_id, "/")).await.expect("an answer");
    let head_sent = SystemTime::now();
    let body = response.into_body().collect().await.expect("no error").to_bytes();
    assert_eq!(body, "ababab");

    let sent = STAGE.transaction(&trace_id);
    assert!(STAGE.end_of(sent.context()) >= head_sent, "{sent:?}");
    assert_eq!(outcome(&sent), (&json!("ok"), &Value::Null));
    assert_eq!(sent.context()["data"]["http.response.body.size"], 6);
    let parents = |name: &str| -> Vec<_> {
        let spans = sent.spans().iter().filter(|span| span["description"] == name);
        spans.map(|span| (span["span_id"].clone(), span["parent_span_id"].clone())).collect()
    };
    let (pieces, queries) = (parents("piece"), parents("query"));
    assert_eq!(pieces.len(), 3);
    assert!(pieces.iter().all(|(_, parent)| *parent == sent.context()["span_id"]));
    // The pieces end in their order, so their ids are compared as sets.
    let mut of_pieces: Vec<_> = pieces.iter().map(|(id, _)| id.to_string()).collect();
    let mut of_queries: Vec<_> = queries.iter().map(|(_, parent)| parent.to_string()).collect();
    of_pieces.sort();
    of_queries.sort();
    assert_eq!(of_pieces, of_queries);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_cancels_the_request() {
    let _ = &*STAGE;
    let router =
        Router::new().route("/body", get(async || axum::body::Body::new(Steps(vec![Step::Piece, Step::Wait]))));
    let url = serve(router.layer(ServerLayer::new())).await;
    let trace_id = new_trace();
    let client = http_client();
    let mut response =
        client.get(format!("{url}/body")).headers(headers(&trace_id, "-1")).send().await.expect("a head");
    assert_eq!(response.chunk().await.expect("a chunk").expect("a chunk"), "ab");
    let left = SystemTime::now();
    drop((response, client));
    let sent = STAGE.transaction(&trace_id);
    assert_eq!(outcome(&sent), (&json!("cancelled"), &json!("cancelled")));
    assert!(STAGE.end_of(sent.context()) >= left, "{sent:?}");
    assert_eq!(sent.context()["data"]["http.response.status_code"], 200);
    assert_eq!(sent.context()["data"]["http.response.body.size"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_dropped_before_its_answer_is_cancelled() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let never = service_fn(|_| future::pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let mut call = Box::pin(ServerLayer::new().layer(never).oneshot(request(&trace_id, "/")));
    let poll = future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
    assert!(poll.await);
    let left = SystemTime::now();
    drop(call);
    let sent = STAGE.transaction(&trace_id);
    assert_eq!(outcome(&sent), (&json!("cancelled"), &json!("cancelled")));
    assert!(STAGE.end_of(sent.context()) >= left, "{sent:?}");
    assert_eq!(sent.context()["data"]["http.response.status_code"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_internal_error_wherever_it_is_caught() {
    let _ = &*STAGE;
    let router = Router::new()
        .route("/handler", get(async || -> &'static str { panic!("this test wants it") }))
        .route("/body", get(async || axum::body::Body::new(Steps(vec![Step::Piece, Step::Panic]))));
    let url = serve(router.layer(ServerLayer::new())).await;
    for path in ["handler", "body"] {
        let trace_id = new_trace();
        let response = http_client().get(format!("{url}/{path}")).headers(headers(&trace_id, "-1")).send().await;
        let whole = match response {
            Ok(response) => response.bytes().await,
            Err(error) => Err(error),
        };
        assert!(whole.is_err(), "{path}");
        assert_eq!(outcome(&STAGE.transaction(&trace_id)), (&json!("internal_error"), &json!("panic")), "{path}");
    }

    // A layer outside catches the panic, and drops the future later.
    let trace_id = new_trace();
    let service = service_fn(async |_| -> Result<Response<Full<Bytes>>, Infallible> { panic!("this test wants it") });
    let mut call = Box::pin(ServerLayer::new().layer(service).oneshot(request(&trace_id, "/")));
    let caught = future::poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))).is_err()));
    assert!(caught.await);
    drop(call);
    assert_eq!(outcome(&STAGE.transaction(&trace_id)), (&json!("internal_error"), &json!("panic")));
}

/// The output of a future that need not wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut task::Context::from_waker(task::Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Makes a span when it is dropped, as a database's transaction that is rolled back.
struct RollsBack;

impl Drop for RollsBack {
    fn drop(&mut self) {
        global::tracer("test").start("rollback").end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancelled_request_does_at_its_end_is_in_the_request() {
    let _ = &*STAGE;
    for answers in [false, true] {
        let trace_id = new_trace();
        let service = service_fn(async |_| {
            let open = RollsBack;
            if !answers {
                future::pending::<()>().await;
            }
            let body = Steps(vec![Step::Wait]).map_frame(move |frame| {
                let _open = &open;
                frame
            });
            Ok::<_, Infallible>(Response::new(body))
        });
        let mut call = Box::pin(ServerLayer::new().layer(service).oneshot(request(&trace_id, "/")));
        let head = future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        assert_eq!(head.is_ready(), answers);
        drop(head);
        drop(call);
        let sent = STAGE.transaction(&trace_id);
        assert_eq!(outcome(&sent), (&json!("cancelled"), &json!("cancelled")));
        let spans: Vec<_> = sent.spans().iter().map(|span| (&span["description"], &span["parent_span_id"])).collect();
        assert_eq!(spans, [(&json!("rollback"), &sent.context()["span_id"])], "{answers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_answered_while_another_panic_unwinds_keeps_its_response() {
    /// Asks a service when it is dropped.
    struct Asks(String);

    impl Drop for Asks {
        fn drop(&mut self) {
            let service = service_fn(|_| future::ready(Ok::<_, Infallible>(Response::new(Steps(Vec::new())))));
            let call = ServerLayer::new().layer(service).oneshot(request(&self.0, "/"));
            assert!(at_once(async { call.await.expect("an answer").into_body().collect().await }).is_ok());
        }
    }

    let _ = &*STAGE;
    let trace_id = new_trace();
    let asks = Asks(trace_id.clone());
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let _asks = asks;
        panic!("this test wants it");
    }));
    assert!(caught.is_err());
    let sent = STAGE.transaction(&trace_id);
    let data = &sent.context()["data"];
    let noted = ["http.response.status_code", "http.response.body.size", "error.type"].map(|key| &data[key]);
    assert_eq!(noted, [&json!(200), &json!(0), &Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_service_or_of_the_body_fails_the_request() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let service = service_fn(async |_| Err::<Response<Steps>, _>(io::Error::other("no cable")));
    assert!(ServerLayer::new().layer(service).oneshot(request(&trace_id, "/")).await.is_err());
    let sent = STAGE.transaction(&trace_id);
    assert_eq!(outcome(&sent), (&json!("internal_error"), &json!("std::io::error::Error")));
    assert_eq!(sent.context()["data"]["sentry.status.message"], "no cable");

    let trace_id = new_trace();
    let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Steps(vec![Step::Piece, Step::Fail]))));
    let response = ServerLayer::new().layer(service).oneshot(request(&trace_id, "/")).await.expect("a head");
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(outcome(&STAGE.transaction(&trace_id)), (&json!("internal_error"), &json!("std::io::error::Error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_a_server_drops_at_its_end_is_complete() {
    let _ = &*STAGE;
    let sized = async || ([("content-length", "4")], axum::body::Body::new(Steps(vec![Step::Piece; 2])));
    let none = async || (StatusCode::NO_CONTENT, axum::body::Body::new(Steps(vec![Step::Wait])));
    let hinted = async || axum::body::Body::new(Sized(Steps(vec![Step::Piece, Step::Piece, Step::Wait]), 4));
    let router = Router::new().route("/sized", get(sized)).route("/full", get("text")).route("/none", get(none));
    let url = serve(router.route("/hinted", get(hinted)).layer(ServerLayer::new())).await;
    for (method, path, size) in [
        (Method::GET, "sized", 4),
        (Method::GET, "full", 4),
        (Method::GET, "hinted", 4),
        (Method::HEAD, "sized", 0),
        (Method::HEAD, "full", 0),
        (Method::GET, "none", 0),
    ] {
        let trace_id = new_trace();
        let request = http_client().request(method.clone(), format!("{url}/{path}")).headers(headers(&trace_id, "-1"));
        assert_eq!(request.send().await.expect("an answer").bytes().await.expect("a body").len(), size);
        let sent = STAGE.transaction(&trace_id);
        assert_eq!(outcome(&sent), (&json!("ok"), &Value::Null), "{method} {path}");
        assert_eq!(sent.context()["data"]["http.response.body.size"], size, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_knows_its_end_ends_with_its_last_piece() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"text")))));
    let response = ServerLayer::new().layer(service).oneshot(request(&trace_id, "/")).await.expect("a head");
    let mut body = response.into_body();
    assert!(body.frame().await.is_some());
    // The body is not dropped, and not asked for its end.
    assert_eq!(outcome(&STAGE.transaction(&trace_id)), (&json!("ok"), &Value::Null));
    drop(body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_dropped_early_is_not_complete() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let service = service_fn(async |_| {
        let mut response = Response::new(Steps(vec![Step::Piece; 2]));
        response.headers_mut().insert("content-length", HeaderValue::from_static("4"));
        Ok::<_, Infallible>(response)
    });
    let response = ServerLayer::new().layer(service).oneshot(request(&trace_id, "/")).await.expect("a head");
    let mut body = response.into_body();
    assert!(body.frame().await.is_some());
    drop(body);
    assert_eq!(outcome(&STAGE.transaction(&trace_id)), (&json!("cancelled"), &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_call_has_the_status_of_its_headers_or_trailers() {
    let _ = &*STAGE;
    for (headers, steps, expected) in [
        (None, vec![Step::Piece, Step::Trailers("0")], "ok"),
        (None, vec![Step::Piece, Step::Trailers("5")], "not_found"),
        (Some("13"), vec![], "internal_error"),
    ] {
        let trace_id = new_trace();
        answer(&ServerLayer::new(), request(&trace_id, "/shop.Stock/Get"), |_| {
            let mut response = Response::new(Steps(steps.clone()));
            let status =
                headers.map(|status| (http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(status)));
            response.headers_mut().extend(status);
            future::ready(response)
        })
        .await;
        assert_eq!(STAGE.transaction(&trace_id).context()["status"], expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_outlives_a_request_is_in_its_transaction_and_does_not_make_it_longer() {
    let _ = &*STAGE;
    for (last, status) in [(None, "ok"), (Some(Step::Wait), "cancelled")] {
        let trace_id = new_trace();
        let (go, gate) = oneshot::channel::<()>();
        let (mut gate, mut task) = (Some(gate), None);
        let service = service_fn(|_| {
            let gate = gate.take().expect("one request");
            let handler = tracing::info_span!("handler").entered();
            let work = async { gate.await.expect("the test goes on") };
            task = Some(tokio::spawn(tracing::Instrument::instrument(work, tracing::info_span!("work"))));
            drop(handler);
            let steps = [Step::Piece].into_iter().chain(last).collect();
            future::ready(Ok::<_, Infallible>(Response::new(Steps(steps))))
        });
        let response = ServerLayer::new().layer(service).oneshot(request(&trace_id, "/")).await.expect("a head");
        let mut body = response.into_body();
        assert!(body.frame().await.is_some());
        let open = SystemTime::now();
        if last.is_none() {
            assert!(body.frame().await.is_none());
        }
        drop(body);
        let closed = SystemTime::now();
        go.send(()).expect("the task waits");
        task.expect("a task").await.expect("no panic");

        let sent = STAGE.transaction(&trace_id);
        assert_eq!(sent.context()["status"], status);
        let end = STAGE.end_of(sent.context());
        assert!((open..=closed).contains(&end), "{open:?} {end:?} {closed:?}");
        let mut names: Vec<_> = sent.spans().iter().filter_map(|span| span["description"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["handler", "piece", "query", "work"]);
        let work = sent.spans().iter().find(|span| span["description"] == "work").expect("a span");
        assert!(STAGE.end_of(work) >= closed, "{work}");
        // Its transaction waits for the work, however long that takes.
        assert!(STAGE.is_after(sent.context(), work));
    }
}
