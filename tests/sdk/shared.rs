//! Traces that are sent by the transport of the `sentry` crate.

use std::{sync::Arc, time::Duration};

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest, sentry_sdk::SharedTransport};
use sentry::{Client, Level};

use crate::support::{PATIENCE, client, events, hub};

fn sentry(ingest: &LocalIngest, client: &Arc<Client>) -> Sentry {
    let transport = SharedTransport::new(client.clone()).expect("a thread");
    Sentry::builder()
        .with_dsn(ingest.dsn())
        .with_traces_sample_rate(1.0)
        .with_http_client(transport)
        .build()
        .expect("a set-up")
}

#[test]
fn more_traces_than_the_transports_queue_holds_all_arrive() {
    let ingest = LocalIngest::start().expect("a free port");
    let client = client(&ingest);
    let sentry = sentry(&ingest, &client);
    let tracer = sentry.tracer_provider().tracer("test");
    for _ in 0..300 {
        // The long name makes the body large enough for compression.
        drop(tracer.start("work ".repeat(200)));
    }
    sentry.flush(PATIENCE).expect("all traces are handed over");
    assert_eq!(ingest.transactions().len(), 300);
    let stats = sentry.stats();
    assert_eq!((stats.spans_received, stats.spans_sent), (300, 300));
    hub(&client).capture_message("no stock", Level::Error);
    assert_eq!(events(&ingest, 1).len(), 1, "the same transport");
}

#[test]
fn traces_for_a_closed_client_are_counted_as_dropped() {
    let ingest = LocalIngest::start().expect("a free port");
    let client = client(&ingest);
    let sentry = sentry(&ingest, &client);
    let processor = sentry.span_processor().clone();
    assert!(client.close(Some(PATIENCE)));
    drop(sentry.tracer_provider().tracer("test").start("work"));
    assert!(sentry.shutdown(Duration::from_millis(200)).is_err());
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_sent), (1, 0));
    assert_eq!(stats.dropped.values().map(|dropped| dropped.spans).sum::<u64>(), 1);
}
