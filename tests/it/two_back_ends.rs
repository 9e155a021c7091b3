//! Everything is recorded for another back end, and only a sample is sent to Sentry.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor};
use opentelemetry_sentry::{Sentry, SentrySampler, exporter::DropReason};
use tracing_subscriber::prelude::*;

use crate::support::{Headers, PATIENCE, sentry_to_ingest};

#[test]
fn another_back_end_gets_all_spans_and_sentry_its_sample() {
    let others = InMemorySpanExporter::default();
    for (rate, for_sentry) in [(0.0, 0), (1.0, 3)] {
        let (ingest, builder) = sentry_to_ingest();
        let sampler = SentrySampler::builder().with_rate(rate).with_record_all(true).build().unwrap();
        let builder = builder.with_sampler(sampler).with_span_processor(SimpleSpanProcessor::new(others.clone()));
        let sentry = builder.build().unwrap();
        let tracer = sentry.tracer_provider().tracer("test");
        let root = Context::new().with_span(tracer.start("root"));
        let child = root.with_span(tracer.start_with_context("child", &root));
        tracer.start_with_context("grandchild", &child);
        let mut headers = HashMap::new();
        sentry.propagator().inject_context(&child, &mut headers);
        assert!(headers["traceparent"].ends_with("-01"), "the SDK's decision");
        assert!(headers["sentry-trace"].ends_with(if rate > 0.0 { "-1" } else { "-0" }), "Sentry's decision");
        child.span().end();
        root.span().end();
        sentry.flush(PATIENCE).unwrap();
        assert_eq!(others.get_finished_spans().unwrap().len(), 3);
        assert_eq!(sentry.stats().spans_sent, for_sentry);
        assert_eq!(sentry.stats().dropped.contains_key(&DropReason::SampleRate), rate == 0.0);
        assert_eq!(ingest.envelopes().is_empty(), rate == 0.0);
        others.reset();
    }
}

#[test]
fn an_unsampled_trace_is_counted() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_traces_sample_rate(0.0).build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    tracer.in_span("root", |_| tracer.in_span("child", |_| {}));
    let stats = sentry.stats();
    assert_eq!(stats.spans_received, 1);
    assert_eq!(stats.dropped[&DropReason::SampleRate].transactions, 1);
    assert_eq!(stats.spans_dropped(), 1);
    sentry.sampler().set_rate(Some(1.0)).unwrap();
    tracer.in_span("root", |_| tracer.in_span("child", |_| {}));
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!(sentry.stats().spans_sent, 2);
}

#[test]
fn a_sampling_function_may_start_spans_log_and_call_sentry() {
    let (_ingest, builder) = sentry_to_ingest();
    let slot: Arc<OnceLock<Sentry>> = Arc::default();
    let inner = Arc::clone(&slot);
    let builder = builder.with_traces_sampler(move |context| {
        let sentry = inner.get().expect("is set before any span");
        if context.name == "outer" {
            sentry.tracer_provider().tracer("test").start("inner");
            tracing::info!("deciding");
            sentry.flush(PATIENCE).expect("a flush inside of a decision");
        }
        1.0
    });
    slot.set(builder.build().unwrap()).unwrap();
    let sentry = slot.get().unwrap();
    sentry.tracer_provider().tracer("test").start("outer");
    sentry.flush(PATIENCE).unwrap();
    assert_eq!(sentry.stats().spans_sent, 1, "spans that the function starts are not recorded");
}

#[test]
fn a_sampling_function_sees_the_fields_that_tracing_records_before_the_span_starts() {
    let (_ingest, builder) = sentry_to_ingest();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let sentry = builder
        .with_traces_sampler(move |context| {
            let late = context.attributes.iter().any(|attribute| attribute.key.as_str() == "late");
            notes.lock().unwrap().push(format!("{} {:?} {:?} {late}", context.name, context.kind, context.op));
            0.0
        })
        .build()
        .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(sentry.tracing_layer()), || {
        let span = tracing::info_span!("x", otel.name = "job", otel.kind = "consumer", late = tracing::field::Empty);
        span.record("late", 1);
        span.in_scope(|| {});
        let request = tracing::info_span!("HTTP", otel.kind = "server", http.request.method = "GET", http.route = "/a");
        request.in_scope(|| {});
    });
    let expected = ["job Consumer None true", "GET /a Server Some(\"http.server\") false"];
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// How many spans a span of another back end stands for: the inverse of the probability that its threshold says.
fn adjusted_count(state: &str) -> f64 {
    let digits = state.split([';', '=']).find_map(|entry| entry.strip_prefix("th:")).expect("a threshold");
    let threshold = u64::from_str_radix(&format!("{digits:0<14}"), 16).expect("hex digits");
    (1_u64 << 56) as f64 / ((1_u64 << 56) - threshold) as f64
}

#[test]
fn another_back_end_counts_the_spans_of_a_sample_right() {
    let others = InMemorySpanExporter::default();
    let (_ingest, builder) = sentry_to_ingest();
    let sampler = SentrySampler::builder().with_rate(0.25).with_tracestate(true).build().unwrap();
    let sentry = builder
        .with_sampler(sampler)
        .with_span_processor(SimpleSpanProcessor::new(others.clone()))
        .with_exporter(|exporter| exporter.with_dsn(""))
        .build()
        .unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    // Trace ids whose low 56 bits are spread evenly, each of which comes without a decision.
    for step in 0..1000_u128 {
        let trace_id = format!("{:032x}", (1 << 64) + (step << 56) / 1000);
        let incoming = Headers::new([("sentry-trace", &format!("{trace_id}-b0e6f15b45c36b12"))]);
        let cx = sentry.propagator().extract(&incoming);
        let root = cx.with_span(tracer.start_with_context("root", &cx));
        let mut headers = HashMap::new();
        sentry.propagator().inject_context(&root, &mut headers);
        let state = &headers["tracestate"];
        assert_eq!(state.contains("th:"), headers["sentry-trace"].ends_with("-1"), "{headers:?}");
        drop(tracer.start_with_context("child", &root));
    }
    let spans = others.get_finished_spans().unwrap();
    let count = spans.iter().map(|span| adjusted_count(&span.span_context.trace_state().header())).sum::<f64>();
    assert_eq!((spans.len(), count), (500, 2000.0));
}
