//! Which spans are of databases, so that no query inside of one gets a second span.

use std::{
    cell::Cell,
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use opentelemetry::SpanId;

thread_local! {
    /// The span that this thread is starting is of a database. The sampler knows its attributes and not its id, and the
    /// processor, which the SDK calls next on the same thread, knows its id and would have to copy its attributes.
    static IS_STARTING: Cell<bool> = const { Cell::new(false) };
}

/// The latest database spans of this process.
///
/// An active span cannot be asked for its attributes. So what its sampler has seen is noted here by span id. There is one
/// slot per hash of the id, and a newer span replaces an older one; then a query in the older one, if that is still open,
/// gets a span of its own. Ids do not come back, so they need not be removed.
///
/// All accesses are relaxed: a span is looked up by the threads that it was handed to.
pub struct Databases {
    /// Set when a layer looks spans up. Without one nothing is noted.
    is_wanted: AtomicBool,
    slots: Box<[AtomicU64]>,
}

impl Databases {
    /// 8 KiB. A process seldom has a hundred queries at a time.
    const SLOTS: usize = 1024;

    /// Notes database spans from now on.
    pub fn expect_queries(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Notes whether the span that this thread starts next is of a database, if that is wanted.
    pub fn starting(&self, is_database: impl FnOnce() -> bool) {
        if self.is_wanted.load(Ordering::Relaxed) {
            IS_STARTING.set(is_database());
        }
    }

    /// Notes the id of a span that this thread has started, if it is of a database.
    pub fn started(&self, span_id: impl FnOnce() -> SpanId) {
        if IS_STARTING.take() {
            let span_id = span_id();
            self.slot(span_id).store(number(span_id), Ordering::Relaxed);
        }
    }

    /// Whether a span is of a database.
    #[must_use]
    pub fn has(&self, span_id: SpanId) -> bool {
        self.slot(span_id).load(Ordering::Relaxed) == number(span_id)
    }

    fn slot(&self, span_id: SpanId) -> &AtomicU64 {
        // Multiplying by 2^64 divided by the golden ratio spreads the ids of simple generators over the highest ten bits.
        let mixed = number(span_id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.slots[(mixed >> 54) as usize % Self::SLOTS]
    }
}

fn number(span_id: SpanId) -> u64 {
    u64::from_be_bytes(span_id.to_bytes())
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Databases").field("is_wanted", &self.is_wanted).finish_non_exhaustive()
    }
}

impl Default for Databases {
    fn default() -> Self {
        Self { is_wanted: AtomicBool::new(false), slots: (0..Self::SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(databases: &Databases, span_id: SpanId, is_database: bool) {
        databases.starting(|| is_database);
        databases.started(|| span_id);
    }

    #[test]
    fn only_spans_of_databases_are_noted_and_only_if_wanted() {
        let databases = Databases::default();
        let [early, query, other] = [1, 2, 3].map(SpanId::from);
        start(&databases, early, true);
        databases.expect_queries();
        start(&databases, query, true);
        start(&databases, other, false);
        // Without a new answer of the sampler the old one does not hold.
        databases.started(|| SpanId::from(4));
        let noted = [early, query, other, SpanId::from(4)].map(|span_id| databases.has(span_id));
        assert_eq!(noted, [false, true, false, false]);
    }
}
