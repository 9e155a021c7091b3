//! A span event as a log record, for applications whose log lines are span events only.

use opentelemetry::{KeyValue, trace::Event};
use opentelemetry_sentry_semantics::{Attributes, semconv};

use crate::trace::{EndedSpan, LogLine, SeverityNumber};

/// The attribute in which `tracing-opentelemetry` puts the target of a line.
const TARGET: &str = "target";

/// The record of a span event; `None` for a measurement, which is no line.
pub(crate) fn line_of(span: &EndedSpan, event: &Event) -> Option<LogLine> {
    let attributes = Attributes::new(&event.attributes);
    if attributes.get(semconv::SENTRY_MEASUREMENT_VALUE).is_some() {
        return None;
    }
    let text = |key| attributes.text(key).map(Into::into).unwrap_or_default();
    let is_exception = event.name == semconv::EXCEPTION;
    let level: String = text(semconv::LEVEL);
    let severity = match SeverityNumber::of_text(&level) {
        Some(severity) => severity,
        None if is_exception => SeverityNumber::ERROR,
        None => SeverityNumber::new(0, ""),
    };
    let message = || attributes.first_text([semconv::EXCEPTION_MESSAGE, semconv::EXCEPTION_TYPE]);
    let body = if is_exception { message().map(Into::into) } else { None };
    let is_own = |attribute: &&KeyValue| !matches!(attribute.key.as_str(), semconv::LEVEL | TARGET);
    Some(LogLine {
        time: event.timestamp,
        trace_id: Some(span.span_context.trace_id()),
        span_id: Some(span.span_context.span_id()),
        is_sampled: Some(true),
        severity,
        body: body.unwrap_or_else(|| event.name.clone().into_owned()),
        target: text(TARGET).into(),
        event_name: "".into(),
        attributes: event.attributes.iter().filter(is_own).cloned().collect(),
        context: None,
        size: 0,
    })
}
