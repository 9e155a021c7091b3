//! A log record with an exception, in the form in which spans record exceptions.

use std::{borrow::Cow, sync::Arc};

use opentelemetry::{
    KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Event, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use opentelemetry_sentry_semantics::semconv;

use super::breadcrumb::Breadcrumb;
use crate::trace::{EndedSpan, LogLine, SeverityNumber, TraceContext};

/// A log record with an exception. It is kept as a span with one event, so that the rules of exceptions in spans hold for it
/// too. That span is never sent.
#[derive(Debug)]
pub(crate) struct RecordError {
    pub(super) span: EndedSpan,
    /// The record's target.
    pub(super) target: Cow<'static, str>,
    /// Whether the record belongs to a trace. Without one, all records share a trace id, so equal texts may be different
    /// failures.
    pub(super) has_trace: bool,
    /// Whether the active span is sampled, as far as it is known.
    pub(crate) is_sampled: Option<bool>,
    pub(crate) context: Option<Arc<TraceContext>>,
    /// The lines before it.
    pub(crate) breadcrumbs: Vec<Arc<Breadcrumb>>,
}

impl RecordError {
    /// The error of a record; `None` if the record has no exception, or is below ERROR. `process` is the trace id of records
    /// outside of any trace, and `new_id` makes the id of a span that the event can name there.
    pub(crate) fn of(line: &mut LogLine, process: TraceId, new_id: impl FnOnce() -> SpanId) -> Option<Self> {
        let is_exception = |attribute: &KeyValue| EXCEPTION_KEYS.contains(&attribute.key.as_str());
        if line.severity < SeverityNumber::ERROR || !line.attributes.iter().any(is_exception) {
            return None;
        }
        let mut attributes = line.attributes.clone();
        // The level of the event, and the sign that `error` is an exception: see `Exception::of`.
        attributes.retain(|attribute| attribute.key.as_str() != semconv::LEVEL);
        let level = if line.severity.level() == "fatal" { "fatal" } else { "error" };
        attributes.push(KeyValue::new(semconv::LEVEL, level));
        let mut events = SpanEvents::default();
        events.events.push(Event::new(line.body.clone(), line.time, attributes, 0));
        let trace_id = line.trace_id.unwrap_or(process);
        let span_id = line.span_id.unwrap_or_else(new_id);
        let span = SpanData {
            span_context: SpanContext::new(trace_id, span_id, TraceFlags::default(), false, TraceState::NONE),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: line.target.clone(),
            start_time: line.time,
            end_time: line.time,
            attributes: line.attributes.clone(),
            dropped_attributes_count: 0,
            events,
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: opentelemetry::InstrumentationScope::default(),
        };
        let mut span = EndedSpan::from(span);
        span.index();
        Some(Self {
            span,
            target: line.target.clone(),
            has_trace: line.trace_id.is_some(),
            is_sampled: line.is_sampled,
            context: line.context.take().map(Arc::new),
            breadcrumbs: Vec::new(),
        })
    }

    /// An estimate of the memory that it takes without the lines before it, in bytes.
    pub(crate) const fn size(&self) -> usize {
        self.span.size()
    }

    pub(crate) fn trace_id(&self) -> TraceId {
        self.span.span_context.trace_id()
    }

    /// The name of the local root, as far as the sampler knows it.
    pub(crate) fn transaction(&self) -> Cow<'_, str> {
        match self.context.as_deref() {
            Some(TraceContext::Own { decision, .. }) => decision.transaction.as_deref().unwrap_or_default().into(),
            Some(TraceContext::Frozen(dsc)) => dsc.get("transaction").unwrap_or_default(),
            Some(TraceContext::Unknown) | None => "".into(),
        }
    }
}

/// The attributes that make an exception of a record.
pub(crate) const EXCEPTION_KEYS: [&str; 3] = [semconv::EXCEPTION_TYPE, semconv::EXCEPTION_MESSAGE, semconv::ERROR];
