//! Traces that are sent by the transport of the `sentry` crate.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sentry::{
    FlushError, Sentry,
    exporter::{DropReason, testing::LocalIngest},
    sentry_sdk::SharedTransport,
};
use sentry::{Client, ClientOptions, Envelope, Level, Transport};

use crate::support::{PATIENCE, client, events, hub};

/// A transport that keeps what it is given.
struct Slow {
    envelopes: AtomicUsize,
    is_through: AtomicBool,
    /// Gets a message for each flush.
    flushed: Mutex<mpsc::Sender<()>>,
}

impl Transport for Slow {
    fn send_envelope(&self, _: Envelope) {
        self.envelopes.fetch_add(1, Ordering::SeqCst);
    }

    fn flush(&self, _: Duration) -> bool {
        let _ = self.flushed.lock().expect("no panic").send(());
        self.is_through.load(Ordering::SeqCst)
    }
}

fn sentry(ingest: &LocalIngest, client: &Arc<Client>) -> Sentry {
    sentry_at(&ingest.dsn(), client)
}

fn sentry_at(dsn: &str, client: &Arc<Client>) -> Sentry {
    let transport = SharedTransport::new(client.clone()).expect("a thread");
    Sentry::builder().with_dsn(dsn).with_traces_sample_rate(1.0).with_http_client(transport).build().expect("a set-up")
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

#[test]
fn what_the_client_does_not_confirm_is_dropped_and_the_rest_waits() {
    const DSN: &str = "http://key@127.0.0.1:1/1";
    let (flushed, flushes) = mpsc::channel();
    let slow = Slow { envelopes: 0.into(), is_through: false.into(), flushed: Mutex::new(flushed) };
    let transport = Arc::new(slow);
    let client = Arc::new(Client::from((DSN, ClientOptions::new().transport(Arc::clone(&transport)))));
    let sentry = sentry_at(DSN, &client);
    let tracer = sentry.tracer_provider().tracer("test");
    drop(tracer.start("work"));
    assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 1 }));
    let stats = sentry.stats();
    assert_eq!((stats.spans_sent, stats.dropped[&DropReason::SendError].spans), (0, 1));
    let given = transport.envelopes.load(Ordering::SeqCst);

    drop(tracer.start("work"));
    flushes.try_iter().for_each(drop);
    // It waits for what was given before. The next request comes only after this one was refused.
    for _ in 0..2 {
        flushes.recv_timeout(PATIENCE).expect("a flush");
    }
    assert_eq!(transport.envelopes.load(Ordering::SeqCst), given);
    transport.is_through.store(true, Ordering::SeqCst);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!(transport.envelopes.load(Ordering::SeqCst), given + 1);
    assert_eq!(sentry.stats().spans_sent, 1);
}
