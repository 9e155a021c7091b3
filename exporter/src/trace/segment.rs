//! A local root, as the spans below it know it.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use opentelemetry::{KeyValue, SpanId, trace::SpanKind};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_semantics::{Attributes, semconv, shortened};

use super::{context::TraceContext, size::size_of_attributes};

/// How a local root started. Its name is made of this when secrets are hidden, which the application's thread does not do.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) name: Cow<'static, str>,
    kind: SpanKind,
    pub(crate) attributes: Vec<KeyValue>,
}

impl From<SpanData> for Start {
    fn from(SpanData { name, span_kind: kind, mut attributes, .. }: SpanData) -> Self {
        // The segment has it as its context, and it can be kilobytes long.
        attributes.retain(|attribute| attribute.key.as_str() != semconv::DSC_FROZEN);
        Self { name, kind, attributes }
    }
}

#[cfg(test)]
impl From<&'static str> for Start {
    fn from(name: &'static str) -> Self {
        Self { name: name.into(), kind: SpanKind::Internal, attributes: Vec::new() }
    }
}

/// A local root, which the spans below it share. They are named after it when they leave. Every span repeats the name, so
/// it is cut.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: SpanId,
    /// `None` if another sampler than Sentry's decided.
    pub(crate) context: Option<Arc<TraceContext>>,
    /// A filter matches it, so nothing of the tree below it is sent.
    pub(crate) is_ignored: bool,
    start: Start,
    /// Both names are set by the worker, which has hidden the secrets before.
    started_as: OnceLock<Box<str>>,
    /// Many roots learn their name after their start, for example from the router.
    ended_as: OnceLock<Box<str>>,
}

impl Segment {
    pub(crate) fn new(id: SpanId, start: impl Into<Start>, context: Option<TraceContext>) -> Self {
        let (start, context) = (start.into(), context.map(Arc::new));
        Self { id, context, is_ignored: false, start, started_as: OnceLock::new(), ended_as: OnceLock::new() }
    }

    /// Sets whether nothing below it is sent. Defaults to `false`.
    pub(crate) const fn with_ignored(mut self, is_ignored: bool) -> Self {
        self.is_ignored = is_ignored;
        self
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let context = self.context.as_ref().map_or(0, |context| context.size());
        size_of_val(self) + context + 3 * self.start.name.len() + size_of_attributes(&self.start.attributes)
    }

    /// Makes the name with which it started, unless a name is known. The function hides the secrets.
    pub(crate) fn name_start(&self, hide: impl FnOnce(&mut Start)) {
        if self.ended_as.get().is_some() {
            return;
        }
        self.started_as.get_or_init(|| {
            let mut start = self.start.clone();
            hide(&mut start);
            shortened(&Attributes::new(&start.attributes).describe_streamed(&start.name, &start.kind).name).into()
        });
    }

    /// Notes the name with which it ended. The first call counts.
    pub(crate) fn ended(&self, name: &str) {
        self.ended_as.get_or_init(|| shortened(name).into());
    }

    /// Its final name, or the one with which it started while it is open. Empty until one of them is made.
    pub(crate) fn name(&self) -> &str {
        self.ended_as.get().or_else(|| self.started_as.get()).map_or("", |name| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_its_final_name_once_it_has_ended() {
        let segment = Segment::new(SpanId::from_bytes([1; 8]), "GET", None);
        segment.name_start(|start| start.name = "POST".into());
        segment.name_start(|_| unreachable!("it has a name"));
        assert_eq!(segment.name(), "POST");
        segment.ended("GET /users/{id}");
        segment.ended("later");
        assert_eq!(segment.name(), "GET /users/{id}");
    }
}
