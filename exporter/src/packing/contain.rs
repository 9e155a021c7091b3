//! Hooks and scrubbers of the application, called so that a panic in one of them does not end the worker.

use opentelemetry::otel_warn;
use opentelemetry_sentry_protocol::__shared;

/// Calls a function of the application; `None` if it panicked, which is logged.
pub(crate) fn contain<T>(what: &'static str, function: impl FnOnce() -> T) -> Option<T> {
    let value = __shared::contain(function);
    if value.is_none() {
        otel_warn!(name: "SentryExporter.FunctionPanicked", function = what);
    }
    value
}
