//! The application's own sampling function, which may panic, return anything, or start spans.

use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry::otel_warn;
use opentelemetry_sentry_protocol::{__shared::contain, SampleRate};

use crate::context::SamplingContext;

/// The application's sampling function.
#[derive(Clone)]
pub(crate) struct Function {
    function: Arc<dyn Fn(&SamplingContext<'_>) -> f64 + Send + Sync>,
    /// Only the first failure is logged: the function runs for every local root, so a broken one would flood the log.
    warned: Arc<AtomicBool>,
}

impl Function {
    pub(crate) fn new(function: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        Self { function: Arc::new(function), warned: Arc::default() }
    }

    /// The rate that the function returns; `None` if it panics or returns an invalid rate.
    pub(crate) fn call(&self, context: &SamplingContext<'_>) -> Option<SampleRate> {
        let rate = contain(|| {
            let _running = Running::begin();
            (self.function)(context)
        });
        let problem = match rate.map(SampleRate::try_from) {
            Some(Ok(rate)) => return Some(rate),
            Some(Err(error)) => error.to_string(),
            None => "it panicked".to_owned(),
        };
        if !self.warned.swap(true, Ordering::Relaxed) {
            otel_warn!(name: "SentrySampler.FunctionFailed", message = problem.as_str());
        }
        None
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread while the application's function runs on it.
///
/// A span that the function starts would call the function again, and so on without end. Telemetry suppression cannot
/// prevent that: the SDK calls samplers while it holds the context, which therefore cannot be replaced.
pub(crate) struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.set(true);
        Self
    }

    /// Whether the application's function runs on the current thread.
    pub(crate) fn is_now() -> bool {
        // The value is gone while the thread ends; a span that starts then is sampled like any other.
        RUNNING.try_with(Cell::get).unwrap_or(false)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}
