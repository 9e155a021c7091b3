//! Setting up a propagator.

use std::{error::Error, fmt, sync::Arc};

use opentelemetry_sentry_protocol::{__shared::SettingError, DecisionLog, Dsn, InvalidDsn, Service};

use crate::{propagator::SentryPropagator, settings::Settings};

impl SentryPropagator {
    /// A builder for a propagator that knows its service.
    pub fn builder() -> SentryPropagatorBuilder {
        SentryPropagatorBuilder::default()
    }
}

/// Builds a [`SentryPropagator`].
#[derive(Debug, Default)]
#[must_use]
pub struct SentryPropagatorBuilder {
    /// Parsed at once, so that no text with a secret is kept and `Debug` cannot show one.
    dsn: Option<Result<Option<Dsn>, InvalidDsn>>,
    release: Option<String>,
    environment: Option<String>,
    org_id: Option<u64>,
    service: Option<Service>,
    settings: Settings,
}

impl SentryPropagatorBuilder {
    /// Sets the DSN, which names the project and the organisation of traces that begin here. An empty text counts as not
    /// set. Defaults to no DSN.
    pub fn with_dsn(mut self, dsn: impl Into<String>) -> Self {
        self.dsn = Some(Dsn::parse_setting(&dsn.into()));
        self
    }

    /// Sets the release of traces that begin here. Defaults to no release.
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the environment of traces that begin here. Defaults to `production`.
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Sets the id of the organisation. Defaults to the one in the DSN's host (`o123.…`), if it contains one.
    pub const fn with_org_id(mut self, id: u64) -> Self {
        self.org_id = Some(id);
        self
    }

    /// Sets whether a trace is continued only if the headers and this service name the same organisation. With `false`, it
    /// is also continued if only one side names an organisation. A trace of another organisation is never continued.
    /// Defaults to `false`.
    pub const fn with_strict_trace_continuation(mut self, strict: bool) -> Self {
        self.settings.strict = strict;
        self
    }

    /// Sets whether W3C `traceparent` and `tracestate` are read and written. Defaults to `true`.
    pub const fn with_traceparent(mut self, on: bool) -> Self {
        self.settings.traceparent = on;
        self
    }

    /// Sets whether a clear *sampled* bit means "not decided yet", in a `traceparent` that came without `sentry-trace`.
    /// With `false` it means "no", as for every OpenTelemetry sampler. Turn it on behind a load balancer that adds a
    /// `traceparent` with `-00` to every request. Defaults to `false`.
    pub const fn with_undecided_traceparent(mut self, on: bool) -> Self {
        self.settings.undecided_traceparent = on;
        self
    }

    /// Sets everything about the service at once. DSN, release, environment and organisation of this builder are then not
    /// used. Defaults to a service made from these four.
    pub fn with_service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Shares the log in which a sampler records its decisions about traces that begin without [`extract`]. Without it,
    /// the headers of such traces lack the rate and the transaction's name. Defaults to an empty log.
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
    /// If the DSN is invalid.
    pub fn build(self) -> Result<SentryPropagator, PropagatorBuildError> {
        let dsn = self.dsn.transpose().map_err(SettingError::of("with_dsn"));
        let dsn = dsn.map_err(|error| PropagatorBuildError { error })?.flatten();
        let service = self.service.unwrap_or_else(|| {
            Service::new(dsn).with_release(self.release).with_environment(self.environment).with_org_id(self.org_id)
        });
        Ok(SentryPropagator { settings: Arc::new(Settings { service, ..self.settings }) })
    }
}

/// The propagator could not be built. The message names the setting, what was expected and what was found (never a
/// secret); it contains the message of the source.
#[derive(Clone)]
pub struct PropagatorBuildError {
    error: SettingError,
}

impl fmt::Display for PropagatorBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

opentelemetry_sentry_protocol::__shared::debug_as_message!(PropagatorBuildError);

impl Error for PropagatorBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
