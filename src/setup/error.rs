//! Errors of the set-up.

use std::{error::Error, fmt};

use opentelemetry_sentry_exporter::ExporterBuildError;
use opentelemetry_sentry_propagator::PropagatorBuildError;
use opentelemetry_sentry_protocol::{InvalidDsn, InvalidSampleRate};

use super::environment::LIFECYCLE;

/// Sentry could not be set up. The message names the setting, what was found (never a secret) and what was expected.
pub struct SetupError {
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Dsn(&'static str, InvalidDsn),
    Rate(InvalidSampleRate),
    /// What the variable has instead of a lifecycle.
    Lifecycle(String),
    Exporter(ExporterBuildError),
    Propagator(PropagatorBuildError),
    AlreadyInstalled,
}

impl From<Kind> for SetupError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Dsn(setting, error) => write!(f, "{setting}: {error}"),
            Kind::Rate(error) => write!(f, "with_traces_sample_rate: {error}"),
            Kind::Lifecycle(text) => write!(f, "{LIFECYCLE}: it must be static or stream, found {text:?}"),
            Kind::Exporter(error) => error.fmt(f),
            Kind::Propagator(error) => error.fmt(f),
            Kind::AlreadyInstalled => f.write_str("install: Sentry is installed in this process already"),
        }
    }
}

opentelemetry_sentry_protocol::__shared::debug_as_message!(SetupError);

impl Error for SetupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Exporter(error) => error.source(),
            // The messages of the others contain that of their source.
            Kind::Dsn(..) | Kind::Rate(_) | Kind::Lifecycle(_) | Kind::Propagator(_) | Kind::AlreadyInstalled => None,
        }
    }
}
