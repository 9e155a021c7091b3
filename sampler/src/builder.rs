//! How a sampler is set up.

use std::{error::Error, fmt, sync::Arc};

use opentelemetry_sentry_protocol::{InvalidSampleRate, SampleRate};

use crate::{
    Rule, SamplingContext, SentrySampler,
    decision::{Function, Policy},
    sampler::Shared,
    tunables::Tunables,
};

/// Builds a [`SentrySampler`].
#[derive(Debug)]
#[must_use]
pub struct SentrySamplerBuilder {
    rate: Option<f64>,
    limit: Option<f64>,
    record_all: bool,
    policy: Policy,
}

impl Default for SentrySamplerBuilder {
    fn default() -> Self {
        let policy = Policy { rules: Vec::new(), function: None, parent_based: true, probes: false };
        Self { rate: None, limit: None, record_all: false, policy }
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
    /// A rate that is not in `0.0..=1.0` and a panic both mean that the trace is not sampled. The function may itself
    /// log and call Sentry: no lock is held while it runs. Spans that it starts are not recorded.
    pub fn with_function(mut self, function: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        self.policy.function = Some(Function::new(function));
        self
    }

    /// Adds a rule. Of all rules the first that matches decides, before function and rate are asked. Defaults to none.
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.policy.rules.push(rule);
        self
    }

    /// Sets whether a decision that came in is kept. Defaults to `true`; with `false` every service applies its own
    /// rate, still to the trace's one random value.
    pub const fn with_parent_based(mut self, on: bool) -> Self {
        self.policy.parent_based = on;
        self
    }

    /// Sets how many traces a second are sampled at most; a second's worth may come at once. Decisions that came in do
    /// not count. Defaults to no limit.
    ///
    /// Over the limit the rate that is applied, and told to Sentry and to those downstream, follows the load, so that
    /// Sentry still extrapolates to the right number.
    pub fn with_max_traces_per_second(mut self, limit: impl Into<f64>) -> Self {
        self.limit = Some(limit.into());
        self
    }

    /// Sets whether `HEAD` and `OPTIONS` requests that nobody decided about are traces like any other. Defaults to
    /// `false`: they are not sampled, and their rate is 0.
    pub const fn with_head_and_options(mut self, on: bool) -> Self {
        self.policy.probes = on;
        self
    }

    /// Sets whether the SDK records and samples every trace for the application's other span processors, while Sentry
    /// gets its sample alone. Defaults to `false`.
    ///
    /// With `true`, and only then, the two headers may differ: `sentry-trace` and the dynamic sampling context carry
    /// Sentry's decision, `traceparent` says that the trace is recorded. A service downstream that follows
    /// `sentry-trace` samples as we do; one that knows `traceparent` alone records every trace.
    pub const fn with_record_all(mut self, on: bool) -> Self {
        self.record_all = on;
        self
    }

    /// Builds the sampler.
    ///
    /// # Errors
    ///
    /// If a rate is not in `0.0..=1.0`, or the limit is not one.
    pub fn build(self) -> Result<SentrySampler, SamplerBuildError> {
        let rate = self.rate.map(SampleRate::try_from).transpose().map_err(Kind::Rate)?;
        self.policy.rules.iter().try_for_each(Rule::check).map_err(Kind::Rule)?;
        let limit = self.limit.map(InvalidLimit::check).transpose().map_err(Kind::Limit)?;
        Ok(self.build_checked(rate, limit))
    }

    /// Builds it from numbers that were checked.
    pub(crate) fn build_checked(self, rate: Option<SampleRate>, limit: Option<f64>) -> SentrySampler {
        SentrySampler::new(Shared {
            policy: self.policy,
            tunables: Arc::new(Tunables::new(rate, limit)),
            record_all: self.record_all,
            decisions: Arc::default(),
        })
    }
}

/// The number was not a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLimit {
    found: String,
}

impl InvalidLimit {
    pub(crate) fn check(limit: f64) -> Result<f64, Self> {
        let is_limit = limit.is_finite() && limit >= 0.0;
        is_limit.then_some(limit).ok_or_else(|| Self { found: limit.to_string() })
    }
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a limit must be a number of traces a second, found {}", self.found)
    }
}

impl Error for InvalidLimit {}

/// The sampler could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplerBuildError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Limit(InvalidLimit),
    Rate(InvalidSampleRate),
    Rule(InvalidSampleRate),
}

impl From<Kind> for SamplerBuildError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for SamplerBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Limit(error) => write!(f, "with_max_traces_per_second: {error}"),
            Kind::Rate(error) => write!(f, "with_rate: {error}"),
            Kind::Rule(error) => write!(f, "with_rule: {error}"),
        }
    }
}

impl Error for SamplerBuildError {}
