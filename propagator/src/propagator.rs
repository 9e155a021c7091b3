//! The propagator.

use std::sync::{Arc, OnceLock};

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};
use opentelemetry_sentry_protocol::{Baggage, SentryTrace, TraceParent};

use crate::{extract::extract, inject::inject, settings::Settings};

/// Reads and writes the headers of a distributed trace as Sentry's SDKs do, and also those of W3C.
///
/// **In:** a valid `sentry-trace` continues its trace; without one, a valid `traceparent` does; otherwise a new trace
/// begins. **Out:** both headers, which always agree, and `baggage`.
///
/// Cloning is cheap. See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct SentryPropagator {
    pub(crate) settings: Arc<Settings>,
}

impl SentryPropagator {
    /// A propagator without a DSN: it passes on every trace. The traces that begin here have no project and no release in
    /// their headers.
    #[must_use]
    pub fn new() -> Self {
        Self { settings: Arc::default() }
    }
}

impl Default for SentryPropagator {
    fn default() -> Self {
        Self::new()
    }
}

impl TextMapPropagator for SentryPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        inject(&self.settings, cx, injector);
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        // A check tries the global propagator with telemetry suppressed, and must not count itself.
        if !cx.is_telemetry_suppressed() {
            self.settings.decisions.arrivals().count_extracted();
        }
        extract(&self.settings, cx, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: OnceLock<[String; 4]> = OnceLock::new();
        let names = [SentryTrace::HEADER, Baggage::HEADER, TraceParent::HEADER, TraceParent::STATE_HEADER];
        FieldIter::new(FIELDS.get_or_init(|| names.map(str::to_owned)))
    }
}
