//! Fails in each way that becomes an error event, and sends the events to `SENTRY_DSN`.
//!
//! It prints the numbers of sent events, and fails if something was not delivered.
#![expect(clippy::print_stdout, reason = "the caller reads the numbers from standard output")]

use std::{backtrace::Backtrace, error::Error, fmt, io, time::Duration};

use opentelemetry::{
    KeyValue, global,
    trace::{Span as _, SpanKind, Tracer as _},
};
use opentelemetry_sentry::Sentry;
use serde_json::json;
use tracing_subscriber::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let sentry = Sentry::builder()
        .with_exceptions_as_errors(true)
        .with_exporter(|exporter| exporter.with_tag("team", "shop").with_tag_attributes(["tenant"]))
        .install()?;
    tracing_subscriber::registry().with(sentry.tracing_layer()).init();
    let _ = returned();
    logged();
    recorded();
    sentry.flush(TIMEOUT)?;
    let stats = sentry.stats();
    println!("{}", json!({ "errors": stats.errors_sent, "transactions": stats.transactions_sent }));
    Ok(sentry.shutdown(TIMEOUT)?)
}

/// An error with a cause that two functions return: one event.
#[tracing::instrument(err, fields(tenant = "acme", user.id = 7, user.email = "jane@example.com"))]
fn returned() -> Result<(), Refused> {
    read()
}

#[tracing::instrument(err)]
fn read() -> Result<(), Refused> {
    Err(Refused { cause: io::Error::new(io::ErrorKind::TimedOut, "no answer in time") })
}

/// An error that is logged and not returned.
#[tracing::instrument]
fn logged() {
    let error = Refused { cause: io::Error::other("no room\nfor a second line, nor for «ü»") };
    tracing::error!(error = &error as &dyn Error, attempt = 3, "the stock could not be read");
}

/// An exception as in OpenTelemetry's semantic conventions, with type, message and stack trace, on an HTTP span.
fn recorded() {
    let tracer = global::tracer("errors");
    let builder = tracer.span_builder("GET /stock/{sku}").with_kind(SpanKind::Server).with_attributes([
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("http.route", "/stock/{sku}"),
        KeyValue::new("url.full", "http://shop.example/stock/lamp?token=secret"),
        KeyValue::new("http.response.status_code", 500),
        KeyValue::new("http.request.header.accept", "text/html"),
    ]);
    let mut span = builder.start(&tracer);
    let exception = [
        KeyValue::new("exception.type", "shop::OutOfStock"),
        KeyValue::new("exception.message", "the lamp is out of stock"),
        KeyValue::new("exception.stacktrace", Backtrace::force_capture().to_string()),
    ];
    span.add_event("exception", exception.into());
    span.end();
}

#[derive(Debug)]
struct Refused {
    cause: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the warehouse refused")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
