//! Layers that flush at the end of a request or an invocation.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response};
use http_body_util::BodyExt;
use opentelemetry::{
    Context, global,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_http::Bytes;
use opentelemetry_sdk::Resource;
use opentelemetry_sentry::{
    FlushError, Sentry, Take,
    exporter::testing::{Answer, LocalIngest},
    web::{FlushLayer, ServerLayer},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{PATIENCE, STAGE, headers, new_trace};

/// The budget where the server never answers.
const BUDGET: Duration = Duration::from_millis(1);

/// What flushes have reported.
type Reports = Arc<Mutex<Vec<(FlushError, u64, u64)>>>;

fn sentry_to(ingest: &LocalIngest) -> Sentry {
    let builder = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0);
    builder.with_resource(Resource::builder_empty().build()).build().expect("a valid setup")
}

fn reporting(layer: FlushLayer) -> (FlushLayer, Reports) {
    let reports = Reports::default();
    let noted = Arc::clone(&reports);
    let layer = layer.with_report(move |error, stats| {
        noted.lock().expect("no panic").push((error.clone(), stats.spans_pending, stats.spans_lost()));
    });
    (layer, reports)
}

/// How an invocation ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Ok,
    Err,
    Panic,
    PanicInCall,
}

/// A function that makes a span, and ends in one of four ways.
struct Function {
    tracer: opentelemetry_sdk::trace::SdkTracer,
}

