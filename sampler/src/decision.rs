//! How a trace is decided. The rules are in the guide, page `sampling`, section "Who decides".

use std::{
    cell::Cell,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry::otel_warn;
use opentelemetry_sentry_protocol::SampleRate;
use opentelemetry_sentry_semantics::{Attributes, semconv};

use crate::{Rule, SamplingContext, rules::Saying};

/// How traces are decided, apart from what can be changed at run time.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) rules: Vec<Rule>,
    pub(crate) function: Option<Function>,
    pub(crate) parent_based: bool,
    /// Whether `HEAD` and `OPTIONS` requests are traces like any other.
    pub(crate) probes: bool,
}

/// What is to be done with a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Choice {
    /// The random value decides, at this rate.
    Apply(SampleRate),
    /// It stays as it was decided.
    Inherit(bool),
    /// The user's function failed: it is not sampled, and no rate can be told.
    Refuse,
    /// Tracing is off: nothing is recorded, and what came in is passed on.
    PassOn,
}

impl Policy {
    /// Chooses; `context` is made only if somebody asks for it.
    pub(crate) fn choose<'a>(
        &self,
        rate: Option<SampleRate>,
        parent_sampled: Option<bool>,
        context: impl FnOnce() -> SamplingContext<'a>,
    ) -> Choice {
        // A span that the function starts would ask it again, and again.
        if Running::is_now() {
            return Choice::PassOn;
        }
        if !self.rules.is_empty() || self.function.is_some() {
            let context = context();
            match self.rules.iter().find_map(|rule| rule.apply(&context)) {
                Some(Saying::Sample(rate)) => return Choice::Apply(rate),
                Some(Saying::Inherit) => {
                    if let Some(sampled) = parent_sampled {
                        return Choice::Inherit(sampled);
                    }
                }
                None => {}
            }
            if let Some(function) = &self.function {
                return function.call(&context).map_or(Choice::Refuse, Choice::Apply);
            }
        }
        match (rate, parent_sampled) {
            (None, _) => Choice::PassOn,
            (Some(_), Some(sampled)) if self.parent_based => Choice::Inherit(sampled),
            (Some(rate), _) => Choice::Apply(rate),
        }
    }
}

/// A request that only asks what another would do, of which hardly anybody wants a trace.
pub(crate) fn is_probe(attributes: Attributes<'_>) -> bool {
    let method = attributes.first_text([semconv::HTTP_REQUEST_METHOD, semconv::HTTP_METHOD]);
    method.is_some_and(|method| method.eq_ignore_ascii_case("HEAD") || method.eq_ignore_ascii_case("OPTIONS"))
}

/// The user's function, which may panic or return anything.
#[derive(Clone)]
pub(crate) struct Function {
    function: Arc<dyn Fn(&SamplingContext<'_>) -> f64 + Send + Sync>,
    warned: Arc<AtomicBool>,
}

impl Function {
    pub(crate) fn new(function: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        Self { function: Arc::new(function), warned: Arc::default() }
    }

    /// The rate it returns; a failure is told of once.
    fn call(&self, context: &SamplingContext<'_>) -> Option<SampleRate> {
        let rate = catch_unwind(AssertUnwindSafe(|| {
            let _running = Running::begin();
            (self.function)(context)
        }));
        let problem = match rate.map(SampleRate::try_from) {
            Ok(Ok(rate)) => return Some(rate),
            Ok(Err(error)) => error.to_string(),
            Err(payload) => {
                // Dropping what somebody panicked with may panic, too.
                mem::forget(payload);
                "it panicked".to_owned()
            }
        };
        if !self.warned.swap(true, Ordering::Relaxed) {
            otel_warn!(name: "SentrySampler.FunctionFailed", message = problem.as_str());
        }
        None
    }
}

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, a user's function runs on this thread. (Suppressing telemetry would say the same to the SDK, but the
/// SDK asks samplers while it holds the context that would have to be changed.)
struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.set(true);
        Self
    }

    fn is_now() -> bool {
        // While the thread ends there is no such value any more.
        RUNNING.try_with(Cell::get).unwrap_or(false)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}
