//! Streamed spans through the facade.

use std::{collections::HashMap, env};

use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sentry::{Sentry, TraceLifecycle, exporter::testing::LocalIngest};

use crate::support::{PATIENCE, run_alone, sentry_to_ingest};

#[test]
fn a_streamed_trace_continues_an_incoming_one() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_lifecycle(TraceLifecycle::Stream).build().unwrap();
    let headers =
        HashMap::from([("sentry-trace".to_owned(), "11111111111111111111111111111111-2222222222222222-1".to_owned())]);
    let incoming = sentry.propagator().extract_with_context(&Context::new(), &headers);
    let tracer = sentry.tracer_provider().tracer("test");
    let request = tracer.span_builder("request").with_kind(SpanKind::Server).start_with_context(&tracer, &incoming);
    let request = incoming.with_span(request);
    tracer.start_with_context("load", &request);
    sentry.flush(PATIENCE).unwrap();
    request.span().end();
    sentry.flush(PATIENCE).unwrap();

    let (load, request) = (ingest.span("load"), ingest.span("request"));
    assert_eq!(request.parent_span_id.as_deref(), Some("2222222222222222"));
    assert_eq!((load.segment_id, load.parent_span_id), (Some(request.span_id.clone()), Some(request.span_id)));
    // The client sent no context. Without one Sentry would reject the spans.
    for envelope in ingest.envelopes() {
        let trace = envelope.trace().unwrap();
        assert_eq!(trace["trace_id"], "11111111111111111111111111111111");
    }
}

/// What becomes of a span, with the lifecycle of this process's environment.
fn sent(lifecycle: Option<TraceLifecycle>) -> (usize, usize) {
    let (ingest, builder) = sentry_to_ingest();
    let builder = lifecycle.into_iter().fold(builder, opentelemetry_sentry::SentryBuilder::with_lifecycle);
    let sentry = builder.build().unwrap();
    sentry.tracer_provider().tracer("test").start("work");
    sentry.flush(PATIENCE).unwrap();
    (ingest.transactions().len(), ingest.spans().len())
}

#[test]
fn transactions_are_the_default() {
    assert_eq!(sent(None), (1, 0));
}

#[test]
#[ignore = "it needs an environment of its own; `the_environment_chooses_a_lifecycle` runs it"]
fn with_this_environment() {
    let (transactions, streamed) = ((1, 0), (0, 1));
    if env::var("SENTRY_TRACE_LIFECYCLE").is_ok_and(|lifecycle| lifecycle == "static") {
        assert_eq!(sent(None), transactions);
    } else {
        assert_eq!(sent(None), streamed);
    }
    assert_eq!(sent(Some(TraceLifecycle::Transactions)), transactions, "code beats the environment");
    assert_eq!(sent(Some(TraceLifecycle::Stream)), streamed);
}

#[test]
#[ignore = "it needs an environment of its own; `the_environment_chooses_a_lifecycle` runs it"]
fn with_a_wrong_environment() {
    let error = Sentry::builder().with_dsn("").build().unwrap_err().to_string();
    assert_eq!(error, "SENTRY_TRACE_LIFECYCLE: it must be static or stream, found \"yes\"");
    let ingest = LocalIngest::start().unwrap();
    let builder = Sentry::builder().with_dsn(ingest.dsn());
    assert!(builder.with_lifecycle(TraceLifecycle::Stream).build().is_ok(), "code beats the environment");
}

#[test]
fn the_environment_chooses_a_lifecycle() {
    for lifecycle in ["stream", "static"] {
        run_alone("stream::with_this_environment", &[("SENTRY_TRACE_LIFECYCLE", lifecycle)]);
    }
    run_alone("stream::with_a_wrong_environment", &[("SENTRY_TRACE_LIFECYCLE", "yes")]);
}
