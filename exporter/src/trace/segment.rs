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
    started_as: Box<str>,
    /// Many roots learn their name after their start, for example from the router.
    ended_as: OnceLock<Box<str>>,
}

impl Segment {
    pub(crate) fn new(id: SpanId, name: &str, context: Option<TraceContext>) -> Self {
        Self { id, context: context.map(Arc::new), started_as: shortened(name).into(), ended_as: OnceLock::new() }
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
