//! Which sampler is behind OpenTelemetry's global tracer provider?

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A value of the `Context` in which a span with the name [`NAME`](Self::NAME) starts. A sampler of this project that finds
/// it notes which one it is, and does not sample the span.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The address of what the sampler must have, as OpenTelemetry's globals have no types.
    looked_for: usize,
    is_found: Arc<AtomicBool>,
}

impl Probe {
    /// The name of the span, so that a sampler need not look into the context of every other one.
    pub const NAME: &str = "opentelemetry-sentry check";

    /// A probe that looks for the sampler that has this value.
    #[must_use]
    pub fn new<T>(looked_for: &Arc<T>) -> Self {
        Self { looked_for: Arc::as_ptr(looked_for).addr(), is_found: Arc::default() }
    }

    /// Notes that the sampler that has this value was asked.
    pub fn note<T>(&self, found: &Arc<T>) {
        if Arc::as_ptr(found).addr() == self.looked_for {
            self.is_found.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the sampler was asked.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.is_found.load(Ordering::Relaxed)
    }
}
