//! What propagator and sampler count of requests, so that a check finds requests whose trace has no span here.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Counts requests whose headers were read, and local roots. A check compares them: each number alone is harmless, and
/// a pair of them shows that middleware and `tracing` layer do not work together.
///
/// The application passes a [`DecisionLog`](crate::DecisionLog) to propagator, sampler and exporter, so it carries this
/// along. All accesses are relaxed, as each number is read for itself. The alignment keeps the counts off the cache line
/// of the log, which every local root reads.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Arrivals {
    extracted: AtomicU64,
    continued: AtomicU64,
    unread: AtomicU64,
}

impl Arrivals {
    /// Counts a request whose headers were read.
    pub fn count_extracted(&self) {
        self.extracted.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of requests whose headers were read.
    #[must_use]
    pub fn extracted(&self) -> u64 {
        self.extracted.load(Ordering::Relaxed)
    }

    /// Counts a local root that belongs to a request whose headers were read.
    pub fn count_continued(&self) {
        self.continued.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of local roots that belong to requests whose headers were read.
    #[must_use]
    pub fn continued(&self) -> u64 {
        self.continued.load(Ordering::Relaxed)
    }

    /// Counts a local root of the kind `server` for which no headers were read.
    pub fn count_unread(&self) {
        self.unread.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of local roots of the kind `server` for which no headers were read.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }
}

/// Asks through OpenTelemetry's globals whether a sampler is behind them. It is a value of the `Context` in which a span
/// with the name [`NAME`](Self::NAME) starts; a sampler of this project that finds it notes which one it is, and does not
/// sample the span.
#[derive(Clone, Debug)]
pub struct Probe {
    decisions: Arc<crate::DecisionLog>,
    is_found: Arc<AtomicBool>,
}

impl Probe {
    /// The name of the span, so that a sampler need not look into the context of every other one.
    pub const NAME: &str = "opentelemetry-sentry check";

    /// A probe that looks for the sampler with this log.
    #[must_use]
    pub fn new(decisions: Arc<crate::DecisionLog>) -> Self {
        Self { decisions, is_found: Arc::default() }
    }

    /// Notes that a sampler was asked.
    pub fn note(&self, decisions: &Arc<crate::DecisionLog>) {
        if Arc::ptr_eq(&self.decisions, decisions) {
            self.is_found.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the sampler was asked.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.is_found.load(Ordering::Relaxed)
    }
}
