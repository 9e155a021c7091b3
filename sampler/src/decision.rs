//! Is this trace kept? Plain values in, plain values out.
//!
//! | set up | parent's decision | rate | applied here |
//! | --- | --- | --- | --- |
//! | function | any | what it returns | yes |
//! | rate, parent-based | known | kept as it is | no |
//! | rate | not known, or not parent-based | the rate | yes |
//! | nothing | any | none: not recorded, the decision is passed on | no |
//!
//! A `HEAD` or `OPTIONS` request that nobody decided about is not kept, whatever the rate; its rate is 0.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use opentelemetry::otel_warn;
use opentelemetry_sentry_protocol::{SampleRand, SampleRate};

use crate::SamplingContext;

/// How the rate of an undecided trace is found.
#[derive(Clone)]
pub(crate) enum Strategy {
    /// Tracing is off.
    Off,
    Rate(SampleRate),
    Function(Arc<Function>),
}

type Function = dyn Fn(&SamplingContext<'_>) -> f64 + Send + Sync;

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("Off"),
            Self::Rate(rate) => write!(f, "Rate({rate})"),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}

/// The decision, and the rate if it was applied here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) sampled: Option<bool>,
    pub(crate) applied: Option<SampleRate>,
}

/// Decides; `context` is made only if a function asks for it.
pub(crate) fn decide<'a>(
    strategy: &Strategy,
    inherited: Option<bool>,
    rand: SampleRand,
    context: impl FnOnce() -> SamplingContext<'a>,
) -> Verdict {
    let apply = |rate| Verdict { sampled: Some(rand.is_below(rate)), applied: Some(rate) };
    match (strategy, inherited) {
        (Strategy::Function(function), _) => {
            call(function, &context()).map_or(Verdict { sampled: Some(false), applied: None }, apply)
        }
        (Strategy::Off, sampled) | (Strategy::Rate(_), sampled @ Some(_)) => Verdict { sampled, applied: None },
        (Strategy::Rate(rate), None) => apply(*rate),
    }
}

/// Runs the user's function, which may panic or return anything.
fn call(function: &Arc<Function>, context: &SamplingContext<'_>) -> Option<SampleRate> {
    let Ok(rate) = catch_unwind(AssertUnwindSafe(|| function(context))) else {
        otel_warn!(name: "SentrySampler.FunctionPanicked", message = "the trace is not sampled");
        return None;
    };
    let checked = SampleRate::try_from(rate);
    if let Err(error) = &checked {
        otel_warn!(name: "SentrySampler.InvalidRate", message = error.to_string());
    }
    checked.ok()
}
