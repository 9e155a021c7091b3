//! From `sentry-opentelemetry` or `sentry-tracing` to this crate.
//!
//! The `sentry` crate stays for what it is good at: errors, panics, breadcrumbs, logs. Traces become this crate's. What
//! is said of the others here is true of their version 0.49.
//!
//! # From `sentry-opentelemetry`
//!
//! Before, with opentelemetry 0.32:
//!
//! ```text
//! sentry = { version = "0.49", features = ["opentelemetry"] }
//!
//! let _guard = sentry::init((dsn, sentry::ClientOptions::new().traces_sample_rate(0.25)));
//! global::set_text_map_propagator(SentryPropagator::new());
//! global::set_tracer_provider(SdkTracerProvider::builder().with_span_processor(SentrySpanProcessor::new()).build());
//! ```
//!
//! After, with opentelemetry 0.33:
//!
//! ```text
//! sentry = "0.49"
//! opentelemetry-sentry = { version = "0.1", features = ["sentry-sdk"] }
//! ```
//!
//! ```no_run
//! # mod sentry {
//! #     pub use sentry_core::*;
//! #     pub fn init(options: impl Into<ClientOptions>) -> Client { Client::from_config(options) }
//! # }
//! use opentelemetry_sentry::{Sentry, sentry_sdk::TraceIntegration};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dsn = "https://public@o1.ingest.sentry.io/1";
//! let options = sentry::ClientOptions::new().add_integration(TraceIntegration::new()); // no traces_sample_rate
//! let _guard = sentry::init((dsn, options));
//! let traces = Sentry::builder().with_dsn(dsn).with_traces_sample_rate(0.25).install()?;
//! // … and at the end of `main`, before the guard goes:
//! traces.shutdown(std::time::Duration::from_secs(2))?;
//! # Ok(()) }
//! ```
//!
//! | it was | it is |
//! | --- | --- |
//! | `SentrySpanProcessor::new()`, on the thread whose hub is to know the traces | [`Sentry::builder`](crate::Sentry::builder), on any thread |
//! | `SentryPropagator`, with OpenTelemetry's for `baggage` and `traceparent` beside it | set by [`install`](crate::SentryBuilder::install); it does the work of all three |
//! | `ClientOptions::traces_sample_rate`, `traces_sampler` | [`with_traces_sample_rate`](crate::SentryBuilder::with_traces_sample_rate), [`with_traces_sampler`](crate::SentryBuilder::with_traces_sampler); a span that is not sampled is not recorded in the first place |
//! | `ClientOptions::release`, `environment`, `server_name` | the same here: `with_release`, `with_environment`, `with_server_name`, or `SENTRY_*` for both |
//! | `strict_trace_continuation`, `org_id` | [`with_strict_trace_continuation`](crate::SentryBuilder::with_strict_trace_continuation), [`with_org_id`](crate::SentryBuilder::with_org_id) |
//! | the provider's `force_flush` and `shutdown`, which did nothing | [`flush`](crate::Sentry::flush) and [`shutdown`](crate::Sentry::shutdown), within a time that you give |
//! | errors in the right trace on hubs of that one thread | on all hubs of the client: [`TraceIntegration`](crate::sentry_sdk::TraceIntegration) |
//! | tags and user of the hub's scope on transactions | [`with_tag`](crate::exporter::SentryExporterBuilder::with_tag), [`with_tag_attributes`](crate::exporter::SentryExporterBuilder::with_tag_attributes), attributes `user.*`; the scope is for events |
//! | a queue of 30 envelopes | 32 MiB of them, with retries; or the client's queue, with [`SharedTransport`](crate::sentry_sdk::SharedTransport) |
//!
//! # From `sentry-tracing`
//!
//! Before:
//!
//! ```text
//! tracing_subscriber::registry()
//!     .with(SpanLayer::new().with_filter(LevelFilter::INFO))
//!     .with(ErrorLayer::new().with_filter(LevelFilter::ERROR))
//!     .init();
//! ```
//!
//! After, with the other layers as they were:
//!
//! ```
//! # use opentelemetry_sentry::Sentry;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let traces = Sentry::builder().with_dsn("").build()?;
//! use tracing_subscriber::{filter::LevelFilter, prelude::*};
//!
//! let subscriber = tracing_subscriber::registry().with(traces.tracing_layer().with_filter(LevelFilter::INFO));
//! // .with(ErrorLayer::new().with_filter(LevelFilter::ERROR))
//! # drop(subscriber);
//! # Ok(()) }
//! ```
//!
//! | it was | it is |
//! | --- | --- |
//! | `SpanLayer`, or the spans of the older `SentryLayer` | [`Sentry::tracing_layer`](crate::Sentry::tracing_layer) |
//! | `ErrorLayer`, `BreadcrumbLayer`, `LogLayer` | they stay; errors get the active span's trace, logs keep that of the hub's scope |
//! | the field `sentry.name` | `otel.name` when the span begins, `sentry.custom_span_name` at any time |
//! | the field `sentry.op`, by default `target::name` | the field `sentry.op`; by default found from the semantic conventions; without one, Sentry shows `default` |
//! | the field `sentry.trace` | the layer of your server reads the headers, all of them: `tower_otel::trace::HttpLayer::server` |
//! | fields `tags.*` | [`with_tag_attributes`](crate::exporter::SentryExporterBuilder::with_tag_attributes) |
//! | `#[instrument(err)]` with `ErrorLayer` | the same, or [`with_exceptions_as_errors`](crate::SentryBuilder::with_exceptions_as_errors); not both, as each makes an event |
//! | `sentry::start_transaction`, `sentry_tower::SentryHttpLayer` with transactions | `tracing` spans, `HttpLayer::server` |
//!
//! # What changes in Sentry
//!
//! | you see | because |
//! | --- | --- |
//! | one trace over three services and more, where there were pieces | the trace id that came in goes out again, with its baggage |
//! | the same share of traces everywhere | the decision, the rate and the random value travel along; before, OpenTelemetry's own decision went out, whatever Sentry's was |
//! | other ops: `http.server`, `db`, `queue.publish` | they were the span's name, or `target::name` |
//! | names such as `GET /orders/{id}`, and queries as descriptions | the name at the span's end counts, and the attributes |
//! | `internal_error` for a response with 500 | it was `ok` where the span had no status of its own |
//! | more spans | children that end after their root, and those above 1000, were lost |
//! | links, measurements, the instrumentation's name | they were left out |
//! | errors in their trace that were in none, or in another | whichever hub captured them |
//!
//! Dashboards and alerts that name ops or transactions need a look.
//!
//! # What to remove
//!
//! - The feature `opentelemetry` of `sentry`, and `opentelemetry` 0.32: two versions in one tree do not see each other's
//!   spans. `cargo tree -d` shows them.
//! - `traces_sample_rate` and `traces_sampler` of `sentry`, so that it sends no transactions of its own.
//! - `SpanLayer`, `TraceContextPropagator` and `BaggagePropagator`.
//! - Code that hands hubs to threads and tasks for the sake of traces. Hubs for tags and users stay; traces go with
//!   OpenTelemetry's context, which `.instrument(span)` and `.with_context(cx)` carry.
