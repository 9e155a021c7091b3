//! Setting up a sampler.

use std::{error::Error, fmt, sync::Arc};

use opentelemetry_sentry_protocol::{__shared::SettingError, InvalidSampleRate, SampleRate};

use crate::{
    context::SamplingContext,
    decision::Policy,
    excluded::Excluded,
    function::Function,
    limiter::InvalidLimit,
    rules::Rule,
    sampler::{SentrySampler, Shared},
    tunables::Tunables,
};

impl SentrySampler {
    /// A sampler that keeps undecided traces at this rate and follows decisions that came in.
    ///
    /// # Errors
    ///
    /// If the rate is not in `0.0..=1.0`.
    pub fn rate(rate: f64) -> Result<Self, InvalidSampleRate> {
        let rate = SampleRate::try_from(rate)?;
        Ok(Self::builder().build_checked(Some(rate), None))
    }

    /// A sampler that asks a function for the rate of each local root.
    #[must_use]
    pub fn function(function: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        Self::builder().with_function(function).build_checked(None, None)
    }

    /// A sampler that records nothing and passes on decisions that came in: tracing is off in this service.
    #[must_use]
    pub fn off() -> Self {
        Self::builder().build_checked(None, None)
    }

    /// A builder for a sampler with rules, a limit and other options.
    pub fn builder() -> SentrySamplerBuilder {
        SentrySamplerBuilder::default()
    }
}

/// Builds a [`SentrySampler`].
#[derive(Debug)]
#[must_use]
pub struct SentrySamplerBuilder {
    rate: Option<f64>,
    limit: Option<f64>,
    record_all: bool,
    adds_threshold: bool,
    hands_over: bool,
    excluded: Vec<Excluded>,
    policy: Policy,
}

impl Default for SentrySamplerBuilder {
    fn default() -> Self {
        let policy = Policy { rules: Vec::new(), function: None, parent_based: true, probes: false };
        Self {
            rate: None,
            limit: None,
            record_all: false,
            adds_threshold: false,
            hands_over: true,
            excluded: Vec::new(),
            policy,
        }
    }
}

