//! How a sampler is set up.

use std::{error::Error, fmt, sync::Arc};

use opentelemetry_sentry_protocol::{InvalidSampleRate, SampleRate};

use crate::{SamplingContext, SentrySampler, decision::Strategy};

/// Builds a [`SentrySampler`].
#[derive(Debug)]
#[must_use]
pub struct SentrySamplerBuilder {
    rate: Option<f64>,
    function: Option<Strategy>,
    parent_based: bool,
}

impl Default for SentrySamplerBuilder {
    fn default() -> Self {
        Self { rate: None, function: None, parent_based: true }
    }
}

impl SentrySamplerBuilder {
    /// Sets the rate at which traces that are not decided yet are kept, in `0.0..=1.0`.
    ///
    /// Defaults to none, which turns tracing off: nothing is recorded, and the decision is left to those downstream.
    /// A rate of 0 is something else: then the decision is made, and it is "no".
    pub const fn with_rate(mut self, rate: f64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets a function that returns the rate for each local root, also for those that came in decided; see
    /// [`SamplingContext::inherit_or_sample_with`]. It beats the rate. Defaults to none.
    ///
    /// A rate that is not in `0.0..=1.0` and a panic both mean that the trace is not sampled.
    pub fn with_function(mut self, function: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        self.function = Some(Strategy::Function(Arc::new(function)));
        self
    }

    /// Sets whether a decision that came in is kept. Defaults to `true`; with `false` every service applies its own
    /// rate, still to the trace's one random value.
    pub const fn with_parent_based(mut self, on: bool) -> Self {
        self.parent_based = on;
        self
    }

    /// Builds the sampler.
    ///
    /// # Errors
    ///
    /// If the rate is not in `0.0..=1.0`.
    pub fn build(self) -> Result<SentrySampler, SamplerBuildError> {
        let rate = self.rate.map(SampleRate::try_from).transpose().map_err(|source| SamplerBuildError { source })?;
        let strategy = self.function.unwrap_or_else(|| rate.map_or(Strategy::Off, Strategy::Rate));
        Ok(SentrySampler::new(strategy, self.parent_based))
    }
}

/// The sampler could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplerBuildError {
    source: InvalidSampleRate,
}

impl fmt::Display for SamplerBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rate of the sampler is invalid: {}", self.source)
    }
}

impl Error for SamplerBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
