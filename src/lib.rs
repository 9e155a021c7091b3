//! Sends the spans of a Rust service to Sentry, from `tracing` or OpenTelemetry, in one trace with the browser, the
//! Next.js server and every other service around it.
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
//! The [`guide`] says what becomes of your spans: [op, name, status and data](crate::guide::mapping),
//! [headers](crate::guide::headers), [sampling](crate::guide::sampling), [privacy](crate::guide::privacy),
//! [transactions or streamed spans](crate::guide::lifecycles), [delivery](crate::guide::delivery),
//! [environment variables](crate::guide::environment), [servers and clients](crate::guide::web),
//! [Sentry's pages for queries, caches, queues and AI agents](crate::guide::modules),
//! [browsers, edge workers and WASI](crate::guide::edge).
//!
//! # What you write
//!
//! | you want | you write |
//! | --- | --- |
//! | sampling by route | [`with_sampler`] with [rules](crate::sampler::Rule), or a function: [`with_traces_sampler`] |
//! | to change the rate while the process runs | [`sentry.sampler()`](Sentry::sampler) |
//! | your own names and ops | the attributes `otel.name` and `otel.kind` when a span starts, `sentry.op` and `sentry.custom_span_name` at any time ([mapping](crate::guide::mapping#op-name-and-source)) |
//! | spans one by one, without transactions | [`with_lifecycle`](SentryBuilder::with_lifecycle), or `SENTRY_TRACE_LIFECYCLE=stream` ([lifecycles](crate::guide::lifecycles)): choose it for Sentry SaaS, and for self-hosted Sentry from 26.4.2 on |
//! | an attribute on every streamed span | [`with_attribute`](SentryBuilder::with_attribute) |
//! | tags, and the user | [`with_tag`], [`with_tag_attributes`]; attributes `user.id`, `user.email`, … ([mapping](crate::guide::mapping#tags)) |
//! | measurements | an event with `sentry.measurement_value` ([mapping](crate::guide::mapping#measurements)) |
//! | no spans of `sqlx`'s queries, or the name of their database | [`with_query_spans`](SentryBuilder::with_query_spans), [`with_database_system`](SentryBuilder::with_database_system) ([queries](crate::guide::queries)) |
//! | errors beside traces | [`with_exceptions_as_errors`] |
//! | metrics: counters, gauges, and histograms with true percentiles | `with_metrics` (feature `metrics`; guide, page `metrics`) |
//! | log lines, and errors from them in any trace | `with_logs` and `Sentry::log_layer` (feature `logs`; guide, page `logs`) |
//! | errors of the `sentry` crate in the active span's trace | `sentry_sdk::TraceIntegration`, and `sentry_sdk::SharedTransport` for one transport (feature `sentry-sdk`) |
//! | no health checks, no cache spans | [`with_ignore_transactions`], [`with_ignore_spans`] |
//! | to change or hide what is sent | [`with_before_send_transaction`], [`with_before_send_span`], [`with_scrubber`] ([privacy](crate::guide::privacy)) |
//! | more or less in the data of spans | options of the [`unfiltered_tracing_layer`](Sentry::unfiltered_tracing_layer) |
//! | to survive an outage | [`with_spool_dir`] ([delivery](crate::guide::delivery#the-spool)) |
//! | less load while Sentry cannot keep up | [`with_backpressure`] |
//! | other limits of memory | [`with_buffer_limit`], [`with_queue_limit`], [`with_trace_limit`] |
//! | zstd, your own certificate, your own HTTP client | [`with_encoding`], [`with_root_certificate`], [`with_http_client`] |
//! | a second destination for spans | [`with_span_processor`] |
//! | a tunnel between, such as Sentry's Lambda extension | [`with_tunnel`], or `SENTRY_TUNNEL` ([gateways](crate::guide::gateways)) |
//! | to send by OTLP, as OpenTelemetry's exporter writes it | [`SentryOtlpClient`] ([from `opentelemetry-otlp`](crate::guide::from_otlp#by-otlp)) |
//! | a local viewer | [`with_spotlight`], or `SENTRY_SPOTLIGHT=1` |
//! | to know why nothing arrives | [`Sentry::check`] |
//! | to know what was lost | [`Sentry::stats`], [`with_internal_metrics`] ([delivery](crate::guide::delivery)) |
//! | to deliver without a thread, in browsers, edge workers and WASI | [`build_driven`](SentryBuilder::build_driven), and [`DrivenSentry::flush_with`] ([edge](crate::guide::edge)) |
//! | headers for some hosts only | [`PropagationTargets`](crate::propagator::PropagationTargets) ([headers](crate::guide::headers#where-headers-go)) |
//! | pages that continue the trace | [`meta_tags`](crate::propagator::meta_tags), or `ServerLayer::with_server_timing` ([headers](crate::guide::headers#pages)) |
//! | a span for each request that comes in, until its body has ended | `web::ServerLayer` ([web](crate::guide::web#incoming-requests)) |
//! | spans and headers for outgoing requests | `web::ClientLayer`, `web::RequestBuilderExt` for reqwest ([web](crate::guide::web#outgoing-requests)) |
//! | browsers whose ad blockers block Sentry, or of another origin | `web::Tunnel`, `web::TRACE_HEADERS` ([web](crate::guide::web#answers-of-the-tunnel)) |
//! | server actions, and work after the response | `web::server_action`, `web::deferred` ([web](crate::guide::web#results-of-server-actions)) |
//! | a flush at the end of each request or invocation, in functions | `web::FlushLayer` ([serverless](crate::guide::serverless)) |
//! | cron monitors | the attribute `sentry.monitor.slug` on the span of a job ([the guide](crate::guide::queues_and_jobs#cron-monitors)) |
//! | queues, child processes, cron jobs | [the guide](crate::guide::queues_and_jobs) |
//! | tests of what a closure sends | `testing::capture` (feature `testing`), also with middleware that uses the globals |
//! | tests of a whole set-up | `exporter::testing::LocalIngest` (feature `testing`) with [`build`](SentryBuilder::build), which touches nothing global |
//!
//! What is not on [`SentryBuilder`] itself is set through [`with_exporter`](SentryBuilder::with_exporter).
//!
//! [`with_sampler`]: SentryBuilder::with_sampler
//! [`with_traces_sampler`]: SentryBuilder::with_traces_sampler
//! [`with_exceptions_as_errors`]: SentryBuilder::with_exceptions_as_errors
//! [`with_before_send_transaction`]: SentryBuilder::with_before_send_transaction
//! [`with_spool_dir`]: SentryBuilder::with_spool_dir
//! [`with_http_client`]: SentryBuilder::with_http_client
//! [`with_span_processor`]: SentryBuilder::with_span_processor
//! [`with_tunnel`]: SentryBuilder::with_tunnel
//! [`with_spotlight`]: SentryBuilder::with_spotlight
//! [`with_tag`]: crate::exporter::SentryExporterBuilder::with_tag
//! [`with_tag_attributes`]: crate::exporter::SentryExporterBuilder::with_tag_attributes
//! [`with_ignore_transactions`]: crate::exporter::SentryExporterBuilder::with_ignore_transactions
//! [`with_ignore_spans`]: crate::exporter::SentryExporterBuilder::with_ignore_spans
//! [`with_before_send_span`]: crate::exporter::SentryExporterBuilder::with_before_send_span
//! [`with_scrubber`]: crate::exporter::SentryExporterBuilder::with_scrubber
//! [`with_backpressure`]: crate::exporter::SentryExporterBuilder::with_backpressure
//! [`with_buffer_limit`]: crate::exporter::SentryExporterBuilder::with_buffer_limit
//! [`with_queue_limit`]: crate::exporter::SentryExporterBuilder::with_queue_limit
//! [`with_trace_limit`]: crate::exporter::SentryExporterBuilder::with_trace_limit
//! [`with_encoding`]: crate::exporter::SentryExporterBuilder::with_encoding
//! [`with_root_certificate`]: crate::exporter::SentryExporterBuilder::with_root_certificate
//! [`with_internal_metrics`]: crate::exporter::SentryExporterBuilder::with_internal_metrics
//!
//! # Modules
//!
//! | module | what it has |
//! | --- | --- |
//! | [`guide`] | documentation: tables of what becomes of spans, and how to come from elsewhere |
//! | [`propagator`] | `sentry-trace`, `baggage` and `traceparent`, read and written |
//! | [`sampler`] | one decision for each local root |
//! | [`exporter`] | ended spans to delivered transactions |
//! | [`protocol`] | headers, DSN and other values that the parts share |
//! | [`semantics`] | what attributes mean: op, name, source, secrets |
//! | `testing` | what a closure sends, for your own tests (feature `testing`) |
//! | `web` | layers and services of `tower` for servers and clients (feature `tower`) |
//! | `sentry_sdk` | for services that also use the `sentry` crate (feature `sentry-sdk`) |
//!
//! [`Sentry`] connects propagator, sampler and exporter. Each also works alone, and is a crate of its own.
//!
//! # Features
//!
//! | feature | default | |
//! | --- | --- | --- |
//! | `reqwest-rustls` | yes | the built-in HTTP client, with TLS |
//! | `reqwest-client` | with it | the built-in HTTP client without TLS, for `http://` DSNs only |
//! | `tracing` | yes | [`Sentry::tracing_layer`] |
//! | `logs` | no | `SentryBuilder::with_logs`, `Sentry::logger_provider` and `Sentry::log_layer`: log records |
//! | `metrics` | no | `SentryBuilder::with_metrics` and `Sentry::meter_provider`: application metrics |
//! | `tower` | no | the module `web`, for servers and clients that are services of `tower` |
//! | `axum-08` | no | routes and peers of axum 0.8 in the spans of `web::ServerLayer` |
//! | `reqwest-013` | no | `web::RequestBuilderExt`: client spans for requests of reqwest 0.13 |
//! | `testing` | no | `testing::capture` for one closure, and `exporter::testing::LocalIngest`, an ingest on loopback for tests |
//! | `zstd` | no | `exporter::Encoding::Zstd`, to compress envelopes |
//! | `sentry-sdk` | no | the module `sentry_sdk`: events of the `sentry` crate 0.49 in the traces of this one; needs Rust 1.89 |
//! | `internal-logs` | no | log lines of this library, as `tracing` events |
//!
//! With `default-features = false` there is no HTTP client: enable one of the two, or pass your own to
//! [`with_http_client`](SentryBuilder::with_http_client).

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod guide;
#[cfg(feature = "sentry-sdk")]
pub mod sentry_sdk;
mod setup;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tower")]
pub mod web;

