#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// A span walks from `doors` through `engine`, `trace`, `packing` (which calls `convert`) and `transport`; `account`
// counts it, and `json` writes it. `.ci/rooms` allows imports in one direction only.
mod account;
mod convert;
mod doors;
mod engine;
mod json;
mod packing;
mod trace;
mod transport;

#[cfg(feature = "testing")]
pub mod testing;

/// The built-in HTTP client for this DSN, for the facade's tunnel. It is not part of the public interface.
///
/// # Errors
///
/// If no feature provides a client for this DSN.
#[doc(hidden)]
pub fn http_client(
    dsn: &opentelemetry_sentry_protocol::Dsn,
) -> Result<std::sync::Arc<dyn opentelemetry_http::HttpClient>, opentelemetry_http::HttpError> {
    let url = dsn.envelope_url().parse()?;
    Ok(transport::default_client(Some(&url), &transport::ClientSettings::without_http2())?)
}

#[doc(hidden)]
pub use crate::doors::SenderSettings;
#[cfg(feature = "logs")]
pub use crate::doors::SentryLogProcessor;
pub use crate::{
    account::{DropReason, Dropped, Stats, Trimmed},
    doors::{
        Delivery, ExporterBuildError, Outgoing, SentryExporter, SentryExporterBuilder, SentryOtlpClient,
        SentrySpanProcessor,
    },
    engine::{FlushError, Take},
    packing::{ErrorEvent, LogEvent, SpanEvent, SpanFilter, TransactionEvent},
    trace::{LogFilter, TraceLifecycle},
    transport::{Encoding, Problem},
};
#[cfg(feature = "metrics")]
pub use crate::{
    doors::{SentryMeterProvider, SentryMetricExporter},
    packing::MetricEvent,
};
