//! How the sampler says that the span which starts next belongs to a cron monitor.
//!
//! The exporter checks in when such a span starts, but a span processor can read the attributes of a span only by copying
//! the span. The SDK calls sampler and processors of a span in turn, on one thread, so a mark on the thread is enough.

use std::cell::Cell;

use opentelemetry::TraceId;

thread_local! {
    static TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Marks the current thread: a span of this trace starts on it that belongs to a cron monitor.
pub fn mark(trace_id: TraceId) {
    TRACE.set(Some(trace_id));
}

/// Whether the span of this trace that starts on the current thread may belong to a cron monitor. A processor that finds
/// none in its attributes calls [`clear`].
#[must_use]
pub fn is_marked(trace_id: TraceId) -> bool {
    TRACE.get() == Some(trace_id)
}

/// Removes the mark. The processor that finds a monitor leaves it, because there may be a second processor.
pub fn clear() {
    TRACE.set(None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_holds_for_one_trace_until_it_is_removed_or_replaced() {
        let [a, b] = [1, 2].map(|byte| TraceId::from_bytes([byte; 16]));
        let are_marked = || [a, b].map(is_marked);
        assert_eq!(are_marked(), [false, false]);
        mark(a);
        assert_eq!((are_marked(), are_marked()), ([true, false], [true, false]));
        mark(b);
        assert_eq!(are_marked(), [false, true]);
        clear();
        assert_eq!(are_marked(), [false, false]);
    }
}
