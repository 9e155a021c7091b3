//! How is what you know from elsewhere done here?
//!
//! | you come with | read |
//! | --- | --- |
//! | a frontend in Next.js, and Sentry's guide to tracing in it | [`next_js`] |
//! | Kafka, another queue, child processes or cron jobs | [`queues_and_jobs`] |
//! | the crates `sentry-opentelemetry` or `sentry-tracing` | `from_sentry` (feature `sentry-sdk`) |
//!
//! The modules hold documentation alone. All of their code is compiled and run as a test.

#[cfg(feature = "sentry-sdk")]
pub mod from_sentry;
pub mod next_js;
pub mod queues_and_jobs;
