//! Spans of `tracing` and of the OpenTelemetry API below a request, and log lines inside of it.

use std::{
    convert::Infallible,
    future,
    sync::{Arc, Mutex},
};

use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use opentelemetry::{
    Context, global,
    trace::{FutureExt, TraceContextExt, Tracer},
};
use opentelemetry_http::Bytes;
use opentelemetry_sentry::web::ServerLayer;
use tracing::{Subscriber, instrument::WithSubscriber};
use tracing_subscriber::{Layer, filter, layer, prelude::*, registry::LookupSpan};

use super::{answer, empty, request};
use crate::support::{P, STAGE, Sent, new_trace};

#[tracing::instrument]
async fn outer() {
    let span = global::tracer("test").start("middle");
    let cx = Context::current_with_span(span);
    inner().with_context(cx.clone()).await;
    cx.span().end();
}

#[tracing::instrument]
async fn inner() {
    global::tracer("test").in_span("innermost", |_| tracing::info!("a log line"));
}

/// The names of the spans below the transaction, each with that of its parent.
fn chain(sent: &Sent) -> Vec<(String, String)> {
    let root = sent.context()["span_id"].clone();
    let name_of = |id: &serde_json::Value| {
        let span = sent.spans().iter().find(|span| span["span_id"] == *id);
        match span {
            Some(span) => span["description"].as_str().expect("a name").to_owned(),
            None if *id == root => "request".to_owned(),
            None => "unknown".to_owned(),
        }
    };
    let mut chain: Vec<_> =
        sent.spans().iter().map(|span| (name_of(&span["span_id"]), name_of(&span["parent_span_id"]))).collect();
    chain.sort();
    chain
}

/// Keeps the names of the spans around each log line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, cx: layer::Context<'_, S>) {
        let scope = cx.event_scope(event).into_iter().flatten().map(|span| span.name().to_owned());
        self.0.lock().expect("no panic").extend(scope);
    }
}

/// Answers a request under this subscriber, and checks that spans of both APIs nest.
async fn nests(subscriber: impl Subscriber + Send + Sync + 'static) -> Sent {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let layer = ServerLayer::new();
    answer(&layer, request(&trace_id, "/"), async |_| {
        outer().await;
        empty()
    })
    .with_subscriber(subscriber)
    .await;
    let sent = STAGE.transaction(&trace_id);
    assert_eq!(sent.context()["parent_span_id"], P);
    assert_eq!(sent.event["transaction"], "GET /");
    assert_eq!(sent.context()["op"], "http.server");
    assert_eq!(sent.context()["data"]["url.path"], "/");
    assert_eq!(sent.context()["data"]["network.protocol.name"], "http");
    sent
}

const ALL: [(&str, &str); 4] = [("inner", "middle"), ("innermost", "inner"), ("middle", "outer"), ("outer", "request")];

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, parent)| ((*name).to_owned(), (*parent).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_of_both_kinds_nest_and_log_lines_show_the_request() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(STAGE.sentry.tracing_layer()).with(lines.clone());
    let sent = nests(subscriber).await;
    assert_eq!(chain(&sent), owned(&ALL));
    assert_eq!(*lines.0.lock().expect("no panic"), ["inner", "outer", "request"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_of_a_stream_show_the_request() {
    let _ = &*STAGE;
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(STAGE.sentry.tracing_layer()).with(lines.clone());
    let trace_id = new_trace();
    answer(&ServerLayer::new(), request(&trace_id, "/"), |_| {
        let piece = |number: u8| {
            tracing::info!(number, "a log line");
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"ab")))
        };
        future::ready(Response::new(StreamBody::new(tokio_stream::iter((0..2).map(piece)))))
    })
    .with_subscriber(subscriber)
    .await;
    assert_eq!(*lines.0.lock().expect("no panic"), ["request", "request"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_activates_no_contexts_has_the_request_too() {
    let layer = STAGE.sentry.unfiltered_tracing_layer().with_context_activation(false);
    let sent = nests(tracing_subscriber::registry().with(layer)).await;
    // Spans of the API do not see those of `tracing` then, and both see the request.
    let chain = chain(&sent);
    assert!(chain.contains(&("outer".into(), "request".into())), "{chain:?}");
    assert!(chain.contains(&("middle".into(), "request".into())), "{chain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_layer_for_opentelemetry_the_request_is_a_span_of_the_api() {
    let sent = nests(tracing_subscriber::registry()).await;
    assert_eq!(chain(&sent), owned(&[("innermost", "middle"), ("middle", "request")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_refuses_our_target_costs_only_the_log_lines() {
    let ours = || filter::filter_fn(|meta| !meta.target().starts_with("opentelemetry_sentry"));
    // On the layer, or on the whole subscriber.
    let lines = Lines::default();
    let layer = STAGE.sentry.unfiltered_tracing_layer().with_filter(ours());
    let sent = nests(tracing_subscriber::registry().with(layer).with(lines.clone())).await;
    assert_eq!(chain(&sent), owned(&ALL));
    assert_eq!(*lines.0.lock().expect("no panic"), ["inner", "outer", "request"]);

    let lines = Lines::default();
    let layer = STAGE.sentry.tracing_layer();
    let sent = nests(tracing_subscriber::registry().with(layer).with(lines.clone()).with(ours())).await;
    assert_eq!(chain(&sent), owned(&ALL));
    assert_eq!(*lines.0.lock().expect("no panic"), ["inner", "outer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_can_be_reloaded_has_the_request_once() {
    let (layer, _handle) = tracing_subscriber::reload::Layer::new(STAGE.sentry.tracing_layer());
    let sent = nests(tracing_subscriber::registry().with(layer)).await;
    assert_eq!(chain(&sent), owned(&ALL));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_subscriber_the_request_is_a_span_of_the_api() {
    let sent = nests(tracing::subscriber::NoSubscriber::default()).await;
    assert_eq!(chain(&sent), owned(&[("innermost", "middle"), ("middle", "request")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_makes_before_its_future_is_polled_is_in_the_request() {
    let trace_id = new_trace();
    let _ = &*STAGE;
    answer(&ServerLayer::new(), request(&trace_id, "/"), |_| {
        global::tracer("test").in_span("early", |_| ());
        future::ready(empty())
    })
    .await;
    assert_eq!(chain(&STAGE.transaction(&trace_id)), owned(&[("early", "request")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_adds_attributes_to_the_request_by_both_apis() {
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    let _ = &*STAGE;
    let trace_id = new_trace();
    answer(&ServerLayer::new(), request(&trace_id, "/"), async |_| {
        tracing::Span::current().set_attribute("cart.items", 3);
        Context::current().span().set_attribute(opentelemetry::KeyValue::new("cart.currency", "EUR"));
        empty()
    })
    .with_subscriber(tracing_subscriber::registry().with(STAGE.sentry.tracing_layer()))
    .await;
    let sent = STAGE.transaction(&trace_id);
    let data = &sent.context()["data"];
    assert_eq!((&data["cart.items"], &data["cart.currency"]), (&3.into(), &"EUR".into()));
}
