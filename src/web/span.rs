//! How do the spans begin and end that are made here?

use std::{collections::HashMap, fmt, sync::Arc, thread};

use opentelemetry::{
    Context, global,
    trace::{SpanBuilder, SpanContext, SpanRef, Status, TraceContextExt, Tracer},
};
use opentelemetry_sentry_protocol::{Baggage, Decision, Incoming, RemoteTrace, SentryTrace};

/// The name under which the spans appear as an instrumentation.
const SCOPE: &str = "opentelemetry-sentry";

/// What Sentry calls the status of what failed for a reason that has no word of its own.
pub(super) const INTERNAL_ERROR: &str = "internal_error";
/// What Sentry calls the status of what was not there.
pub(super) const NOT_FOUND: &str = "not_found";
/// What Sentry calls the status of what nobody waited for any more.
const CANCELLED: &str = "cancelled";

/// A span that is open. One that is dropped before its end was cancelled, or panicked, and says so.
pub(super) struct OpenSpan {
    cx: Context,
    has_ended: bool,
}

impl OpenSpan {
    /// Starts a span under this context.
    pub(super) fn start(span: SpanBuilder, parent: &Context) -> Self {
        let span = global::tracer(SCOPE).build_with_context(span, parent);
        Self { cx: parent.with_span(span), has_ended: false }
    }

    /// The context in which the span is the active one.
    pub(super) const fn context(&self) -> &Context {
        &self.cx
    }

    pub(super) fn span(&self) -> SpanRef<'_> {
        self.cx.span()
    }

    pub(super) fn fail(&self, description: impl Into<std::borrow::Cow<'static, str>>) {
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
            self.fail(if thread::panicking() { INTERNAL_ERROR } else { CANCELLED });
            self.span().end();
        }
    }
}

impl fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSpan").field("span", self.span().span_context()).finish()
    }
}

/// The same context, but the next span in it begins a transaction of its own: a child of the active span, as if it ran
/// in another service.
///
/// A span under a remote parent is a local root, for sampler and exporter alike. What was decided for the trace and its
/// dynamic sampling context go along, so that the sampler does not decide anew.
pub(super) fn apart(cx: &Context) -> Context {
    let span = cx.span();
    let active = span.span_context();
    if !active.is_valid() || active.is_remote() {
        return cx.clone();
    }
    let (trace_id, flags, state) = (active.trace_id(), active.trace_flags(), active.trace_state().clone());
    let remote = SpanContext::new(trace_id, active.span_id(), flags, true, state);
    let apart = cx.with_remote_span_context(remote);
    match RemoteTrace::from_context(cx).and_then(|trace| trace.decision(trace_id)) {
        Some(_) => apart,
        None => apart.with_value(passed_on(cx, active)),
    }
}

/// What another service would be told about the trace of the active span by the global propagator.
fn passed_on(cx: &Context, active: &SpanContext) -> RemoteTrace {
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(cx, &mut headers));
    let header = |name| headers.get(name).map(String::as_str);
    let trace_id = active.trace_id();
    let sentry_trace = header(SentryTrace::HEADER).and_then(|header| header.parse::<SentryTrace>().ok());
    let dsc = Baggage::parse(header(Baggage::HEADER)).into_dsc();

    let sampled = sentry_trace.as_ref().map_or(Some(active.is_sampled()), SentryTrace::sampled);
    let incoming = match sentry_trace {
        Some(_) => Incoming::from_sentry(trace_id, sampled, dsc),
        // Another propagator than ours: it knows no context, and the exporter fills in its own.
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
