//! Spans for the tests of this room.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    InstrumentationScope, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::ended::EndedSpan;

/// The trace that all spans here belong to.
pub(crate) const TRACE: TraceId = TraceId::from_bytes([7; 16]);

/// A span with this id. Parent 0 means no parent, and parents from 1,000,000 on are remote.
pub(crate) fn span(id: u64, parent: u64) -> EndedSpan {
    let span_id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    EndedSpan::from(SpanData {
        span_context: SpanContext::new(TRACE, span_id(id), TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: span_id(parent),
        parent_span_is_remote: parent >= 1_000_000,
        span_kind: SpanKind::Internal,
        name: "work".into(),
        start_time: SystemTime::UNIX_EPOCH + Duration::from_secs(id),
        end_time: SystemTime::UNIX_EPOCH + Duration::from_secs(id + 1),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    })
}

/// The id of a span, as a number.
pub(crate) fn id(span: &EndedSpan) -> u64 {
    u64::from_be_bytes(span.span_context.span_id().to_bytes())
}
