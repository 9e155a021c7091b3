//! A span of a transaction other than its root: an entry of `spans`.

use std::borrow::Cow;

use opentelemetry_sentry_semantics::{Attributes, Description, cut, semconv};
use serde::{Serialize, Serializer};

use super::{
    data::{Data, RootData, Url, called_server},
    ids::{Hex, parent_span_id, span_id, trace_id},
    link::Links,
    measurement::Measurements,
    status::{http_status, status, status_message},
    times::Times,
    value::AttributeMap,
    view::Span,
};

/// The origin of a span in Sentry's words: an OpenTelemetry instrumentation.
const ORIGIN: &str = "auto.otel";

/// The longest op and the longest origin that Sentry accepts, in characters.
const MAX_WORD: usize = 128;

/// The fields of the root (in `contexts.trace`) and of all other spans.
#[derive(Debug, Serialize)]
pub(crate) struct SpanFields<'a> {
    trace_id: Hex<16>,
    span_id: Hex<8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Hex<8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'a str>,
    status: &'static str,
    origin: &'a str,
    data: Data<'a>,
    #[serde(skip_serializing_if = "Links::is_empty")]
    links: Links<'a, AttributeMap<'a>>,
    // The root has none of these: the event has them. A struct of its own, flattened, would be written much more slowly.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_timestamp: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<f64>,
    #[serde(skip_serializing_if = "Measurements::is_empty")]
    measurements: Measurements<'a>,
}

impl<'a> SpanFields<'a> {
    pub(crate) fn new(
        span: Span<'a>,
        description: &'a Description<'a>,
        origin: &'a str,
        root: Option<RootData>,
    ) -> Self {
        let Span { data, attributes, .. } = span;
        let op = op(description);
        Self {
            trace_id: trace_id(data.span_context.trace_id()),
            span_id: span_id(data.span_context.span_id()),
            parent_span_id: parent_span_id(data),
            op,
            status: status(&data.status, &data.span_kind, attributes),
            origin,
            data: Data {
                span,
                op,
                origin,
                http_status: http_status(attributes),
                status_message: status_message(&data.status),
                url: Url::of(attributes),
                server: called_server(op, attributes),
                root,
            },
            links: Links::new(&data.links, AttributeMap::new),
            description: None,
            start_timestamp: None,
            timestamp: None,
            measurements: Measurements::default(),
        }
    }
}

/// All spans of a transaction except its root.
#[derive(Debug)]
pub(crate) struct Spans<'a> {
    pub(crate) spans: &'a [Span<'a>],
    pub(crate) times: Times,
}

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.spans.iter().map(|&span| Child { span, times: self.times }))
    }
}

/// One of them.
pub(super) struct Child<'a> {
    pub(super) span: Span<'a>,
    pub(super) times: Times,
}

impl Serialize for Child<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { span, times } = *self;
        let description = span.describe();
        let origin = origin(span.attributes);
        let (start_timestamp, timestamp) = times.of(span.data);
        let fields = SpanFields {
            description: Some(&description.name),
            start_timestamp: Some(start_timestamp),
            timestamp: Some(timestamp),
            measurements: Measurements::of_child(span),
            ..SpanFields::new(span, &description, &origin, None)
        };
        fields.serialize(serializer)
    }
}

/// The op, cut to the length that Sentry accepts.
pub(super) fn op<'a>(description: &'a Description<'_>) -> Option<&'a str> {
    description.op.as_deref().map(|op| cut(op, MAX_WORD))
}

/// The origin. Sentry rejects other characters than these.
pub(super) fn origin(attributes: Attributes<'_>) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    match attributes.text(semconv::SENTRY_ORIGIN) {
        None => ORIGIN.into(),
        Some(origin) if origin.chars().all(allowed) && origin.len() <= MAX_WORD => origin,
        Some(origin) => cut(&origin, MAX_WORD).replace(|c| !allowed(c), "_").into(),
    }
}
