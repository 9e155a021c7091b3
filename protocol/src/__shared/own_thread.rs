//! Marks the threads that deliver spans, whose own spans must not be recorded.
//!
//! A span that is made while spans are delivered would have to be delivered as well, and so on without end. Telemetry
//! suppression does not prevent that: it is a property of a `Context`, and a library that starts spans under a context
//! of its own (h2 does so for every connection) leaves it. A thread cannot be left.

use std::cell::Cell;

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread, until it ends.
pub fn mark() {
    IS_OWN.set(true);
}

/// Marks the current thread until the value is dropped, for an application's thread that delivers for a while.
#[must_use]
pub fn enter() -> Entered {
    Entered { was_marked: IS_OWN.replace(true) }
}

/// See [`enter`].
#[derive(Debug)]
pub struct Entered {
    was_marked: bool,
}

impl Drop for Entered {
    fn drop(&mut self) {
        IS_OWN.set(self.was_marked);
    }
}

/// Whether the current thread is marked: then no span that starts or ends on it is recorded.
#[must_use]
pub fn is_marked() -> bool {
    IS_OWN.get()
}
