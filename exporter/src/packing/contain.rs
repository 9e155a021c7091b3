//! Calls the application's hooks and scrubbers. A panic in one of them must not end the worker.

use opentelemetry::otel_warn;
use opentelemetry_sentry_protocol::__shared;

/// Calls a function of the application. If it panics, logs this and returns `None`.
pub(crate) fn contain<T>(what: &'static str, function: impl FnOnce() -> T) -> Option<T> {
    let value = __shared::contain(function);
    if value.is_none() {
        otel_warn!(name: "SentryExporter.FunctionPanicked", function = what);
    }
    value
}
