//! Who we are: the part of a dynamic sampling context that is the same for every trace of a service.

use opentelemetry::TraceId;

use crate::{
    Decision, Dsn, DynamicSamplingContext, SampleRand,
    dsc::{write_member, write_plain},
};

/// The environment of a service that does not name one, as in all of Sentry's SDKs.
pub const DEFAULT_ENVIRONMENT: &str = "production";

/// What a service says about itself in the contexts of the traces that begin there.
///
/// Propagator and exporter are given the same one, so that headers and envelopes agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    dsn: Option<Dsn>,
    org_id: Option<u64>,
    release: Option<String>,
    environment: String,
}

impl Service {
    /// A service that sends to this DSN, if any.
    #[must_use]
    pub fn new(dsn: Option<Dsn>) -> Self {
        let org_id = dsn.as_ref().and_then(Dsn::org_id);
        Self { dsn, org_id, release: None, environment: DEFAULT_ENVIRONMENT.to_owned() }
    }

    /// Sets the release. Defaults to none.
    #[must_use]
    pub fn with_release(mut self, release: Option<String>) -> Self {
        self.release = release.filter(|release| !release.is_empty());
        self
    }

    /// Sets the environment. Defaults to [`DEFAULT_ENVIRONMENT`].
    #[must_use]
    pub fn with_environment(mut self, environment: Option<String>) -> Self {
        if let Some(environment) = environment.filter(|environment| !environment.is_empty()) {
            self.environment = environment;
        }
        self
    }

    /// Sets the organisation. Defaults to the one that the DSN's host names.
    #[must_use]
    pub fn with_org_id(mut self, org_id: Option<u64>) -> Self {
        self.org_id = org_id.or(self.org_id);
        self
    }

    /// Where it sends to.
    #[must_use]
    pub const fn dsn(&self) -> Option<&Dsn> {
        self.dsn.as_ref()
    }

    /// Its organisation.
    #[must_use]
    pub const fn org_id(&self) -> Option<u64> {
        self.org_id
    }

    /// Its release.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// Its environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// The context of a trace that has no frozen one: what this service knows about it.
    #[must_use]
    pub fn dsc(&self, trace_id: TraceId, sample_rand: SampleRand, decision: &Decision) -> DynamicSamplingContext {
        let mut text = String::with_capacity(256);
        write_member(&mut text, "environment", &self.environment);
        write_member(&mut text, "release", self.release.as_deref().unwrap_or_default());
        write_member(&mut text, "public_key", self.dsn.as_ref().map(Dsn::public_key).unwrap_or_default());
        write_plain(&mut text, "trace_id", Some(trace_id));
        write_plain(&mut text, "org_id", self.org_id);
        write_member(&mut text, "transaction", decision.transaction.as_deref().unwrap_or_default());
        write_plain(&mut text, "sampled", decision.sampled);
        write_plain(&mut text, "sample_rand", Some(sample_rand));
        write_plain(&mut text, "sample_rate", decision.sample_rate);
        DynamicSamplingContext::from_text(text)
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new(None)
    }
}
