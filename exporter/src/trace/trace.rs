//! Spans that leave together.

use std::sync::Arc;

use super::{context::TraceContext, ended::EndedSpan};

/// Spans of one trace that leave together: the first one becomes the transaction.
#[derive(Debug)]
pub(crate) struct Trace {
    /// What the envelope's `trace` header is made of; `None` if the local root was not seen.
    pub(crate) context: Option<Arc<TraceContext>>,
    /// At least one span. The first is an ancestor of all others, unless they are a part of something larger: then
    /// some have their parents in other parts.
    pub(crate) spans: Vec<EndedSpan>,
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
    /// The same trace with other spans.
    pub(crate) fn with_spans(&self, spans: Vec<EndedSpan>) -> Self {
        Self { context: self.context.clone(), spans, fate: self.fate }
    }

    /// Bytes that its spans hold in memory.
    pub(crate) fn size(&self) -> usize {
        self.spans.iter().map(EndedSpan::size).sum()
    }
}
