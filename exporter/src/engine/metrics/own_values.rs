//! Whether a thread can still read a map of series.
//!
//! A thread that ends destroys its thread-local values. One of the application's may measure while it is destroyed, such as the
//! statistics of a worker. The guard of a map needs a value that may be gone by then: it would panic, and a panic there ends the
//! process.

use opentelemetry_sentry_protocol::__shared::contain;
use papaya::HashMap;

thread_local! {
    static HERE: OwnValues = OwnValues::new();
}

/// The values are destroyed in the reverse order of their first use. So as long as this one is there, that of the guards is there
/// as well, which it has used first.
struct OwnValues {
    has_guards: bool,
}

impl OwnValues {
    fn new() -> Self {
        // The first use may come too late. It panics then, once for the thread.
        Self { has_guards: contain(|| drop(HashMap::<(), ()>::new().guard())).is_some() }
    }
}

impl Drop for OwnValues {
    /// Nothing. Without it the value would have no end that [`has_guards`] could see.
    fn drop(&mut self) {}
}

/// Whether the thread can read a map with its own guard.
#[inline]
pub(super) fn has_guards() -> bool {
    HERE.try_with(|here| here.has_guards).unwrap_or(false)
}
