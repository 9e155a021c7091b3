//! An ended span, with its size and its attribute index, which are determined once.

use std::{ops::Deref, sync::Arc};

use opentelemetry::{
    SpanId,
    trace::{SpanContext, Status, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_semantics::{AttributeIndex, Attributes};

use super::{segment::Segment, size::size_of_attributes};

/// A span that has ended. It reads as the [`SpanData`] that it owns.
///
/// Every room needs its size, whether it is a local root, and its attributes, so the span carries all three.
#[derive(Clone, Debug)]
pub(crate) struct EndedSpan {
    data: SpanData,
    /// The bytes that count against the buffer's limit until the span is converted. They do not change if a scrubber
    /// shortens the span: otherwise fewer bytes would be released than were added, and the buffer would fill up for
    /// good.
    size: usize,
    /// `None` until the worker has built it. Without it each lookup would search all attributes.
    index: Option<AttributeIndex>,
    /// The local root above it, or itself; known in streams under our span processor only.
    pub(crate) segment: Option<Arc<Segment>>,
    /// A filter matched it when it started. Only its exceptions may be sent.
    pub(crate) is_ignored: bool,
}

impl EndedSpan {
    /// A span that [`slimmed`] has measured. The span and its size come apart, so that the thread that ends it moves it
    /// once, to its place in the list.
    #[inline]
    pub(crate) const fn measured(data: SpanData, size: usize, is_ignored: bool) -> Self {
        Self { data, size, index: None, segment: None, is_ignored }
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Whether it has no parent, or one in another process.
    pub(crate) fn is_local_root(&self) -> bool {
        is_local_root(&self.data)
    }

    /// Indexes the attributes. The worker calls it once, so the application's thread does not pay for it.
    pub(crate) fn index(&mut self) {
        self.index = Some(Attributes::new(&self.data.attributes).index());
    }

    /// Its attributes, for lookups.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        match self.index {
            Some(index) => Attributes::with_index(&self.data.attributes, index),
            None => Attributes::new(&self.data.attributes),
        }
    }

    /// The span, to change or remove values of attributes. The caller must not add keys, because the index would not
    /// contain them.
    pub(crate) const fn data_mut(&mut self) -> &mut SpanData {
        &mut self.data
    }

    /// Replaces a parent that is filtered out and never sent.
    pub(crate) const fn set_parent(&mut self, parent: SpanId) {
        self.data.parent_span_id = parent;
    }
}

impl From<SpanData> for EndedSpan {
    fn from(mut data: SpanData) -> Self {
        let size = slimmed(&mut data);
        Self::measured(data, size, false)
    }
}

/// Adds a span to a list, after which as many are added. The list makes room for all at once, because it is copied when it
/// grows. Until then it has no spare room: most traces that are open have one span.
pub(super) fn push_before(following: usize, spans: &mut Vec<EndedSpan>, span: EndedSpan) {
    if spans.len() == spans.capacity() {
        spans.reserve_exact(spans.len().max(1 + following));
    }
    spans.push(span);
}

/// Takes what is not sent out of a span. Returns the size of the rest, for [`EndedSpan::measured`].
pub(crate) fn slimmed(data: &mut SpanData) -> usize {
    // Every span carries a copy of the caller's `tracestate`. It can be kilobytes long, and is not sent.
    if *data.span_context.trace_state() != TraceState::NONE {
        data.span_context = without_trace_state(&data.span_context);
    }
    for link in &mut data.links.links {
        if *link.span_context.trace_state() != TraceState::NONE {
            link.span_context = without_trace_state(&link.span_context);
        }
    }
    size_of_span(data)
}

fn without_trace_state(cx: &SpanContext) -> SpanContext {
    SpanContext::new(cx.trace_id(), cx.span_id(), cx.trace_flags(), cx.is_remote(), TraceState::NONE)
}

impl Deref for EndedSpan {
    type Target = SpanData;

    fn deref(&self) -> &SpanData {
        &self.data
    }
}

/// Whether a span has no parent, or one in another process.
pub(crate) fn is_local_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote
}

/// Bytes for what a span needs beside itself: places in lists that grow by doubling, and the allocator's bookkeeping.
const OVERHEAD: usize = 160;

/// The same for a trace, counted with its local root: its context, its places in the queues, and their spare room.
const TRACE_OVERHEAD: usize = 512;

/// An estimate of the memory that a span holds, in bytes.
fn size_of_span(span: &SpanData) -> usize {
    let overhead = OVERHEAD + if is_local_root(span) { TRACE_OVERHEAD } else { 0 };
    let mut size = overhead + size_of_val(span) + span.name.len() + size_of_attributes(&span.attributes);
    for event in &span.events.events {
        size += size_of_val(event) + event.name.len() + size_of_attributes(&event.attributes);
    }
    for link in &span.links.links {
        size += size_of_val(link) + size_of_attributes(&link.attributes);
    }
    match &span.status {
        Status::Error { description } => size + description.len(),
        Status::Ok | Status::Unset => size,
    }
}
