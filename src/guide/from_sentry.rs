//! How to move from `sentry-opentelemetry` or `sentry-tracing` to this crate.
//!
//! Keep the `sentry` crate for errors, panics, breadcrumbs and logs; this crate sends the traces. What this page says
//! about the other crates is true of version 0.49.
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
//! // … and at the end of `main`, before the guard is dropped:
//! traces.shutdown(std::time::Duration::from_secs(2))?;
//! # Ok(()) }
//! ```
//!
//! | it was | it is |
//! | --- | --- |
//! | `SentrySpanProcessor::new()`, on the thread whose hub should have the traces | [`Sentry::builder`](crate::Sentry::builder), on any thread |
//! | `SentryPropagator`, with OpenTelemetry's for `baggage` and `traceparent` beside it | set by [`install`](crate::SentryBuilder::install); it replaces all three |
//! | `ClientOptions::traces_sample_rate`, `traces_sampler` | [`with_traces_sample_rate`](crate::SentryBuilder::with_traces_sample_rate), [`with_traces_sampler`](crate::SentryBuilder::with_traces_sampler); spans of traces that are not sampled are not recorded at all |
//! | `ClientOptions::release`, `environment`, `server_name` | the same: `with_release`, `with_environment`, `with_server_name`, or `SENTRY_*` variables for both crates |
//! | `strict_trace_continuation`, `org_id` | [`with_strict_trace_continuation`](crate::SentryBuilder::with_strict_trace_continuation), [`with_org_id`](crate::SentryBuilder::with_org_id) |
//! | the provider's `force_flush` and `shutdown`, which did nothing | [`flush`](crate::Sentry::flush) and [`shutdown`](crate::Sentry::shutdown), within a timeout |
//! | errors in the right trace for hubs of that one thread | for all hubs of the client: [`TraceIntegration`](crate::sentry_sdk::TraceIntegration) |
//! | tags and user of the hub's scope on transactions | [`with_tag`](crate::exporter::SentryExporterBuilder::with_tag), [`with_tag_attributes`](crate::exporter::SentryExporterBuilder::with_tag_attributes), attributes `user.*`; the scope applies to events only |
//! | a queue of 30 envelopes | a queue of 32 MiB, with retries; or the client's queue, with [`SharedTransport`](crate::sentry_sdk::SharedTransport) |
//!
//! # The trace of an event
//!
//! [`TraceIntegration`](crate::sentry_sdk::TraceIntegration) sets the `trace` context of each event of the `sentry`
//! crate:
//!
//! | the active OpenTelemetry span | the event's `trace` context |
//! | --- | --- |
//! | began in this process | the span's trace id and span id; OpenTelemetry's API does not expose the parent |
//! | is remote: it arrived in headers, and no span began here | its trace id, a new span id, and the remote span as the parent |
//! | does not exist | as `sentry` sets it |
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
//! After, with the other layers unchanged:
//!
//! ```
//! # use opentelemetry_sentry::Sentry;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let traces = Sentry::builder().with_dsn("").build()?;
//! use tracing_subscriber::prelude::*;
//!
//! let subscriber = tracing_subscriber::registry().with(traces.tracing_layer()); // from INFO on
//! // .with(ErrorLayer::new().with_filter(LevelFilter::ERROR))
//! # drop(subscriber);
//! # Ok(()) }
//! ```
//!
//! | it was | it is |
//! | --- | --- |
//! | `SpanLayer`, or the spans of the older `SentryLayer` | [`Sentry::tracing_layer`](crate::Sentry::tracing_layer) |
//! | `ErrorLayer`, `BreadcrumbLayer`, `LogLayer` | the same; errors get the active span's trace, logs keep that of the hub's scope. Or `Sentry::log_layer` (feature `logs`) instead of some of them: its logs are in the span's trace; the guide's page `logs` lists which layers together send nothing twice |
//! | the field `sentry.name` | `otel.name` when the span starts, `sentry.custom_span_name` at any time |
//! | the field `sentry.op`, by default `target::name` | the field `sentry.op`; by default inferred from the [semantic conventions](crate::guide::mapping#op-name-and-source); without one, Sentry shows `default` |
//! | the field `sentry.trace` | none: the layer of your server reads all headers: [`web::ServerLayer`](crate::guide::web#incoming-requests) |
//! | fields `tags.*` | [`with_tag_attributes`](crate::exporter::SentryExporterBuilder::with_tag_attributes) |
//! | `#[instrument(err)]` with `ErrorLayer` | the same, or [`with_exceptions_as_errors`](crate::SentryBuilder::with_exceptions_as_errors); do not use both, as each makes an event |
//! | `sentry::start_transaction`, `sentry_tower::SentryHttpLayer` with transactions | `tracing` spans, `web::ServerLayer` |
//!
//! # What changes in Sentry
//!
//! | you see | because |
//! | --- | --- |
//! | one trace over several services, where there was one for each | the trace id that arrived is sent on, with its baggage |
//! | the same share of traces in all services | decision, rate and random value are passed on; before, OpenTelemetry's own decision was sent, even if Sentry's was another |
//! | other ops: `http.server`, `db`, `queue.publish` | the op was the span's name, or `target::name` |
//! | names such as `GET /orders/{id}`, and queries as descriptions | the name is read at the span's end, and the attributes are used |
//! | `internal_error` for a response with 500 | the status was `ok` if the span did not set one |
//! | more spans | children that ended after their root, and those beyond 1000, were lost |
//! | links, measurements, the instrumentation's name | they were not sent |
//! | errors in the trace in which they happened | before, only hubs of one thread knew the trace |
//!
//! Check dashboards and alerts that name ops or transactions.
//!
//! # What to remove
//!
//! - The feature `opentelemetry` of `sentry`, and `opentelemetry` 0.32: two versions in one tree do not see each other's
//!   spans. `cargo tree -d` lists duplicates.
//! - `traces_sample_rate` and `traces_sampler` of `sentry`, so that it sends no transactions of its own.
//! - `SpanLayer`, `TraceContextPropagator` and `BaggagePropagator`.
//! - Code that passes hubs to threads and tasks only for their trace. Hubs for tags and users stay. The trace is in
//!   OpenTelemetry's context, which `.instrument(span)` and `.with_context(cx)` carry.
