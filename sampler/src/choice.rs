//! What rules, function and rate can choose.

use opentelemetry_sentry_protocol::SampleRate;

/// How the decision about a trace is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Choice {
    /// By comparing the random value with this rate.
    Apply(SampleRate),
    /// It is the parent's.
    Inherit(bool),
    /// The application's function failed: the trace is not sampled, and no rate is known.
    Refuse,
    /// Tracing is off: nothing is recorded, and the decision that came in is passed on.
    PassOn,
}
