//! What becomes of your spans, and how to do what you know from elsewhere.
//!
//! | you want to know | read |
//! | --- | --- |
//! | what op, name, status, data, tags and errors are made of | [`mapping`] |
//! | whether to send transactions or streamed spans | [`lifecycles`] |
//! | which way out: transactions, streamed spans, OTLP, a collector | [`ways_out`] |
//! | what Sentry's pages for queries, caches, queues, AI agents and others need | [`modules`] |
//! | which headers are read and written | [`headers`] |
//! | which traces are sampled | [`sampling`] |
//! | what leaves the process, and how to hide more | [`privacy`] |
//! | when spans leave, what can be lost, and where to see it | [`delivery`] |
//! | what works in browsers, edge workers and WASI, without a thread | [`edge`] |
//! | what functions need, which freeze between two invocations | [`serverless`] |
//! | what a tunnel or a Relay between needs, and what it changes | [`gateways`] |
//! | which log lines are sent, as what, and what they cost | `logs` (feature `logs`) |
//! | what becomes of counters, gauges and histograms, and what they cost | `metrics` (feature `metrics`) |
//! | which queries become spans by themselves | `queries` (feature `tracing`) |
//! | which environment variables are read | [`environment`] |
//! | what servers and clients get: outgoing requests, the tunnel, server actions | [`web`] |
//!
//! | you come with | read |
//! | --- | --- |
//! | a frontend in Next.js, and Sentry's guide to tracing in it | `next_js` (feature `reqwest-013`) |
//! | Kafka, another queue, channels, child processes or cron jobs | [`queues_and_jobs`] |
//! | `opentelemetry-otlp` | [`from_otlp`] |
//! | the crates `sentry-opentelemetry` or `sentry-tracing` | `from_sentry` (feature `sentry-sdk`) |
//!
//! The modules have documentation only. Their code is compiled and run as tests.

#[doc = include_str!("guide/delivery.md")]
pub mod delivery {}

#[doc = include_str!("guide/edge.md")]
pub mod edge {}

#[doc = include_str!("guide/environment.md")]
pub mod environment {}

#[doc = include_str!("guide/from_otlp.md")]
pub mod from_otlp {}

#[cfg(feature = "sentry-sdk")]
pub mod from_sentry;

#[doc = include_str!("guide/gateways.md")]
pub mod gateways {}

#[doc = include_str!("guide/headers.md")]
pub mod headers {}

#[doc = include_str!("guide/lifecycles.md")]
pub mod lifecycles {}

#[cfg(all(feature = "logs", feature = "tracing"))]
#[doc = include_str!("guide/logs.md")]
pub mod logs {}

#[doc = include_str!("guide/mapping.md")]
pub mod mapping {}

#[cfg(feature = "metrics")]
#[doc = include_str!("guide/metrics.md")]
pub mod metrics {}

#[doc = include_str!("guide/modules.md")]
pub mod modules {}

#[cfg(all(feature = "reqwest-013", feature = "tracing"))]
pub mod next_js;

#[doc = include_str!("guide/privacy.md")]
pub mod privacy {}

pub mod queues_and_jobs;

#[doc = include_str!("guide/serverless.md")]
pub mod serverless {}

#[cfg(feature = "tracing")]
#[doc = include_str!("guide/queries.md")]
pub mod queries {}

#[doc = include_str!("guide/sampling.md")]
pub mod sampling {}

#[doc = include_str!("guide/ways_out.md")]
pub mod ways_out {}

#[doc = include_str!("guide/web.md")]
pub mod web {}
