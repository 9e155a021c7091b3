//! What sampler and exporter report to each other while they run.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Two counts that the sampler keeps for the exporter's reports, and a brake that the exporter sets for the sampler.
///
/// The application passes a [`DecisionLog`](crate::DecisionLog) to both, so it carries this along: no second object has
/// to be passed around.
///
/// All accesses are relaxed. Each number is read for itself, and no other memory is published with it.
#[derive(Debug, Default)]
pub struct Feedback {
    /// Without it, Sentry would not learn how many traces sampling left out.
    unsampled: AtomicU64,
    /// Separate from `unsampled`: Sentry reports backpressure under a reason of its own.
    held_back: AtomicU64,
    /// Written by the exporter's worker, read for every local root. 0 while the server keeps up.
    halvings: AtomicU32,
}

impl Feedback {
    /// Counts a local root that was not sampled and that no service upstream had decided about.
    pub fn count_unsampled(&self) {
        self.unsampled.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of local roots that were not sampled.
    #[must_use]
    pub fn unsampled(&self) -> u64 {
        self.unsampled.load(Ordering::Relaxed)
    }

    /// Counts a local root that was not sampled only because the server cannot keep up.
    pub fn count_held_back(&self) {
        self.held_back.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of local roots that were not sampled because the server could not keep up.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// How many times the sampler currently halves each rate, because the server cannot keep up.
    #[must_use]
    pub fn halvings(&self) -> u32 {
        self.halvings.load(Ordering::Relaxed)
    }

    /// Sets how many times the sampler halves each rate.
    pub fn set_halvings(&self, halvings: u32) {
        self.halvings.store(halvings, Ordering::Relaxed);
    }
}
