//! The trace of an error event of the `sentry` crate.

use std::{sync::Arc, thread};

use opentelemetry::{
    Context,
    trace::{FutureExt, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
use sentry::{Client, Hub, Level, integrations::tracing::ErrorLayer};
use serde_json::Value;
use tracing_subscriber::prelude::*;

use crate::support::{client, events, hub, spans};

fn active() -> SpanContext {
    Context::map_current(|cx| cx.span().span_context().clone())
}

fn span(sentry: &Sentry, name: &'static str) -> Context {
    Context::new().with_span(sentry.tracer_provider().tracer("test").start(name))
}

/// The `trace` context of the one event that arrives.
fn trace_of_the_event(ingest: &LocalIngest) -> Value {
    let events = events(ingest, 1);
    assert_eq!(events.len(), 1, "{events:?}");
    events[0]["contexts"]["trace"].clone()
}

#[track_caller]
fn assert_in(trace: &Value, span: &SpanContext) {
    assert_eq!(trace["trace_id"], span.trace_id().to_string());
    assert_eq!(trace["span_id"], span.span_id().to_string());
    assert_eq!(trace.get("parent_span_id"), None);
}

fn stage() -> (LocalIngest, Arc<Client>, Sentry) {
    let ingest = LocalIngest::start().expect("a free port");
    let client = client(&ingest);
    (ingest, client, spans())
}

#[test]
fn an_event_has_the_trace_of_the_active_span() {
    let (ingest, client, sentry) = stage();
    let cx = span(&sentry, "work");
    let _active = cx.clone().attach();
    Hub::run(hub(&client), || sentry::capture_message("no stock", Level::Error));
    assert_in(&trace_of_the_event(&ingest), cx.span().span_context());
}

#[test]
fn an_event_of_a_new_hub_on_another_thread_has_the_trace_of_the_active_span() {
    let (ingest, client, sentry) = stage();
    let main = hub(&client);
    let cx = span(&sentry, "work");
    let theirs = cx.clone();
    thread::spawn(move || {
        let _active = theirs.attach();
        Hub::run(Arc::new(Hub::new_from_top(main)), || sentry::capture_message("no stock", Level::Error));
    })
    .join()
    .expect("no panic");
    assert_in(&trace_of_the_event(&ingest), cx.span().span_context());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_in_a_task_has_the_trace_of_the_tasks_context() {
    let (ingest, client, sentry) = stage();
    let cx = span(&sentry, "work");
    let hub = hub(&client);
    let task = async move {
        tokio::task::yield_now().await;
        hub.capture_message("no stock", Level::Error)
    };
    tokio::spawn(task.with_context(cx.clone())).await.expect("no panic");
    assert_in(&trace_of_the_event(&ingest), cx.span().span_context());
}

#[test]
fn an_event_belongs_to_the_innermost_span_of_tracing() {
    let (ingest, client, sentry) = stage();
    let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
    let _outer = tracing::info_span!("outer").entered();
    let outer = active();
    let _inner = tracing::info_span!("inner").entered();
    let inner = active();
    assert_eq!((inner.trace_id(), inner.span_id() == outer.span_id()), (outer.trace_id(), false));
    hub(&client).capture_message("no stock", Level::Error);
    assert_in(&trace_of_the_event(&ingest), &inner);
}

#[test]
fn an_event_of_sentrys_error_layer_belongs_to_the_active_span() {
    let (ingest, client, sentry) = stage();
    let errors = ErrorLayer::new();
    let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).with(errors).set_default();
    let span = Hub::run(hub(&client), || {
        let _span = tracing::info_span!("work").entered();
        tracing::error!("no stock");
        active()
    });
    assert_in(&trace_of_the_event(&ingest), &span);
}

#[test]
fn the_event_of_a_panic_belongs_to_the_span_that_it_ends() {
    let (ingest, client, sentry) = stage();
    let cx = span(&sentry, "work");
    let theirs = cx.clone();
    let broken = thread::spawn(move || {
        let _active = theirs.attach();
        Hub::run(hub(&client), || panic!("no stock"));
    });
    assert!(broken.join().is_err());
    assert_in(&trace_of_the_event(&ingest), cx.span().span_context());
}

#[test]
fn an_event_under_an_incoming_span_is_below_it() {
    let (ingest, client, _sentry) = stage();
    let remote = SpanContext::new(
        TraceId::from_bytes([7; 16]),
        SpanId::from_bytes([7; 8]),
        TraceFlags::default(),
        true,
        TraceState::default(),
    );
    let _active = Context::new().with_remote_span_context(remote.clone()).attach();
    hub(&client).capture_message("no stock", Level::Error);
    let trace = trace_of_the_event(&ingest);
    assert_eq!(trace["trace_id"], remote.trace_id().to_string());
    assert_eq!(trace["parent_span_id"], remote.span_id().to_string());
    assert_ne!(trace["span_id"], trace["parent_span_id"]);
}

#[test]
fn an_event_has_the_trace_of_an_unsampled_span_too() {
    let (ingest, client, _) = stage();
    let sentry = Sentry::builder().with_dsn("").with_traces_sample_rate(0.0).build().expect("a set-up");
    let cx = span(&sentry, "work");
    assert!(!cx.span().span_context().is_sampled());
    let _active = cx.clone().attach();
    hub(&client).capture_message("no stock", Level::Error);
    assert_in(&trace_of_the_event(&ingest), cx.span().span_context());
}

#[test]
fn without_an_active_span_an_event_keeps_the_trace_of_its_hub() {
    let (ingest, client, _sentry) = stage();
    let hub = hub(&client);
    for _ in 0..2 {
        hub.capture_message("no stock", Level::Error);
    }
    let events = events(&ingest, 2);
    let trace = |event: &Value| event["contexts"]["trace"]["trace_id"].clone();
    // The trace of the hub's scope.
    assert!(trace(&events[0]).is_string());
    assert_eq!(trace(&events[0]), trace(&events[1]));
}

#[test]
fn an_event_keeps_its_other_fields() {
    let (ingest, client, sentry) = stage();
    let hub = hub(&client);
    hub.configure_scope(|scope| scope.set_tag("tenant", "acme"));
    let _active = span(&sentry, "work").attach();
    hub.capture_message("no stock", Level::Warning);
    let event = &events(&ingest, 1)[0];
    assert_eq!((&event["message"], &event["level"]), (&"no stock".into(), &"warning".into()));
    assert_eq!(event["tags"]["tenant"], "acme");
}
