//! Traces that leave through the transport of the `sentry` crate.

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest, sentry_sdk::SharedTransport};
use sentry::Level;

use crate::support::{PATIENCE, client, events, hub, items};

fn sentry(ingest: &LocalIngest, client: &std::sync::Arc<sentry::Client>) -> Sentry {
    let transport = SharedTransport::new(client.clone()).expect("a thread");
    Sentry::builder()
        .with_dsn(ingest.dsn())
        .with_traces_sample_rate(1.0)
        .with_http_client(transport)
        .build()
        .expect("a set-up")
}

#[test]
fn more_traces_than_its_queue_takes_arrive_all() {
    let ingest = LocalIngest::start().expect("a free port");
    let client = client(&ingest);
    let sentry = sentry(&ingest, &client);
    let tracer = sentry.tracer_provider().tracer("test");
    for _ in 0..300 {
        // The long name makes it worth compressing.
        drop(tracer.start("work ".repeat(200)));
    }
    sentry.flush(PATIENCE).expect("all is handed over");
    assert_eq!(items(&ingest, "transaction").len(), 300);
    let stats = sentry.stats();
    assert_eq!((stats.spans_received, stats.spans_sent), (300, 300));
    hub(&client).capture_message("no stock", Level::Error);
    assert_eq!(events(&ingest, 1).len(), 1, "the same transport");
}

#[test]
fn a_client_that_was_closed_is_no_place_for_traces() {
    let ingest = LocalIngest::start().expect("a free port");
    let client = client(&ingest);
    let sentry = sentry(&ingest, &client);
    let processor = sentry.span_processor().clone();
    assert!(client.close(Some(PATIENCE)));
    drop(sentry.tracer_provider().tracer("test").start("work"));
    assert!(sentry.shutdown(std::time::Duration::from_millis(200)).is_err());
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_sent), (1, 0));
    assert_eq!(stats.dropped.values().map(|dropped| dropped.spans).sum::<u64>(), 1);
}
