//! A Sentry without a thread, through the facade.

use std::{
    cell::RefCell,
    future::{Ready, ready},
    io,
    time::Duration,
};

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_http::{Bytes, Request, Response};
use opentelemetry_sentry::{DrivenSentry, FlushError, Take, exporter::DropReason};

use crate::support::{NO_SERVER, block_on, sentry_at};

fn driven() -> DrivenSentry {
    sentry_at(NO_SERVER).build_driven().expect("a valid setup")
}

fn span(sentry: &DrivenSentry, name: &'static str) {
    sentry.tracer_provider().tracer("test").in_span(name, |_| {});
}

/// A client that keeps what it was given, and answers with this status.
fn sender(bodies: &RefCell<Vec<Bytes>>, status: u16) -> impl FnMut(Request<Bytes>) -> Ready<io::Result<Response<()>>> {
    move |request| {
        bodies.borrow_mut().push(request.into_body());
        ready(Ok(Response::builder().status(status).body(()).expect("a valid answer")))
    }
}

#[test]
fn the_application_sends_what_it_takes() {
    let sentry = driven();
    span(&sentry, "GET /cart");
    assert_eq!(sentry.flush(Duration::ZERO), Err(FlushError::Waiting));

    let bodies = RefCell::new(Vec::new());
    block_on(sentry.flush_with(Take::Everything, sender(&bodies, 200))).expect("everything is sent");

    assert_eq!((bodies.borrow().len(), sentry.stats().spans_sent), (1, 1));
    assert!(sentry.take(Take::Everything).is_empty());
    assert_eq!(sentry.flush(Duration::ZERO), Ok(()));
}

#[test]
fn a_shutdown_sends_what_was_recorded_before() {
    let sentry = driven();
    let (processor, provider) = (sentry.span_processor().clone(), sentry.tracer_provider().clone());
    span(&sentry, "GET /cart");

    let bodies = RefCell::new(Vec::new());
    block_on(sentry.shutdown_with(sender(&bodies, 200))).expect("everything is sent");
    provider.tracer("test").in_span("too late", |_| {});

    let stats = processor.stats();
    assert_eq!((bodies.borrow().len(), stats.spans_received, stats.spans_sent), (1, 1, 1));
}

#[test]
fn what_a_shutdown_cannot_send_is_counted() {
    let sentry = driven();
    let processor = sentry.span_processor().clone();
    span(&sentry, "GET /cart");

    let result = block_on(sentry.shutdown_with(async |_| Err::<Response<()>, _>(io::Error::other("no network"))));

    assert_eq!(result, Err(FlushError::Waiting));
    assert_eq!(processor.stats().dropped.get(&DropReason::NetworkError).map(|dropped| dropped.spans), Some(1));
}

#[test]
fn a_clone_of_the_delivery_outlives_its_sentry() {
    let (sentry, delivery) = driven().into_parts();
    sentry.tracer_provider().tracer("test").in_span("GET /cart", |_| {});
    assert_eq!(sentry.shutdown(Duration::ZERO), Err(FlushError::Waiting));

    let bodies = RefCell::new(Vec::new());
    block_on(delivery.flush_with(Take::Everything, sender(&bodies, 200))).expect("everything is sent");

    assert_eq!((bodies.borrow().len(), delivery.stats().spans_sent), (1, 1));
}
