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
//! # With the other parts
//!
//! It reads what `opentelemetry-sentry-propagator` extracted, and notes its decision there for the headers that go
//! out. For traces that begin in this process share [`SentrySampler::decision_log`] with the propagator. To the
//! exporter it hands the trace's dynamic sampling context as attributes of sampled local roots.
//!
//! # What it does not do
//!
//! It never looks at spans that have a local parent, other than to decide as the parent was decided.

mod builder;
mod context;
mod decision;
mod sampler;

pub use opentelemetry_sentry_protocol::InvalidSampleRate;

pub use crate::{
    builder::{SamplerBuildError, SentrySamplerBuilder},
    context::SamplingContext,
    sampler::SentrySampler,
};
