//! Which trace does an event belong to?
//!
//! | the active OpenTelemetry span | the event's `trace` context |
//! | --- | --- |
//! | began in this process | its trace id and span id; the interface of OpenTelemetry does not know its parent |
//! | came in with headers, and nothing began here | its trace id, a span id of the event's own, and the span as the parent |
//! | none | as `sentry` has it |

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
/// Integrations belong to the client, and are called on the thread that captures. So it works for every hub of the
/// client, on any thread and in any task, in `tracing` spans and in OpenTelemetry's own, also for spans that are not
/// sampled. Where none is active, the event stays as it is.
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
    /// Makes one.
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
    // The default of a span id is a random one.
    let (span_id, parent_span_id) =
        if active.is_remote() { (SpanId::default(), Some(span_id)) } else { (span_id, None) };
    TraceContext { trace_id: active.trace_id().to_bytes().into(), span_id, parent_span_id, ..TraceContext::default() }
}
