//! Requests to Sentry are not traced and have no trace headers.

use std::sync::{Arc, Mutex, OnceLock};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::{Bytes, HeaderInjector, Request, Response};
use opentelemetry_sentry::SentryPropagator;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use crate::support::{Answering, Client, NO_SERVER, PATIENCE, end_spans, run_alone, sentry_at, sentry_to_ingest};

const TRACE_HEADERS: [&str; 4] = ["sentry-trace", "baggage", "traceparent", "tracestate"];

#[test]
#[ignore = "the child of the test below, as it sets the global subscriber"]
fn sends_with_an_instrumented_client() {
    let sent: Arc<Mutex<Vec<Request<()>>>> = Arc::default();
    let propagator: Arc<OnceLock<SentryPropagator>> = Arc::default();
    let (log, shared) = (Arc::clone(&sent), Arc::clone(&propagator));
    // A client that traces every request of the application.
    let client = Client(move |mut request: Request<Bytes>| -> Answering {
        let (sent, propagator) = (Arc::clone(&log), Arc::clone(&shared));
        let work = async move {
            let cx = tracing::Span::current().context();
            if let Some(propagator) = propagator.get() {
                propagator.inject_context(&cx, &mut HeaderInjector(request.headers_mut()));
            }
            tracing::info!("sent");
            tokio::task::yield_now().await;
            sent.lock().map_err(|error| error.to_string())?.push(request.map(drop));
            Ok(Response::new(Bytes::new()))
        };
        Box::pin(work.instrument(tracing::info_span!("request", otel.kind = "client")))
    });
    let sentry = sentry_at(NO_SERVER).with_http_client(client).build().unwrap();
    propagator.set(sentry.propagator().clone()).unwrap();
    tracing_subscriber::registry().with(sentry.tracing_layer()).init();
    tracing::info_span!("work").in_scope(|| {});
    for _ in 0..3 {
        assert_eq!(sentry.flush(PATIENCE), Ok(()));
    }
    assert_eq!(sentry.stats().spans_received, 1, "sending starts no recorded span");
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 1);
    assert!(TRACE_HEADERS.iter().all(|name| !sent[0].headers().contains_key(*name)), "{:?}", sent[0].headers());
}

#[test]
fn a_client_that_traces_its_requests_records_no_span_and_sends_no_headers() {
    run_alone("hostile_server::own_requests::sends_with_an_instrumented_client", &[]);
}

#[test]
fn the_built_in_client_sends_no_trace_headers() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    let requests = ingest.requests();
    assert!(TRACE_HEADERS.iter().all(|name| requests[0].header(name).is_none()), "{requests:?}");
}
