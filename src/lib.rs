//! Send OpenTelemetry and `tracing` spans to Sentry.
//!
//! A service that is traced with `tracing` or OpenTelemetry appears in Sentry as if Sentry had instrumented it, and
//! takes its place in a trace that began in a browser, a Next.js server or any other service.
//!
//! ```no_run
//! use std::time::Duration;
//! # #[cfg(feature = "tracing")] {
//! use opentelemetry_sentry::Sentry;
//! use tracing_subscriber::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sentry = Sentry::builder()
//!     .with_dsn("https://public@o1.ingest.sentry.io/1") // or the environment variable SENTRY_DSN
//!     .with_release("shop@1.2.3")
//!     .with_traces_sample_rate(0.25)
//!     .install()?;
//! tracing_subscriber::registry().with(sentry.tracing_layer()).init();
//!
//! tracing::info_span!("work").in_scope(|| { /* … */ });
//!
//! sentry.shutdown(Duration::from_secs(2)).unwrap_or_else(|error| eprintln!("Sentry: {error}"));
//! # Ok(()) }
//! # }
//! ```
//!
//! # The parts
//!
//! | module | what it is |
//! | --- | --- |
//! | [`propagator`] | `sentry-trace`, `baggage` and `traceparent`, in and out |
//! | [`sampler`] | one decision per local root |
//! | [`exporter`] | ended spans to delivered transactions |
//! | [`protocol`] | the words they share |
//! | `sentry_sdk` | for those who have the `sentry` crate beside this one |
//! | `web` | for servers: page loads, a tunnel for browsers, server actions, deferred work, outgoing calls |
//! | `guide` | no code, but how to do here what you know from Next.js, from queues, or from Sentry's own crates |
//!
//! [`Sentry`] puts them together; each also works alone, and each is a crate of its own.
//!
//! # Features
//!
//! | feature | default | |
//! | --- | --- | --- |
//! | `propagator`, `sampler`, `exporter` | yes | the parts; [`Sentry`] needs all three |
//! | `reqwest-rustls` | yes | the built-in HTTP client, with TLS |
//! | `reqwest-client` | with it | the built-in HTTP client, for `http://` DSNs alone |
//! | `tracing` | yes | [`Sentry::tracing_layer`] |
//! | `tower` | no | the module `web`, for servers and clients that are services of `tower` |
//! | `reqwest-013` | no | `web::RequestBuilderExt`: client spans for requests that reqwest 0.13 sends |
//! | `testing` | no | `exporter::testing::LocalIngest`, an ingest on loopback for your own tests |
//! | `zstd` | no | `exporter::Encoding::Zstd` for what is sent |
//! | `sentry-sdk` | no | the module `sentry_sdk`: errors of the `sentry` crate 0.49 in the traces of this one; wants Rust 1.89 |
//! | `internal-logs` | no | what the library has to say about itself, as `tracing` events |

#[cfg(all(feature = "reqwest-013", feature = "tracing"))]
pub mod guide;
#[cfg(feature = "sentry-sdk")]
pub mod sentry_sdk;
#[cfg(all(feature = "propagator", feature = "sampler", feature = "exporter"))]
mod setup;
#[cfg(feature = "tower")]
pub mod web;

#[cfg(feature = "exporter")]
pub use opentelemetry_sentry_exporter as exporter;
#[cfg(feature = "propagator")]
pub use opentelemetry_sentry_propagator as propagator;
pub use opentelemetry_sentry_protocol as protocol;
#[cfg(feature = "sampler")]
pub use opentelemetry_sentry_sampler as sampler;
pub use opentelemetry_sentry_semantics as semantics;

#[cfg(feature = "exporter")]
pub use opentelemetry_sentry_exporter::{
    FlushError, Problem, SentryExporter, SentrySpanProcessor, SpanEvent, SpanFilter, Stats, TransactionEvent,
};
#[cfg(feature = "propagator")]
pub use opentelemetry_sentry_propagator::SentryPropagator;
#[cfg(feature = "sampler")]
pub use opentelemetry_sentry_sampler::{SamplingContext, SentrySampler};

#[cfg(all(feature = "propagator", feature = "sampler", feature = "exporter"))]
pub use crate::setup::{Sentry, SentryBuilder, SetupError};
