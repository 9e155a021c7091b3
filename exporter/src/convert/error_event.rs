//! Sentry's error event for an exception.

use std::{borrow::Cow, iter, sync::Arc};

use opentelemetry::{KeyValue, Value};
use opentelemetry_sentry_semantics::{Attributes, cut, semconv};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    backtrace::{Frame, frames, place},
    breadcrumb::{Breadcrumb, Breadcrumbs},
    event::{Contexts, SenderFields, transaction_name},
    exception::{Exception, MAX_VALUE, UNKNOWN_TYPE},
    ids::{Hex, parent_span_id, span_id, trace_id},
    request::Request,
    sender::Sender,
    span::op,
    status::status,
    tags::Tags,
    user::User,
    value::AttributeMap,
    view::Span,
};
use crate::{account::seconds, trace::EndedSpan};

/// The longest text in `extra` that Sentry keeps.
const MAX_EXTRA: usize = 16_000;

/// Sentry's error event for an exception.
#[derive(Debug)]
pub(crate) struct ExceptionEvent<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) sender: &'a Sender,
    pub(crate) exception: &'a Exception<'a>,
    /// The spans that leave together, their root first.
    pub(crate) spans: &'a [EndedSpan],
    pub(crate) context: &'a EventContext<'a>,
    /// The log lines before it.
    pub(crate) breadcrumbs: &'a [Arc<Breadcrumb>],
}

/// The fields that all error events of a trace share.
#[derive(Debug)]
pub(crate) struct EventContext<'a> {
    /// Empty if it is not known.
    transaction: Cow<'a, str>,
    user: Option<User<'a>>,
    request: Option<Request<'a>>,
}

impl<'a> EventContext<'a> {
    pub(crate) fn of(spans: &'a [EndedSpan]) -> Self {
        let root = spans.first();
        let below = || spans.iter().skip(1).map(EndedSpan::attributes);
        let name = root.map(|root| root.attributes().describe_root(&root.name, &root.span_kind, below()).name);
        let user = User::of(spans.iter().map(EndedSpan::attributes));
        let request = root.and_then(|root| Request::of(Span::from(root)));
        Self { transaction: name.unwrap_or_default(), user, request }
    }

    /// The fields of an error of a log record. `transaction` is empty if it is not known.
    pub(crate) const fn of_record(transaction: Cow<'a, str>) -> Self {
        Self { transaction, user: None, request: None }
    }
}

#[derive(Serialize)]
struct EventFields<'a> {
    #[serde(flatten)]
    sender: SenderFields<'a>,
    level: &'static str,
    timestamp: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logger: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logentry: Option<LogEntry<'a>>,
    exception: Values<'a>,
    contexts: Contexts<'a, TraceFields<'a>>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a Request<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Extra<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breadcrumbs: Option<Breadcrumbs<'a>>,
}

/// The text of the log line that reported the error.
#[derive(Serialize)]
struct LogEntry<'a> {
    formatted: &'a str,
}

#[derive(Debug, Serialize)]
struct TraceFields<'a> {
    trace_id: Hex<16>,
    span_id: Hex<8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Hex<8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Serialize)]
struct Extra<'a> {
    #[serde(rename = "exception.stacktrace")]
    stack: &'a str,
}

#[derive(Serialize)]
struct Values<'a> {
    values: Vec<OneValue<'a>>,
}

#[derive(Serialize)]
struct OneValue<'a> {
    r#type: &'a str,
    value: &'a str,
    mechanism: Mechanism,
    #[serde(skip_serializing_if = "Option::is_none")]
    stacktrace: Option<Stacktrace<'a>>,
}

#[derive(Serialize)]
struct Stacktrace<'a> {
    frames: Vec<Frame<'a>>,
}

/// How an exception was captured. The numbers link a cause to the exception that it caused.
struct Mechanism {
    handled: bool,
    /// It is known from a log record alone.
    is_record: bool,
    /// 0 is the exception that was raised.
    number: usize,
    has_causes: bool,
}

impl Mechanism {
    const fn kind(&self) -> &'static str {
        match self {
            Self { number: 1.., .. } => "chained",
            Self { is_record: true, .. } => "auto.log.otel",
            Self { is_record: false, .. } => "auto.otel.exception",
        }
    }
}

impl Serialize for Mechanism {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind())?;
        map.serialize_entry("handled", &self.handled)?;
        if self.has_causes {
            map.serialize_entry("exception_id", &self.number)?;
        }
        if let Some(parent) = self.number.checked_sub(1) {
            map.serialize_entry("parent_id", &parent)?;
        }
        map.end()
    }
}

