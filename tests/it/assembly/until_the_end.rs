//! Spans that are not for Sentry, shutdowns, and spans that end after one.

use std::{sync::Arc, thread, time::Duration};

use opentelemetry::{
    Context, KeyValue, SpanId, StringValue, TraceId, Value,
    trace::{Link, Span, SpanKind, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkError,
    testing::trace::new_test_export_span_data,
    trace::{BatchSpanProcessor, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample, SpanProcessor},
};
use opentelemetry_sentry::{
    FlushError, SentrySpanProcessor,
    exporter::{DropReason, testing::LocalIngest},
};
use tokio::{spawn, task::spawn_blocking};

use crate::support::{PATIENCE, exporter_to, flush_patiently, processor_to, sentry_to_ingest};

/// Records everything, and samples spans whose names begin with `sampled`.
#[derive(Clone, Debug)]
struct RecordOnly;

impl ShouldSample for RecordOnly {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        _trace_id: TraceId,
        name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let is_sampled = name.starts_with("sampled");
        let decision = if is_sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::RecordOnly };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() }
    }
}

#[test]
fn spans_that_are_recorded_but_not_sampled_are_not_sent() {
    for is_stock in [false, true] {
        let ingest = LocalIngest::start().unwrap();
        let exporter = exporter_to(&ingest);
        let provider = SdkTracerProvider::builder().with_sampler(RecordOnly);
        let (provider, processor) = if is_stock {
            // It exports spans that are not sampled, too.
            (provider.with_span_processor(BatchSpanProcessor::builder(exporter).build()), None)
        } else {
            let processor = SentrySpanProcessor::from(exporter);
            (provider.with_span_processor(processor.clone()), Some(processor))
        };
        let provider = provider.build();
        let tracer = provider.tracer("test");
        let root = Context::new().with_span(tracer.start("recorded"));
        assert!(root.span().is_recording() && !root.span().span_context().is_sampled());
        tracer.start_with_context("recorded child", &root);
        root.span().end();
        tracer.start("sampled");
        provider.shutdown_with_timeout(PATIENCE).unwrap();
        let names: Vec<_> = ingest.transactions().iter().map(|event| event["transaction"].clone()).collect();
        assert_eq!(names, ["sampled"]);
        if let Some(stats) = processor.map(|processor| processor.stats()) {
            assert_eq!((stats.spans_received, stats.spans_sent, stats.spans_dropped()), (1, 1, 0), "{stats}");
        }
    }
}

#[test]
fn spans_that_are_open_at_the_shutdown_and_end_after_it_are_counted() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let root = Context::new().with_span(tracer.start("root"));
    let child = root.with_span(tracer.start_with_context("child", &root));
    tracer.start_with_context("ended", &child);
    let processor = sentry.span_processor().clone();
    assert_eq!(processor.shutdown(PATIENCE), Ok(()), "the span that has ended arrives");
    child.span().end();
    root.span().end();
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_sent), (3, 1), "{stats}");
    assert_eq!(stats.dropped[&DropReason::Shutdown].spans, 2);
    assert_eq!(ingest.transactions().len(), 1);
    assert_eq!(ingest.transactions()[0]["contexts"]["trace"]["span_id"].as_str().map(str::len), Some(16));
    // After its own shutdown the tracer provider calls no processor, so these spans are not counted.
    let open = tracer.start("open");
    assert_eq!(sentry.shutdown(PATIENCE), Err(FlushError::AlreadyShutdown));
    drop(open);
    assert_eq!(processor.stats().spans_received, 3);
}

#[test]
fn spans_that_end_after_the_shutdown_are_not_kept_in_memory() {
    let ingest = LocalIngest::start().unwrap();
    let processor = processor_to(&ingest);
    processor.shutdown(PATIENCE).unwrap();
    let kept: Arc<str> = "kept alive by a span".into();
    for number in 1..=10_000_u128 {
        let mut span = new_test_export_span_data();
        let is_child = number % 2 == 0;
        span.parent_span_id = if is_child { 7_u64.into() } else { SpanId::INVALID };
        span.attributes = vec![KeyValue::new("text", Value::String(StringValue::from(Arc::clone(&kept))))];
        processor.on_end(span);
        assert_eq!(Arc::strong_count(&kept), 1, "after {number} spans");
    }
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_dropped()), (10_000, 10_000));
    assert_eq!(ingest.requests().len(), 0);
}

#[test]
fn spans_that_were_sent_are_not_kept_in_memory() {
    let ingest = LocalIngest::start().unwrap();
    let processor = processor_to(&ingest);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    let kept: Arc<str> = "kept alive by a span".into();
    for _ in 0..5 {
        for _ in 0..20 {
            let mut root = provider.tracer("test").start("root");
            root.set_attribute(KeyValue::new("text", Value::String(StringValue::from(Arc::clone(&kept)))));
        }
        processor.flush(PATIENCE).unwrap();
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}

/// Flushes and shuts down twice through the tracer provider, and checks what arrived.
fn flush_and_shut_down_twice() {
    for is_stock in [false, true] {
        let ingest = LocalIngest::start().expect("a free port");
        let exporter = exporter_to(&ingest);
        let provider = SdkTracerProvider::builder();
        let provider = if is_stock {
            provider.with_batch_exporter(exporter)
        } else {
            provider.with_span_processor(SentrySpanProcessor::from(exporter))
        };
        let provider = provider.build();
        let tracer = provider.tracer("test");
        tracer.in_span("first", |_| tracer.in_span("child", |_| {}));
        flush_patiently(|| provider.force_flush());
        flush_patiently(|| provider.force_flush());
        tracer.start("second");
        provider.shutdown_with_timeout(PATIENCE).expect("the first shutdown");
        assert!(matches!(provider.shutdown_with_timeout(PATIENCE), Err(OTelSdkError::AlreadyShutdown)));
        provider.force_flush().expect_err("there was a shutdown");
        tracer.start("third");
        assert_eq!(ingest.transactions().len(), 2);
    }
}

#[test]
fn flush_and_shutdown_work_without_a_runtime() {
    flush_and_shut_down_twice();
}

#[tokio::test]
async fn flush_and_shutdown_work_on_the_thread_of_a_current_thread_runtime() {
    flush_and_shut_down_twice();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn flush_and_shutdown_work_on_the_only_worker_of_a_multi_thread_runtime() {
    spawn(async { flush_and_shut_down_twice() }).await.unwrap();
    spawn_blocking(flush_and_shut_down_twice).await.unwrap();
}

#[test]
fn a_second_shutdown_or_flush_returns_an_error() {
    let ingest = LocalIngest::start().unwrap();
    let processor = processor_to(&ingest);
    flush_patiently(|| processor.force_flush());
    processor.on_end(new_test_export_span_data());
    processor.shutdown_with_timeout(PATIENCE).unwrap();
    for _ in 0..2 {
        assert!(matches!(processor.shutdown_with_timeout(Duration::ZERO), Err(OTelSdkError::AlreadyShutdown)));
        assert!(matches!(processor.force_flush(), Err(OTelSdkError::AlreadyShutdown)));
    }
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_sent, ingest.envelopes().len()), (1, 1, 1));
}

#[test]
fn flushes_from_many_threads_all_return() {
    let ingest = LocalIngest::start().unwrap();
    let processor = processor_to(&ingest);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    provider.tracer("test").start("work");
                    assert_eq!(processor.flush(PATIENCE), Ok(()));
                }
            });
        }
    });
    assert_eq!(ingest.envelopes().len(), 80);
}
