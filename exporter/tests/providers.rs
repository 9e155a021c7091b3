//! One span processor in several tracer providers.

use std::time::Duration;

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sentry_exporter::{SentryExporter, SentrySpanProcessor, testing::LocalIngest};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_processor_ends_with_the_last_provider_that_has_it() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build().unwrap();
    let processor = SentrySpanProcessor::from(exporter);
    let provider = || SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    let (first, second) = (provider(), provider());
    first.tracer("first").start("one");
    assert!(first.shutdown_with_timeout(PATIENCE).is_ok());
    assert_eq!(ingest.transactions().len(), 1, "the end of a provider sends what it made");
    second.tracer("second").start("two");
    assert!(second.shutdown_with_timeout(PATIENCE).is_ok());
    assert_eq!(ingest.transactions().len(), 2);
    assert!(processor.flush(PATIENCE).is_err(), "now it has ended");
    assert_eq!(processor.stats().spans_dropped(), 0);
}

#[test]
fn spans_are_in_the_statistics_as_soon_as_they_have_ended() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build().unwrap();
    let processor = SentrySpanProcessor::from(exporter);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    let tracer = provider.tracer("test");
    for count in 1..=1000 {
        tracer.start("work");
        assert_eq!(processor.stats().spans_received, count);
    }
}