impl<'a> ExceptionEvent<'a> {
    /// The causes, the innermost first, and then the exception that was raised.
    fn values(&self, frames: Vec<Frame<'a>>) -> Values<'a> {
        let Exception { r#type, causes, is_handled: handled, target, .. } = self.exception;
        let is_record = target.is_some();
        let has_causes = !causes.is_empty();
        let one = |(number, value): (usize, &'a str)| OneValue {
            r#type: r#type.as_deref().filter(|_| number == 0).unwrap_or(UNKNOWN_TYPE),
            value: cut(value, MAX_VALUE),
            mechanism: Mechanism { handled: *handled, is_record, number, has_causes },
            stacktrace: None,
        };
        let mut values: Vec<_> = self.exception.texts().enumerate().map(one).collect();
        if !frames.is_empty() {
            values[0].stacktrace = Some(Stacktrace { frames });
        }
        values.reverse();
        Values { values }
    }
}

impl Serialize for ExceptionEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event_id, sender, exception, spans, context, breadcrumbs } = self;
        let Exception { span, event, stack, .. } = exception;
        let is_record = exception.target.is_some();
        let own_user = User::of(iter::once(span.attributes()));
        let description = span.attributes().describe(&span.name, &span.span_kind);
        let mut frames = stack.map(frames).unwrap_or_default();
        let raw = stack.filter(|_| frames.is_empty()).map(|stack| Extra { stack: cut(stack.trim(), MAX_EXTRA) });
        if stack.is_none() {
            // The place of the log line, or else of the span's function. Sentry groups errors by frames, so all errors at
            // places of a library, such as that of a request's span, would be one issue.
            let places = [Attributes::new(&event.attributes), span.attributes()];
            let mut frame = places.into_iter().find_map(|attributes| place(attributes).filter(|frame| frame.in_app));
            if let Some(frame) = frame.as_mut().filter(|frame| frame.function.is_empty()) {
                // Sentry ignores lines. Without a function all errors of a module would be one issue.
                frame.function = Cow::Borrowed(&span.name);
            }
            frames.extend(frame);
        }
        let is_log_line = event.name != semconv::EXCEPTION && !event.name.is_empty();
        let attributes: Vec<_> = event.attributes.iter().filter(|attribute| is_extra(attribute)).cloned().collect();
        EventFields {
            sender: SenderFields::new(event_id, sender),
            level: exception.level(),
            timestamp: seconds(event.timestamp),
            transaction: (!is_record || !context.transaction.is_empty())
                .then(|| transaction_name(&context.transaction)),
            logger: exception.target.filter(|target| !target.is_empty()),
            logentry: is_log_line.then(|| LogEntry { formatted: cut(&event.name, MAX_VALUE) }),
            exception: self.values(frames),
            contexts: Contexts {
                trace: TraceFields {
                    trace_id: trace_id(span.span_context.trace_id()),
                    span_id: span_id(span.span_context.span_id()),
                    parent_span_id: parent_span_id(span),
                    op: op(&description).filter(|_| !is_record),
                    status: (!is_record).then(|| status(&span.status, &span.span_kind, span.attributes())),
                },
                sender,
                response: None,
                attributes: Some(AttributeMap::new(&attributes)).filter(|attributes| !attributes.is_empty()),
            },
            tags: Tags::new(&sender.tags, iter::once(*span).chain(*spans).map(EndedSpan::attributes), &sender.resource),
            user: own_user.as_ref().or(context.user.as_ref()),
            request: context.request.as_ref(),
            extra: raw,
            breadcrumbs: Breadcrumbs::of(breadcrumbs),
        }
        .serialize(serializer)
    }
}

/// Whether an attribute of the event goes into a context: it does not describe the exception itself, and is short.
fn is_extra(attribute: &KeyValue) -> bool {
    const MAX_ATTRIBUTE: usize = 512;
    let key = attribute.key.as_str();
    let is_exception = matches!(key, semconv::ERROR | semconv::ERROR_CHAIN | semconv::LEVEL)
        || key.strip_prefix(semconv::EXCEPTION).is_some_and(|rest| rest.starts_with('.'));
    let is_short = match &attribute.value {
        Value::String(text) => text.as_str().len() <= MAX_ATTRIBUTE,
        Value::Array(_) => false,
        _ => true,
    };
    !is_exception && is_short
}
