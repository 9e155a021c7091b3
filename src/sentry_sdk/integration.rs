//! The trace of an event; the guide's page `from_sentry` has the table.

use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt},
};
use sentry_core::{
    ClientOptions, Integration,
    protocol::{Event, SpanId, TraceContext},
};

/// Gives each event of a client the trace of the OpenTelemetry span that is active where it is captured.
///
/// An integration belongs to the client and is called on the thread that captures the event. So it works for every hub
/// of the client, on any thread and in any task, for `tracing` spans and OpenTelemetry's own, also if they are not
/// sampled. If no span is active, the event stays as it is. The [guide](crate::guide::from_sentry#the-trace-of-an-event)
/// lists the fields.
///
/// ```
/// # mod sentry {
/// #     pub use sentry_core::*;
/// #     pub fn init(options: impl Into<ClientOptions>) -> Client { Client::from_config(options) }
/// # }
/// use opentelemetry_sentry::sentry_sdk::TraceIntegration;
///
/// let options = sentry::ClientOptions::new().release("shop@1.2.3").add_integration(TraceIntegration::new());
/// let _guard = sentry::init(("https://public@o1.ingest.sentry.io/1", options));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TraceIntegration;

impl TraceIntegration {
    /// Makes the integration.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Integration for TraceIntegration {
    fn name(&self) -> &'static str {
        "opentelemetry-sentry"
    }

    fn process_event(&self, mut event: Event<'static>, _: &ClientOptions) -> Option<Event<'static>> {
        let active = Context::map_current(|cx| cx.span().span_context().clone());
        if active.is_valid() {
            event.contexts.insert("trace".to_owned(), trace_of(&active).into());
        }
        Some(event)
    }
}

fn trace_of(active: &SpanContext) -> TraceContext {
    let span_id = SpanId::from(active.span_id().to_bytes());
    // `SpanId::default()` is random.
    let (span_id, parent_span_id) =
        if active.is_remote() { (SpanId::default(), Some(span_id)) } else { (span_id, None) };
    TraceContext { trace_id: active.trace_id().to_bytes().into(), span_id, parent_span_id, ..TraceContext::default() }
}
