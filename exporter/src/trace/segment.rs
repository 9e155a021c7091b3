//! A local root, as the spans below it know it.

use std::sync::{Arc, OnceLock};

use opentelemetry::SpanId;
use opentelemetry_sentry_semantics::shortened;

use super::context::TraceContext;

/// A local root, which the spans below it share. They are named after it when they leave. Every span repeats the name, so
/// it is cut.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: SpanId,
    /// `None` if another sampler than Sentry's decided.
    pub(crate) context: Option<Arc<TraceContext>>,
    /// A filter matches it, so nothing of the tree below it is sent.
    pub(crate) is_ignored: bool,
    started_as: Box<str>,
    /// Many roots learn their name after their start, for example from the router.
    ended_as: OnceLock<Box<str>>,
}

impl Segment {
    pub(crate) fn new(id: SpanId, name: &str, context: Option<TraceContext>) -> Self {
        let (context, started_as) = (context.map(Arc::new), shortened(name).into());
        Self { id, context, is_ignored: false, started_as, ended_as: OnceLock::new() }
    }

    /// Sets whether nothing below it is sent. Defaults to `false`.
    pub(crate) const fn with_ignored(mut self, is_ignored: bool) -> Self {
        self.is_ignored = is_ignored;
        self
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let context = self.context.as_ref().map_or(0, |context| context.size());
        size_of_val(self) + context + 2 * self.started_as.len()
    }

    /// Notes the name with which it ended. The first call counts.
    pub(crate) fn ended(&self, name: &str) {
        self.ended_as.get_or_init(|| shortened(name).into());
    }

    /// Its final name, or the one with which it started while it is open.
    pub(crate) fn name(&self) -> &str {
        self.ended_as.get().unwrap_or(&self.started_as)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_its_final_name_once_it_has_ended() {
        let segment = Segment::new(SpanId::from_bytes([1; 8]), "GET", None);
        assert_eq!(segment.name(), "GET");
        segment.ended("GET /users/{id}");
        segment.ended("later");
        assert_eq!(segment.name(), "GET /users/{id}");
    }
}
