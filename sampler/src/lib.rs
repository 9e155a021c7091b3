//! An OpenTelemetry sampler that decides as Sentry's SDKs do.
//!
//! A trace is kept if its random value, which all its services share, is below the rate. So everyone who applies the
//! same rate to a trace decides alike, and a trace that came in already decided stays decided.
//!
//! ```
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use opentelemetry_sentry_sampler::SentrySampler;
//!
//! let provider = SdkTracerProvider::builder().with_sampler(SentrySampler::rate(0.25)?).build();
//! # Ok::<(), opentelemetry_sentry_sampler::InvalidSampleRate>(())
//! ```
//!
//! By rate, by function or by [rules](Rule), with a limit if you like, and changed [while the process
//! runs](SamplerHandle). The guide's example, once as a function and once as rules:
//!
//! ```
//! use opentelemetry_sentry_sampler::{Rule, SentrySampler};
//!
//! let by_function = SentrySampler::function(|context| {
//!     if context.name.contains("health") {
//!         0.05
//!     } else if context.name.contains("/api/") {
//!         0.5
//!     } else {
//!         0.1
//!     }
//! });
//! let by_rules = SentrySampler::builder()
//!     .with_rule(Rule::sample(0.05).with_name("*health*"))
//!     .with_rule(Rule::sample(0.5).with_name("*/api/*"))
//!     .with_rate(0.1)
//!     .with_max_traces_per_second(100)
//!     .build()?;
//! # Ok::<(), opentelemetry_sentry_sampler::SamplerBuildError>(())
//! ```
//!
//! # With the other parts
//!
//! It reads what `opentelemetry-sentry-propagator` extracted, and notes its decision there for the headers that go
//! out. For traces that begin in this process share [`SentrySampler::decision_log`] with the propagator. To the
//! exporter it hands the trace's dynamic sampling context as attributes of sampled local roots.
//!
//! # What it does not do
//!
//! It never looks at spans that have a local parent, other than to decide as the parent was decided.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod context;
mod decision;
mod dials;
mod limiter;
mod rules;
mod sampler;

pub use opentelemetry_sentry_protocol::InvalidSampleRate;

pub use crate::{
    builder::{InvalidLimit, SamplerBuildError, SentrySamplerBuilder},
    context::SamplingContext,
    dials::SamplerHandle,
    rules::Rule,
    sampler::SentrySampler,
};
