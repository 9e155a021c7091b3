//! The spans of this module: how they start and end, and which of them become transactions.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc, thread};

use opentelemetry::{
    Context, KeyValue, global,
    trace::{SpanBuilder, SpanContext, SpanRef, Status, TraceContextExt, Tracer},
};
use opentelemetry_sentry_protocol::{Baggage, Decision, Incoming, RemoteTrace, SentryTrace};
use opentelemetry_sentry_semantics::semconv;

use crate::setup::note_use_of_provider;

/// The instrumentation scope of the spans.
const SCOPE: &str = "opentelemetry-sentry";

/// Sentry's status for a failure that has no more specific one.
pub(super) const INTERNAL_ERROR: &str = "internal_error";
/// Sentry's status for something that does not exist.
pub(super) const NOT_FOUND: &str = "not_found";
/// Sentry's status for work that was dropped before it was done, and its `error.type`.
const CANCELLED: &str = "cancelled";
/// The `error.type` of work that panicked.
const PANIC: &str = "panic";

/// An open span. If it is dropped before [`end`](Self::end), its future was cancelled or panicked: it gets that status
/// and `error.type`.
pub(super) struct OpenSpan {
    cx: Context,
    has_ended: bool,
}

impl OpenSpan {
    /// Starts a span under this context.
    pub(super) fn start(span: SpanBuilder, parent: &Context) -> Self {
        Self { cx: started(span, parent), has_ended: false }
    }

    /// The context in which the span is the active one.
    pub(super) const fn context(&self) -> &Context {
        &self.cx
    }

    pub(super) fn span(&self) -> SpanRef<'_> {
        self.cx.span()
    }

    pub(super) fn fail(&self, description: impl Into<Cow<'static, str>>) {
        self.span().set_status(Status::error(description));
    }

    pub(super) fn end(mut self) {
        self.has_ended = true;
        self.span().end();
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if !self.has_ended {
            interrupted(&self.span());
            self.span().end();
        }
    }
}

/// Starts a span, and returns the context in which it is the active one.
pub(super) fn started(span: SpanBuilder, parent: &Context) -> Context {
    note_use_of_provider();
    parent.with_span(global::tracer(SCOPE).build_with_context(span, parent))
}

/// Notes that the work of a span was dropped before it was done, or panics.
pub(super) fn interrupted(span: &SpanRef<'_>) {
    let (error_type, status) = if thread::panicking() { (PANIC, INTERNAL_ERROR) } else { (CANCELLED, CANCELLED) };
    span.set_attribute(KeyValue::new(semconv::ERROR_TYPE, error_type));
    span.set_status(Status::error(status));
}

impl fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSpan").field("span", self.span().span_context()).finish()
    }
}

/// A context like this one in which the next span is a local root: it becomes a transaction of its own and a child of
/// the active span, as if it ran in another service.
///
/// Sampler and exporter take a span for a local root if its parent is marked as remote. The decision of the trace and
/// its dynamic sampling context stay in the context. Without them the sampler would decide again.
pub(super) fn as_local_root(cx: &Context) -> Context {
    let span = cx.span();
    let active = span.span_context();
    if !active.is_valid() || active.is_remote() {
        return cx.clone();
    }
    let (trace_id, flags, state) = (active.trace_id(), active.trace_flags(), active.trace_state().clone());
    let remote = SpanContext::new(trace_id, active.span_id(), flags, true, state);
    let local_root = cx.with_remote_span_context(remote);
    match RemoteTrace::from_context(cx).and_then(|trace| trace.decision(trace_id)) {
        Some(_) => local_root,
        None => local_root.with_value(as_received(cx, active)),
    }
}

/// The trace of the active span as another service would receive it from the global propagator.
fn as_received(cx: &Context, active: &SpanContext) -> RemoteTrace {
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(cx, &mut headers));
    let header = |name| headers.get(name).map(String::as_str);
    let trace_id = active.trace_id();
    let sentry_trace = header(SentryTrace::HEADER).and_then(|header| header.parse::<SentryTrace>().ok());
    let dsc = Baggage::parse(header(Baggage::HEADER)).into_dsc();

    let sampled = sentry_trace.as_ref().map_or(Some(active.is_sampled()), SentryTrace::sampled);
    let incoming = match sentry_trace {
        Some(_) => Incoming::from_sentry(trace_id, sampled, dsc),
        // The global propagator is not Sentry's and wrote no such context. The exporter then fills in its own.
        None => Incoming::from_w3c(trace_id, sampled),
    };
    let decision = Decision::new(sampled)
        .with_recorded(active.is_sampled())
        .with_sample_rate(incoming.sample_rate())
        .with_frozen(incoming.frozen().cloned());

    let foreign = RemoteTrace::from_context(cx).map(|trace| trace.foreign().collect::<Vec<_>>().join(","));
    let trace = RemoteTrace::new(Some(incoming), foreign.unwrap_or_default());
    trace.decide(trace_id, &Arc::new(decision));
    trace
}