impl Service<End> for Function {
    type Response = &'static str;
    type Error = io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<&'static str, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), io::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, end: End) -> Self::Future {
        // Dropped with the future, and so is its span.
        let cx = Context::new().with_span(self.tracer.start("invocation"));
        assert_ne!(end, End::PanicInCall, "as the test wants");
        Box::pin(async move {
            tokio::task::yield_now().await;
            cx.span().add_event("work", Vec::new());
            match end {
                End::Err => Err(io::Error::other("no stock")),
                End::Panic => panic!("as the test wants"),
                _ => Ok("done"),
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_delivered_when_an_invocation_has_ended_however_it_ends() {
    for end in [End::Ok, End::Err, End::Panic, End::PanicInCall] {
        let ingest = LocalIngest::start().expect("a free port");
        let sentry = sentry_to(&ingest);
        let (layer, reports) = reporting(FlushLayer::new(&sentry).with_budget(PATIENCE));
        let service = layer.layer(Function { tracer: sentry.tracer_provider().tracer("test") });
        let result = tokio::spawn(service.oneshot(end)).await;
        assert_eq!(ingest.transactions().len(), 1, "{end:?}");
        match end {
            End::Ok => assert_eq!(result.unwrap().unwrap(), "done"),
            End::Err => assert_eq!(result.unwrap().unwrap_err().to_string(), "no stock"),
            End::Panic | End::PanicInCall => assert!(result.unwrap_err().is_panic()),
        }
        assert!(reports.lock().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_still_open_is_not_torn() {
    let ingest = LocalIngest::start().expect("a free port");
    let sentry = sentry_to(&ingest);
    let tracer = sentry.tracer_provider().tracer("test");
    let open = Context::new().with_span(tracer.start("open"));
    drop(tracer.start_with_context("of open", &open));
    let service = FlushLayer::new(&sentry).with_budget(PATIENCE).layer(Function { tracer: tracer.clone() });
    service.oneshot(End::Ok).await.unwrap();
    assert_eq!(ingest.transactions().len(), 1);
    open.span().end();
    let service = FlushLayer::new(&sentry).with_budget(PATIENCE).layer(Function { tracer });
    service.oneshot(End::Ok).await.unwrap();
    let whole = ingest.transaction("open");
    assert_eq!(whole.spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["of open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_over_costs_no_span() {
    let ingest = LocalIngest::start().expect("a free port");
    let sentry = sentry_to(&ingest);
    ingest.answer_next([Answer::close()]);
    let (layer, reports) = reporting(FlushLayer::new(&sentry).with_budget(Duration::ZERO));
    let tracer = sentry.tracer_provider().tracer("test");
    layer.layer(Function { tracer: tracer.clone() }).oneshot(End::Ok).await.unwrap();
    let noted = reports.lock().unwrap().remove(0);
    assert_eq!(noted, (FlushError::Timeout(Duration::ZERO), 1, 0), "it is kept for the next call");
    let (layer, reports) = reporting(FlushLayer::new(&sentry).with_budget(PATIENCE));
    layer.layer(Function { tracer }).oneshot(End::Ok).await.unwrap();
    assert!(reports.lock().unwrap().is_empty());
    assert_eq!((ingest.transactions().len(), sentry.stats().spans_pending), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_reported_with_its_number() {
    let ingest = LocalIngest::start().expect("a free port");
    ingest.answer_next([Answer::status(503)]);
    let sentry = sentry_to(&ingest);
    let (layer, reports) = reporting(FlushLayer::new(&sentry).with_budget(PATIENCE));
    layer.layer(Function { tracer: sentry.tracer_provider().tracer("test") }).oneshot(End::Ok).await.unwrap();
    assert_eq!(*reports.lock().unwrap(), [(FlushError::Undelivered { spans: 1 }, 0, 1)]);
}

#[tokio::test]
async fn without_a_thread_it_sends_what_is_complete_and_keeps_to_its_budget() {
    let builder = Sentry::builder().with_dsn("https://public@sentry.example.com/1").with_traces_sample_rate(1.0);
    let sentry = builder.build_driven().expect("a valid setup");
    let tracer = sentry.tracer_provider().tracer("test");
    let (hangs, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(0)));
    let (hangs_now, counted) = (Arc::clone(&hangs), Arc::clone(&sent));
    let fetch = move |_: Request<Bytes>| {
        let (hangs, sent) = (hangs_now.load(Ordering::Relaxed), Arc::clone(&counted));
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            *sent.lock().unwrap() += 1;
            Ok::<_, Infallible>(Response::new(()))
        }
    };
    let (layer, reports) = reporting(FlushLayer::driven(&sentry, fetch).with_budget(BUDGET));
    let open = Context::new().with_span(tracer.start("open"));
    drop(tracer.start_with_context("of open", &open));
    let call = |end| layer.layer(Function { tracer: tracer.clone() }).oneshot(end);
    call(End::Ok).await.unwrap();
    assert_eq!(reports.lock().unwrap().remove(0), (FlushError::Timeout(BUDGET), 2, 0));
    hangs.store(false, Ordering::Relaxed);
    // What got no answer may have to wait for the end of a pause; the rest is delivered.
    call(End::Err).await.unwrap_err();
    assert!(*sent.lock().unwrap() > 0);
    open.span().end();
    let _ = sentry.flush_with(Take::Everything, async |_| Ok::<_, Infallible>(Response::new(()))).await;
    let stats = sentry.stats();
    assert_eq!((stats.spans_received, stats.spans_lost()), (4, 0), "{stats}");
    assert_eq!(stats.spans_sent + stats.spans_pending, 4, "{stats}");
    assert!(stats.spans_sent >= 3, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_with_its_body_and_is_delivered_before_the_last_piece() {
    let stage = &*STAGE;
    let trace_id = new_trace();
    // A body of three pieces, each of which makes a span when it is sent.
    let handler = || async {
        let pieces = ["a", "b", "c"].map(|piece| {
            global::tracer("test").in_span(piece, |_| {});
            Ok::<_, Infallible>(piece)
        });
        Body::from_stream(tokio_stream::iter(pieces))
    };
    let app: Router = Router::new()
        .route("/stream", get(handler))
        .route("/whole", get(|| async { "whole" }))
        .route("/empty", get(|| async {}))
        .layer(ServerLayer::new())
        .layer(FlushLayer::new(&stage.sentry).with_budget(PATIENCE).for_http());
    for (path, text, pieces) in [("/stream", "abc", 3), ("/whole", "whole", 1), ("/empty", "", 0)] {
        let trace_id = if path == "/stream" { trace_id.clone() } else { new_trace() };
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        *request.headers_mut() = headers(&trace_id, "-1");
        let mut body = app.clone().oneshot(request).await.unwrap().into_body();
        let mut received = String::new();
        for piece in 0..pieces {
            assert!(stage.sent("transaction", &trace_id).is_empty(), "{path}: it has not ended before piece {piece}");
            let frame = body.frame().await.unwrap().unwrap();
            received.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        assert!(body.frame().await.is_none());
        assert_eq!((received.as_str(), stage.sent("transaction", &trace_id).len()), (text, 1), "{path}");
    }
    assert_eq!(stage.transaction(&trace_id).spans().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_requests_may_fail_or_panic() {
    let ingest = LocalIngest::start().expect("a free port");
    let sentry = sentry_to(&ingest);
    let tracer = sentry.tracer_provider().tracer("test");
    let layer = FlushLayer::new(&sentry).with_budget(PATIENCE).for_http();
    for panics in [false, true] {
        let tracer = tracer.clone();
        let service = layer.layer(service_fn(move |_: Request<()>| {
            let cx = Context::new().with_span(tracer.start("request"));
            async move {
                cx.span().end();
                assert!(!panics, "as the test wants");
                Err::<Response<Body>, _>(io::Error::other("no stock"))
            }
        }));
        let result = tokio::spawn(service.oneshot(Request::new(()))).await;
        assert_eq!(ingest.transactions().len(), 1 + usize::from(panics));
        match result {
            Ok(answer) => assert_eq!(answer.unwrap_err().to_string(), "no stock"),
            Err(error) => assert!(panics && error.is_panic()),
        }
    }
}

/// A body of HTTP whose span ends with it.
struct Open<B> {
    body: B,
    _cx: Context,
}

impl<B: http_body::Body + Unpin> http_body::Body for Open<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The number of transactions that a request has delivered, for each piece of its body, and the body.
async fn delivered_by(method: &str, status: u16, body: impl Fn() -> Body + Send + 'static) -> (Vec<usize>, String) {
    let ingest = LocalIngest::start().expect("a free port");
    let sentry = sentry_to(&ingest);
    let tracer = sentry.tracer_provider().tracer("test");
    let layer = FlushLayer::new(&sentry).with_budget(PATIENCE).for_http();
    let service = layer.layer(service_fn(move |_: Request<()>| {
        let cx = Context::new().with_span(tracer.start("request"));
        let response =
            Response::builder().status(status).body(Open { body: body(), _cx: cx }).expect("as the test wants");
        async { Ok::<_, Infallible>(response) }
    }));
    let mut body = service
        .oneshot(Request::builder().method(method).uri("/").body(()).expect("as the test wants"))
        .await
        .expect("as the test wants")
        .into_body();
    let (mut numbers, mut text) = (vec![ingest.transactions().len()], String::new());
    text.push_str(&format!("{:?} ", http_body::Body::size_hint(&body).exact()));
    let read = tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            numbers.push(ingest.transactions().len());
            match frame.expect("as the test wants").into_data() {
                Ok(data) => text.push_str(std::str::from_utf8(&data).expect("as the test wants")),
                Err(frame) => text.push_str(&format!(" {:?}", frame.trailers_ref().expect("as the test wants"))),
            }
        }
        assert!(http_body::Body::is_end_stream(&body));
        numbers.push(ingest.transactions().len());
        (numbers, text)
    });
    match read.await {
        Ok(read) => read,
        Err(_) => (vec![sentry.stats().transactions_sent as usize], "panicked".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_passed_on_as_a_whole_whatever_its_kind() {
    let trailers = |pieces: &'static [&'static str]| {
        move || {
            let trailers =
                http::HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), "0".parse().unwrap())]);
            let trailers = async { Some(Ok::<_, axum::Error>(trailers)) };
            let stream = tokio_stream::iter(pieces.iter().map(|piece| Ok::<_, Infallible>(*piece)));
            match pieces {
                [one] => Body::new(Body::from(*one).with_trailers(Box::pin(trailers))),
                _ => Body::new(Body::from_stream(stream).with_trailers(Box::pin(trailers))),
            }
        }
    };
    let sent = "{\"grpc-status\": \"0\"}";
    assert_eq!(delivered_by("GET", 200, || Body::from("ab")).await, (vec![0, 1, 1], "Some(2) ab".to_owned()));
    // Of a known length, after which trailers follow.
    let known = delivered_by("GET", 200, trailers(&["ab"])).await;
    assert_eq!(known, (vec![0, 1, 1, 1], format!("Some(2) ab {sent}")));
    let unknown = delivered_by("GET", 200, trailers(&["a", "b"])).await;
    assert_eq!(unknown, (vec![0, 0, 0, 1, 1], format!("None ab {sent}")));
    // Their body is not sent, so a server drops it.
    assert_eq!(delivered_by("HEAD", 200, || Body::from("ab")).await, (vec![1, 1], "Some(2) ".to_owned()));
    assert_eq!(delivered_by("GET", 304, || Body::from("ab")).await, (vec![1, 1], "Some(2) ".to_owned()));
    let panics = || {
        let pieces = ["a", "b"].into_iter().inspect(|piece| assert_ne!(*piece, "b", "as the test wants"));
        Body::from_stream(tokio_stream::iter(pieces.map(Ok::<_, Infallible>)))
    };
    assert_eq!(delivered_by("GET", 200, panics).await, (vec![1], "panicked".to_owned()));
}
