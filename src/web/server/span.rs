//! The span of one request, and the `tracing` span that carries it.

use std::borrow::Cow;

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt},
};
use opentelemetry_sentry_semantics::semconv;

use super::request::Described;
use crate::web::span::{interrupted, started};

/// An open span. If it is dropped before [`end`](Self::end), the client went away, or the service panicked.
#[derive(Debug)]
pub(super) struct RequestSpan {
    cx: Context,
    is_done: bool,
    #[cfg(feature = "tracing")]
    carrier: tracing::Span,
    /// Whether the OpenTelemetry span belongs to the carrier.
    #[cfg(feature = "tracing")]
    is_carried: bool,
}

impl RequestSpan {
    /// Starts a span for a request whose headers made this context.
    pub(super) fn start(request: Described, parent: &Context) -> Self {
        #[cfg(feature = "tracing")]
        {
            let (carrier, carried) = carry(&request, parent);
            let is_carried = carried.is_some();
            let cx = carried.unwrap_or_else(|| start(request, parent));
            Self { cx, is_done: false, carrier, is_carried }
        }
        #[cfg(not(feature = "tracing"))]
        Self { cx: start(request, parent), is_done: false }
    }

    /// The context in which the span is the active one.
    pub(super) const fn context(&self) -> &Context {
        &self.cx
    }

    pub(super) fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.cx.span().set_attribute(KeyValue::new(key, value));
    }

    pub(super) fn set_all(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        self.cx.span().set_attributes(attributes);
    }

    pub(super) fn fail(&self, description: impl Into<Cow<'static, str>>) {
        self.cx.span().set_status(Status::error(description));
    }

    /// Calls a function in the span: for OpenTelemetry, and for `tracing`.
    pub(super) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.carrier.enter();
        // On top of what entering has activated: a layer without context activation, or one that filters the carrier,
        // activates nothing.
        let _active = self.cx.clone().attach();
        work()
    }

    /// Ends the span now.
    pub(super) fn end(mut self) {
        self.is_done = true;
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        if !self.is_done {
            interrupted(&self.cx.span());
        }
        #[cfg(feature = "tracing")]
        if self.is_carried {
            // The layer ends the OpenTelemetry span when the carrier and all spans of `tracing` below it are closed, and
            // with the time of the last exit, which is this one. If the span was ended here, functions of the handler
            // that are open on behalf of a spawned task would miss the request's transaction, with all that they called.
            self.carrier.in_scope(|| ());
            return;
        }
        self.cx.span().end();
    }
}

fn start(request: Described, parent: &Context) -> Context {
    let Described { name, path, mut attributes } = request;
    attributes.push(KeyValue::new(semconv::URL_PATH, path));
    started(SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes), parent)
}

/// Makes a `tracing` span, so that log lines show the request, and returns the context of the OpenTelemetry span that
/// the subscriber made for it. `None` without a layer for OpenTelemetry, or if its filter refuses the span.
#[cfg(feature = "tracing")]
fn carry(request: &Described, parent: &Context) -> (tracing::Span, Option<Context>) {
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    // A layer takes the active context for the parent, also one inside of a `reload::Layer`, which `set_parent` does
    // not reach. Only a layer without context activation needs `set_parent`.
    let _active = parent.clone().attach();
    let carrier = tracing::info_span!(
        target: "opentelemetry_sentry",
        "request",
        otel.kind = "server",
        otel.name = request.name,
        url.path = request.path,
    );
    let is_reached = carrier.set_parent(parent.clone()).is_ok();
    // Before the span starts, as the sampler is asked then.
    for attribute in &request.attributes {
        carrier.set_attribute(attribute.key.clone(), attribute.value.clone());
    }
    let is_new = |cx: &Context| {
        let (span, parent) = (cx.span(), parent.span());
        let span = span.span_context();
        span.is_valid() && !span.is_remote() && span.span_id() != parent.span_context().span_id()
    };
    let entered = carrier.in_scope(Context::current);
    let carried = if is_new(&entered) { Some(entered) } else { Some(carrier.context()).filter(is_new) };
    // Too late for the sampler, which knows kind, name and path in such a set-up.
    if let Some(carried) = carried.as_ref().filter(|_| !is_reached) {
        carried.span().set_attributes(request.attributes.iter().cloned());
    }
    (carrier, carried)
}
