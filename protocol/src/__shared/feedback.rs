//! What sampler and exporter report to each other while they run.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::sampling::Unsampled;

/// The counts that the sampler keeps for the exporter's reports, and a brake that the exporter sets for the sampler.
///
/// The application passes a [`DecisionLog`](crate::DecisionLog) to both, so it carries this along: no second object has
/// to be passed around.
///
/// All accesses are relaxed. Each number is read for itself, and no other memory is published with it.
#[derive(Debug, Default)]
pub struct Feedback {
    /// Without them, Sentry would not learn how much sampling and filters left out. One for each reason, because Sentry
    /// reports them under different words.
    unsampled: [AtomicU64; 3],
    /// Written by the exporter's worker, read for every local root. 0 while the server keeps up.
    halvings: AtomicU32,
}

impl Feedback {
    /// Counts a local root that was not sampled and that no service upstream had decided about; of a stream, any span.
    pub fn count_unsampled(&self, why: Unsampled) {
        self.unsampled[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were not sampled for this reason.
    #[must_use]
    pub fn unsampled(&self, why: Unsampled) -> u64 {
        self.unsampled[why as usize].load(Ordering::Relaxed)
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
