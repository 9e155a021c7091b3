//! How does a trace look to Sentry? Pure functions from `SpanData` to what is serialised.
//!
//! | file | rule |
//! | --- | --- |
//! | `head.rs` | the `trace` header of the envelope |
//! | `transaction.rs` | the root: top-level fields and contexts |
//! | `span.rs` | every other span |
//! | `status.rs` | OpenTelemetry status and status codes to Sentry's words |
//! | `data.rs` | attributes to `data`, with what must not be shown filtered |
//! | `resource.rs` | the resource to `contexts.otel` |
//!
//! Op, name and source are decided in `opentelemetry_sentry_protocol::describe`.
//!
//! Nothing is copied on the way: the types borrow the spans and are serialised straight into the envelope.

mod data;
mod head;
mod resource;
mod span;
mod status;
mod transaction;

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::Service;

pub(crate) use self::{head::Head, transaction::Transaction};

/// Who sends: the same for all transactions.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) service: Service,
    pub(crate) server_name: Option<String>,
    pub(crate) resource: Resource,
}

/// Start and end of a span in seconds since 1970, cut to microseconds.
///
/// The end is never before the start, whatever the clock did: one such span makes Sentry refuse the transaction.
fn timestamps(span: &SpanData) -> (f64, f64) {
    let start = seconds(span.start_time);
    (start, seconds(span.end_time).max(start))
}

/// Microseconds since 1970 are exact in an `f64` until 2255, so that the shortest text has at most six decimals.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as f64 / 1e6
}
