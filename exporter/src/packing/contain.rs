//! The application's own functions run here: whatever they do, the worker goes on.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use opentelemetry::otel_warn;

/// What a function returns; `None` if it panicked.
pub(crate) fn contain<T>(what: &'static str, f: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(panic) => {
            otel_warn!(name: "SentryExporter.FunctionPanicked", function = what);
            // Dropping what somebody panicked with may panic, too.
            mem::forget(panic);
            None
        }
    }
}