impl SentrySamplerBuilder {
    /// Sets the rate at which undecided traces are kept, in `0.0..=1.0`.
    ///
    /// Without a rate and a function, tracing is off: nothing is recorded, and the services downstream decide. A rate of 0
    /// is different: the decision is made here, and it is "no". Defaults to no rate.
    pub const fn with_rate(mut self, rate: f64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets a function that returns the rate of each local root, and then the rate of
    /// [`with_rate`](Self::with_rate) is not used.
    ///
    /// It is called even if a decision came in; use [`SamplingContext::inherit_or_sample_with`] to follow that decision.
    /// If it panics or returns a rate outside `0.0..=1.0`, the trace is not sampled, and the first such failure is logged
    /// (feature `internal-logs`). The function may log and call Sentry: no lock is held while it runs. Spans that it starts
    /// are not recorded. Defaults to no function.
    pub fn with_function(mut self, function: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        self.policy.function = Some(Function::new(function));
        self
    }

    /// Adds a rule. The first rule that matches decides, before the function and the rate; a trace that came in
    /// with a decision keeps it, unless the rule [overrides parents](Rule::overriding_parents). Defaults to no rules.
    pub fn with_rule(mut self, rule: Rule) -> Self {
        self.policy.rules.push(rule);
        self
    }

    /// Sets whether a decision that came in is kept. With `false`, this service applies its own rate to the random value
    /// of the trace. Defaults to `true`.
    pub const fn with_parent_based(mut self, on: bool) -> Self {
        self.policy.parent_based = on;
        self
    }

    /// Sets how many traces are sampled per second at most; those of one second may all start at once. Traces that came in
    /// with a decision do not count.
    ///
    /// Above the limit, the rate that is applied follows the load. Sentry and the services downstream receive that rate,
    /// so Sentry still extrapolates to the right number of traces. Defaults to no limit.
    pub fn with_max_traces_per_second(mut self, limit: impl Into<f64>) -> Self {
        self.limit = Some(limit.into());
        self
    }

    /// Sets whether undecided `HEAD` and `OPTIONS` requests are sampled like all others. If not, their rate is 0. Defaults
    /// to `false`.
    pub const fn with_head_and_options(mut self, on: bool) -> Self {
        self.policy.probes = on;
        self
    }

    /// Sets whether every trace is recorded for the application's other span processors, while Sentry still receives only
    /// the sampled ones.
    ///
    /// With `true`, and only then, the two headers may differ: `sentry-trace` and the dynamic sampling context carry
    /// Sentry's decision, and `traceparent` says that the trace is recorded. A service downstream that reads
    /// `sentry-trace` follows Sentry's decision; one that reads only `traceparent` records every trace. Defaults to
    /// `false`.
    pub const fn with_record_all(mut self, on: bool) -> Self {
        self.record_all = on;
        self
    }

    /// Sets whether OpenTelemetry's `ot=th:…;rv:…` is added to the `tracestate` of traces that come without: the rate as a
    /// threshold, and the random value. A second back end then counts each span as often as its rate says, and services
    /// downstream with OpenTelemetry's samplers decide about the trace as Sentry does.
    ///
    /// It costs each span some allocations, because OpenTelemetry copies the `tracestate` into every span; so it is off unless
    /// there is a second back end. A threshold and a random value that came in are used and kept true in any case. Defaults
    /// to `false`.
    ///
    /// ```
    /// use opentelemetry_sentry_sampler::SentrySampler;
    ///
    /// let sampler = SentrySampler::builder().with_rate(0.25).with_tracestate(true).build()?; // ot=th:c;rv:…
    /// # Ok::<(), opentelemetry_sentry_sampler::SamplerBuildError>(())
    /// ```
    pub const fn with_tracestate(mut self, on: bool) -> Self {
        self.adds_threshold = on;
        self
    }

    /// Sets whether sampled local roots get the attributes from which `SentryExporter` and `SentrySpanProcessor` make the
    /// envelope's `trace` header, and which they remove: `sentry.sample_rate`, `sentry.dsc` and others. Another exporter, such
    /// as OTLP's, would send them. Set it to `false` where only that one gets the spans. Defaults to `true`.
    pub const fn with_trace_header(mut self, on: bool) -> Self {
        self.hands_over = on;
        self
    }

    /// Excludes client requests to the host of this URL: their spans are never sampled, not even below a sampled parent.
    ///
    /// `Sentry` of the crate `opentelemetry-sentry` excludes the host of its DSN, so that a request to Sentry never makes
    /// another one. Defaults to no exclusions.
    pub fn without_requests_to(mut self, url: &str) -> Self {
        self.excluded.extend(Excluded::host_of(url));
        self
    }

    /// Builds the sampler.
    ///
    /// # Errors
    ///
    /// If a rate is not in `0.0..=1.0`, or if the limit is negative, infinite or not a number.
    pub fn build(self) -> Result<SentrySampler, SamplerBuildError> {
        let rate = self.rate.map(SampleRate::try_from).transpose().map_err(SettingError::of("with_rate"))?;
        self.policy.rules.iter().try_for_each(Rule::check).map_err(SettingError::of("with_rule"))?;
        let limit =
            self.limit.map(InvalidLimit::check).transpose().map_err(SettingError::of("with_max_traces_per_second"))?;
        Ok(self.build_checked(rate, limit))
    }

    /// Builds it from numbers that have been validated.
    pub(crate) fn build_checked(self, rate: Option<SampleRate>, limit: Option<f64>) -> SentrySampler {
        let shared = Shared {
            policy: self.policy,
            tunables: Arc::new(Tunables::new(rate, limit)),
            record_all: self.record_all,
            adds_threshold: self.adds_threshold,
            hands_over: self.hands_over,
            decisions: Arc::default(),
        };
        SentrySampler::new(shared, self.excluded)
    }
}

/// The sampler could not be built. The message names the setting, what was expected and what was found; it contains the
/// message of the source.
#[derive(Clone)]
pub struct SamplerBuildError {
    error: SettingError,
}

impl From<SettingError> for SamplerBuildError {
    fn from(error: SettingError) -> Self {
        Self { error }
    }
}

impl fmt::Display for SamplerBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

opentelemetry_sentry_protocol::__shared::debug_as_message!(SamplerBuildError);

impl Error for SamplerBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
