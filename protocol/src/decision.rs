//! What a sampler decided about a local root.

use std::sync::Arc;

use crate::{
    dsc::DynamicSamplingContext,
    sampling::{SampleRate, Unsampled},
};

/// What a sampler decided about a local root.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether Sentry gets the trace; `None` if tracing is off here and the services downstream decide.
    pub sampled: Option<bool>,
    /// Whether this process records the spans: always if the trace is sampled, and also if the application's other span
    /// processors want every trace.
    pub recorded: bool,
    /// The rate that this process applied, or that of a sampler upstream that is not Sentry's; `None` if another service
    /// with Sentry decided, or if the rate is not known.
    pub sample_rate: Option<SampleRate>,
    /// The transaction's name, if Sentry may group by it (its source is not a URL).
    pub transaction: Option<Arc<str>>,
    /// The frozen context that came in; if the decision was made here, it is written into the context.
    pub frozen: Option<DynamicSamplingContext>,
    /// Why Sentry does not get the trace; `None` if it does, or if another service decided.
    pub unsampled: Option<Unsampled>,
}

impl Decision {
    /// A decision without a rate, a name and a frozen context; the spans are not recorded.
    ///
    /// ```
    /// use opentelemetry_sentry_protocol::{Decision, SampleRate};
    ///
    /// let decision = Decision::new(Some(true)).with_recorded(true).with_sample_rate(Some(SampleRate::ALL));
    /// assert_eq!((decision.sampled, decision.recorded), (Some(true), true));
    /// ```
    #[must_use]
    pub const fn new(sampled: Option<bool>) -> Self {
        Self { sampled, recorded: false, sample_rate: None, transaction: None, frozen: None, unsampled: None }
    }

    /// Sets [`recorded`](Self::recorded). Defaults to `false`.
    #[must_use]
    pub const fn with_recorded(mut self, recorded: bool) -> Self {
        self.recorded = recorded;
        self
    }

    /// Sets [`sample_rate`](Self::sample_rate). Defaults to `None`.
    #[must_use]
    pub const fn with_sample_rate(mut self, rate: Option<SampleRate>) -> Self {
        self.sample_rate = rate;
        self
    }

    /// Sets [`transaction`](Self::transaction). Defaults to `None`.
    #[must_use]
    pub fn with_transaction(mut self, name: Option<Arc<str>>) -> Self {
        self.transaction = name;
        self
    }

    /// Sets [`frozen`](Self::frozen). Defaults to `None`.
    #[must_use]
    pub fn with_frozen(mut self, dsc: Option<DynamicSamplingContext>) -> Self {
        self.frozen = dsc;
        self
    }

    /// Sets [`unsampled`](Self::unsampled). Defaults to `None`.
    #[must_use]
    pub const fn with_unsampled(mut self, why: Option<Unsampled>) -> Self {
        self.unsampled = why;
        self
    }

    /// The decision about a local root that a filter of the application ignores. A context that came in says that it is
    /// not sampled, and is otherwise as it was.
    #[must_use]
    pub fn ignored(incoming: Option<&DynamicSamplingContext>) -> Self {
        let unsampled = |dsc: &DynamicSamplingContext| match dsc.is_empty() {
            true => dsc.clone(),
            false => dsc.with("sampled", "false"),
        };
        Self::new(Some(false)).with_frozen(incoming.map(unsampled)).with_unsampled(Some(Unsampled::Ignored))
    }
}

impl DynamicSamplingContext {
    /// The same context after a decision: if it was made here, its rate replaces the old one, and its outcome replaces
    /// `sampled` where the context has that entry.
    ///
    /// An empty context stays empty, and an inherited decision (one without a rate) changes nothing.
    #[must_use]
    pub fn with_decision(&self, decision: &Decision) -> Self {
        let Some(rate) = decision.sample_rate.filter(|_| !self.is_empty()) else { return self.clone() };
        let applied = self.with("sample_rate", &rate.to_string());
        match (decision.sampled, self.sampled()) {
            (Some(sampled), Some(said)) if sampled != said => applied.with("sampled", &sampled.to_string()),
            _ => applied,
        }
    }
}
