//! What propagator and sampler count of requests, so that a check finds requests whose trace has no span here.

use std::sync::atomic::{AtomicU64, Ordering};

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
