//! Every span of a transaction but its root: an entry of `spans`.

use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_protocol::describe::{Attributes, Description, describe};
use serde::{Serialize, Serializer};

use super::{
    data::{Data, RootData},
    status::{http_status, status, status_message},
    timestamps,
};

/// Who made the span, for Sentry: an OpenTelemetry instrumentation.
const ORIGIN: &str = "auto.otel";

/// The fields that a root, in `contexts.trace`, and every other span have in common.
#[derive(Debug, Serialize)]
pub(crate) struct SpanFields<'a> {
    trace_id: Hex<opentelemetry::TraceId>,
    span_id: Hex<opentelemetry::SpanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Hex<opentelemetry::SpanId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'a str>,
    status: &'static str,
    origin: &'a str,
    data: Data<'a>,
}

impl<'a> SpanFields<'a> {
    pub(crate) fn new(
        span: &'a SpanData,
        description: &'a Description<'a>,
        origin: &'a str,
        root: Option<RootData>,
    ) -> Self {
        let attributes = Attributes::new(&span.attributes);
        let op = description.op.as_deref();
        Self {
            trace_id: Hex(span.span_context.trace_id()),
            span_id: Hex(span.span_context.span_id()),
            parent_span_id: Some(span.parent_span_id).filter(|id| *id != opentelemetry::SpanId::INVALID).map(Hex),
            op,
            status: status(&span.status, attributes),
            origin,
            data: Data {
                attributes: &span.attributes,
                kind: &span.span_kind,
                op,
                origin,
                http_status: http_status(attributes),
                status_message: status_message(&span.status),
                root,
            },
        }
    }
}

/// All spans of a transaction but its root.
#[derive(Debug)]
pub(crate) struct Spans<'a>(pub(crate) &'a [SpanData]);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Child))
    }
}

struct Child<'a>(&'a SpanData);

#[derive(Serialize)]
struct ChildFields<'a> {
    #[serde(flatten)]
    fields: SpanFields<'a>,
    description: &'a str,
    start_timestamp: f64,
    timestamp: f64,
}

impl Serialize for Child<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let description = describe(&self.0.name, &self.0.span_kind, &self.0.attributes);
        let origin = origin(self.0);
        let (start_timestamp, timestamp) = timestamps(self.0);
        let fields = SpanFields::new(self.0, &description, &origin, None);
        ChildFields { fields, description: &description.name, start_timestamp, timestamp }.serialize(serializer)
    }
}

/// The origin, which may have no other characters than these.
pub(crate) fn origin(span: &SpanData) -> std::borrow::Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    match Attributes::new(&span.attributes).text(opentelemetry_sentry_protocol::semconv::SENTRY_ORIGIN) {
        None => ORIGIN.into(),
        Some(origin) if origin.chars().all(allowed) => origin,
        Some(origin) => origin.replace(|c| !allowed(c), "_").into(),
    }
}

/// An id, printed without a detour through a `String`.
#[derive(Debug)]
struct Hex<T>(T);

impl<T: std::fmt::Display> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