#[doc(inline)]
pub use opentelemetry_sentry_exporter as exporter;
#[doc(inline)]
pub use opentelemetry_sentry_propagator as propagator;
#[doc(inline)]
pub use opentelemetry_sentry_protocol as protocol;
#[doc(inline)]
pub use opentelemetry_sentry_sampler as sampler;
#[doc(inline)]
pub use opentelemetry_sentry_semantics as semantics;

#[doc(inline)]
pub use opentelemetry_sentry_exporter::{
    Delivery, ErrorEvent, FlushError, LogEvent, LogFilter, Outgoing, Problem, SentryExporter, SentryOtlpClient,
    SentrySpanProcessor, SpanEvent, SpanFilter, Stats, Take, TraceLifecycle, TransactionEvent,
};
#[doc(inline)]
pub use opentelemetry_sentry_propagator::SentryPropagator;
#[doc(inline)]
pub use opentelemetry_sentry_sampler::{SamplingContext, SentrySampler};

#[cfg(feature = "logs")]
#[doc(inline)]
pub use opentelemetry_sentry_exporter::SentryLogProcessor;

pub use crate::setup::{DrivenSentry, Sentry, SentryBuilder, SetupError};
#[cfg(all(feature = "logs", feature = "tracing"))]
pub use crate::setup::{EventLayer, LogLayer};
#[cfg(feature = "tracing")]
pub use crate::setup::{QueryFilter, QueryLayer, QuerySpans, TracingLayer, WithoutQueries};
#[cfg(feature = "metrics")]
#[doc(inline)]
pub use opentelemetry_sentry_exporter::{MetricEvent, SentryMeterProvider, SentryMetricExporter};
