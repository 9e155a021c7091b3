//! Spans that leave together.

use std::sync::Arc;

use opentelemetry_sentry_protocol::{DynamicSamplingContext, Service};

use super::{
    context::{TraceContext, known_or_minimal},
    ended::EndedSpan,
};

/// Spans of one trace that leave together: the first one becomes the transaction.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The envelope's `trace` header is made from it. `None` if the exporter has not seen the local root.
    pub(crate) context: Option<Arc<TraceContext>>,
    /// At least one span. The first is an ancestor of all others if the trace is whole. In a part, and among late and
    /// early spans, the parent of a span may be elsewhere.
    pub(crate) spans: Vec<EndedSpan>,
    /// Late spans are marked for Sentry, and only a whole trace has its context in its first span.
    pub(crate) fate: Fate,
}

/// Why spans leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Their local root has ended.
    Whole,
    /// Their parent was sent before they ended.
    Late,
    /// Their parent is still open, or was never seen.
    Early,
}

impl Trace {
    /// The dynamic sampling context to send, if there is one.
    pub(crate) fn dsc(&self, service: &Service) -> Option<DynamicSamplingContext> {
        let trace_id = self.spans.first()?.span_context.trace_id();
        self.context.as_ref()?.dsc(service, trace_id)
    }

    /// The same, or a minimal one if the context is not known.
    pub(crate) fn dsc_or_minimal(&self, service: &Service) -> Option<DynamicSamplingContext> {
        let trace_id = self.spans.first()?.span_context.trace_id();
        Some(known_or_minimal(self.context.as_deref(), service, trace_id))
    }

    /// The same trace with other spans.
    pub(crate) fn with_spans(&self, spans: Vec<EndedSpan>) -> Self {
        Self { context: self.context.clone(), spans, fate: self.fate }
    }

    /// The sum of the sizes of its spans.
    pub(crate) fn size(&self) -> usize {
        self.spans.iter().map(EndedSpan::size).sum()
    }
}
