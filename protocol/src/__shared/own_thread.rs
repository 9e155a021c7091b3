//! Threads on which no span is for anybody: those that deliver spans.
//!
//! Telemetry suppression is a property of a `Context`, and a library that starts a span under a context of its own
//! (h2 does so for every connection) leaves it. A span that is made where spans are delivered would make another one.

use std::cell::Cell;

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread is one that delivers spans.
pub fn mark() {
    IS_OWN.set(true);
}

/// Whether this thread delivers spans: nothing that starts or ends on it is to be recorded.
#[must_use]
pub fn is_marked() -> bool {
    IS_OWN.get()
}
