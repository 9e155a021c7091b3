#![doc = include_str!("../README.md")]
//!
//! # A function or rules
//!
//! These two samplers make the same decisions. A function can use all of Rust; rules can be read from a configuration:
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
//!     .build()?;
//! # Ok::<(), opentelemetry_sentry_sampler::SamplerBuildError>(())
//! ```
//!
//! # With the other parts
//!
//! The sampler reads what `opentelemetry-sentry-propagator` extracted, and records its decision where that propagator finds
//! it when it injects headers. For traces that begin in this process, share [`SentrySampler::decision_log`] with the
//! propagator. The exporter gets the trace's dynamic sampling context as attributes of sampled local roots.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod choice;
mod context;
mod decision;
mod excluded;
mod function;
mod limiter;
mod parent;
mod rules;
mod sampler;
mod trace_state;
mod tunables;

// The error of `SentrySampler::rate`. It is documented in `protocol`, beside `SampleRate`; this is not a second home.
#[doc(hidden)]
pub use opentelemetry_sentry_protocol::InvalidSampleRate;

pub use crate::{
    builder::{SamplerBuildError, SentrySamplerBuilder},
    context::SamplingContext,
    limiter::InvalidLimit,
    rules::Rule,
    sampler::SentrySampler,
    tunables::SamplerHandle,
};
