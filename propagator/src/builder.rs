//! How a propagator is set up.

use std::{error::Error, fmt, sync::Arc};

use opentelemetry_sentry_protocol::{DecisionLog, Dsn, InvalidDsn, Service};

use crate::SentryPropagator;

/// What extraction and injection need to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) service: Service,
    pub(crate) decisions: Arc<DecisionLog>,
    pub(crate) strict: bool,
    pub(crate) traceparent: bool,
    pub(crate) undecided_traceparent: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: Service::default(),
            decisions: Arc::default(),
            strict: false,
            traceparent: true,
            undecided_traceparent: false,
        }
    }
}

/// Builds a [`SentryPropagator`].
#[derive(Debug, Default)]
#[must_use]
pub struct SentryPropagatorBuilder {
    /// Parsed at once, so that no text with a secret is kept.
    dsn: Option<Result<Option<Dsn>, InvalidDsn>>,
    release: Option<String>,
    environment: Option<String>,
    org_id: Option<u64>,
    service: Option<Service>,
    settings: Settings,
}

impl SentryPropagatorBuilder {
    /// Sets the DSN, from which the public key and the organisation are taken. Defaults to none; empty is none.
    pub fn with_dsn(mut self, dsn: impl Into<String>) -> Self {
        self.dsn = Some(Dsn::parse_setting(&dsn.into()));
        self
    }

    /// Sets the release that traces which begin here are labelled with. Defaults to none.
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the environment that traces which begin here are labelled with. Defaults to `production`.
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Sets the organisation's id. Defaults to the one in the DSN's host (`o123.…`), if there is one.
    pub const fn with_org_id(mut self, id: u64) -> Self {
        self.org_id = Some(id);
        self
    }

    /// Sets whether a trace is continued only if both sides name the same organisation. Defaults to `false`: then one
    /// that names another organisation is not continued, but one that names none is.
    pub const fn with_strict_trace_continuation(mut self, strict: bool) -> Self {
        self.settings.strict = strict;
        self
    }

    /// Sets whether W3C `traceparent` and `tracestate` are read and written. Defaults to `true`.
    pub const fn with_traceparent(mut self, on: bool) -> Self {
        self.settings.traceparent = on;
        self
    }

    /// Sets whether a clear *sampled* bit in a `traceparent` that came alone means "not decided yet". Defaults to
    /// `false`: it means "no", as for every OpenTelemetry sampler. Turn it on behind a load balancer that puts `-00`
    /// on everything.
    pub const fn with_undecided_traceparent(mut self, on: bool) -> Self {
        self.settings.undecided_traceparent = on;
        self
    }

    /// Sets everything about the service at once, in place of DSN, release, environment and organisation.
    pub fn with_service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Shares the log in which a sampler notes what it decided about traces that begin without [`extract`].
    /// Defaults to an empty one.
    ///
    /// [`extract`]: opentelemetry::propagation::TextMapPropagator::extract
    pub fn with_decision_log(mut self, decisions: Arc<DecisionLog>) -> Self {
        self.settings.decisions = decisions;
        self
    }

    /// Builds the propagator.
    ///
    /// # Errors
    ///
    /// If the DSN is not one.
    pub fn build(self) -> Result<SentryPropagator, PropagatorBuildError> {
        let dsn = self.dsn.transpose().map_err(|error| PropagatorBuildError { error })?.flatten();
        let service = self.service.unwrap_or_else(|| {
            Service::new(dsn).with_release(self.release).with_environment(self.environment).with_org_id(self.org_id)
        });
        Ok(SentryPropagator { settings: Arc::new(Settings { service, ..self.settings }) })
    }
}

/// The propagator could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropagatorBuildError {
    error: InvalidDsn,
}

impl fmt::Display for PropagatorBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with_dsn: {}", self.error)
    }
}

impl Error for PropagatorBuildError {}
