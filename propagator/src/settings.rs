//! What extraction and injection need to know.

use std::sync::Arc;

use opentelemetry_sentry_protocol::{DecisionLog, Service};

/// The settings of a propagator.
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
