//! Whether this process needs Sentry's tracer provider to be the global one.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a layer of `web` has made a span with the global tracer provider. The layers have no `Sentry` to which they
/// could report it, because they work with the globals alone.
static IS_PROVIDER_USED: AtomicBool = AtomicBool::new(false);

/// Notes that a span is made with the global tracer provider.
pub(crate) fn note_use_of_provider() {
    // Every request passes here. Once it is set, threads must not write to what all of them read.
    if !is_provider_used() {
        IS_PROVIDER_USED.store(true, Ordering::Relaxed);
    }
}

pub(super) fn is_provider_used() -> bool {
    IS_PROVIDER_USED.load(Ordering::Relaxed)
}
