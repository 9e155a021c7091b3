//! Sends OpenTelemetry spans to Sentry: a [`SentryExporter`] for any tracer provider, and a [`SentrySpanProcessor`]
//! for those who want nothing to get lost on the way.
//!
//! ```no_run
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use opentelemetry_sentry_exporter::{SentryExporter, SentrySpanProcessor};
//!
//! let exporter = SentryExporter::builder().with_dsn("https://public@o1.ingest.sentry.io/1").build()?;
//! let provider = SdkTracerProvider::builder()
//!     .with_span_processor(SentrySpanProcessor::from(exporter))
//!     .build();
//! // … and at the end of `main`:
//! let _ = provider.shutdown();
//! # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
//! ```
//!
//! # Which of the two?
//!
//! The processor. OpenTelemetry's batch processor drops spans without a word when more than 2048 wait, and waits up to
//! five seconds before it exports. Ours takes every span, sends a trace as soon as its local root has ended, counts
//! whatever it has to drop, and ends its flush and shutdown within the time it is given. Use the exporter where
//! something else insists on a `SpanExporter`. Both have one engine: a single thread, which assembles, converts and
//! sends; it has a runtime of its own and works with any async runtime and with none.
//!
//! # Features
//!
//! | feature | default | |
//! | --- | --- | --- |
//! | `reqwest-rustls` | yes | the built-in HTTP client, with TLS |
//! | `reqwest-client` | with it | the built-in HTTP client, for `http://` DSNs alone |
//! | `zstd` | no | `Encoding::Zstd` for what is sent |
//! | `testing` | no | `testing::LocalIngest`, an ingest on loopback for your own tests, and `testing::Conversion` |
//! | `internal-logs` | no | what the exporter has to say about itself |
//!
//! # What it does not do
//!
//! Span events become nothing, unless they are measurements or exceptions (see
//! [`with_exceptions_as_errors`](SentryExporterBuilder::with_exceptions_as_errors)); there is no span streaming (span v2)
//! and no OTLP.

#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order in which a span walks through them; `.ci/rooms` holds imports to one direction.
mod account;
mod convert;
mod doors;
mod engine;
mod packing;
mod trace;
mod transport;

#[cfg(feature = "testing")]
pub mod testing;

/// The built-in HTTP client for this DSN, for a tunnel of the facade: not part of the interface.
///
/// # Errors
///
/// If the features bring none that fits.
#[doc(hidden)]
pub fn http_client(
    dsn: &opentelemetry_sentry_protocol::Dsn,
) -> Result<std::sync::Arc<dyn opentelemetry_http::HttpClient>, opentelemetry_http::HttpError> {
    Ok(transport::default_client(Some(dsn), &transport::ClientSettings::without_http2())?)
}

#[doc(hidden)]
pub use crate::doors::SenderSettings;
pub use crate::{
    account::{DropReason, Dropped, Stats, Trimmed},
    doors::{ExporterBuildError, SentryExporter, SentryExporterBuilder, SentrySpanProcessor},
    engine::FlushError,
    packing::{SpanEvent, SpanFilter, TransactionEvent},
    transport::{Encoding, Problem},
};
