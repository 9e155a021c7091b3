//! Which thread-local values of libraries a thread still has.
//!
//! A thread that ends destroys its thread-local values. One of the application's may measure while it is destroyed, such as the
//! statistics of a worker. What needs a value that is gone would panic there, and a panic there ends the process.

use opentelemetry::Context;
use opentelemetry_sentry_protocol::__shared::contain;
use papaya::HashMap;

thread_local! {
    static HERE: OwnValues = OwnValues::new();
}

/// The values are destroyed in the reverse order of their first use. So as long as this one is there, those that it has used
/// first are there as well.
struct OwnValues {
    has_context: bool,
    has_guards: bool,
}

impl OwnValues {
    fn new() -> Self {
        Self {
            // The first use may come too late. It panics then, once for the thread.
            has_context: contain(|| Context::map_current(|_| ())).is_some(),
            has_guards: contain(|| drop(HashMap::<(), ()>::new().guard())).is_some(),
        }
    }
}

impl Drop for OwnValues {
    /// Nothing. Without it the value would have no end that [`has_context`] and [`has_guards`] could see.
    fn drop(&mut self) {}
}

/// Whether the thread has a current context.
pub(super) fn has_context() -> bool {
    HERE.try_with(|here| here.has_context).unwrap_or(false)
}

/// Whether the thread can read a map with its own guard.
#[inline]
pub(super) fn has_guards() -> bool {
    HERE.try_with(|here| here.has_guards).unwrap_or(false)
}
