//! The fields of a streamed span.

use opentelemetry::{KeyValue, SpanId, trace::Status};
use opentelemetry_sentry_semantics::{Attributes, shortened};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    attributes::{RootAttributes, SpanAttributes},
    typed::Typed,
};
use crate::{
    convert::{
        data::called_server,
        ids::{Hex, parent_span_id, span_id, trace_id},
        link::Links,
        sender::Sender,
        span::{op, origin},
        status::status,
        times::Times,
        transaction::sample_rate,
        view::Span,
    },
    trace::{EndedSpan, TraceLifecycle},
};

/// The local root above a span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentInfo<'a> {
    pub(crate) id: SpanId,
    pub(crate) name: &'a str,
}

/// A streamed span as JSON.
#[derive(Debug)]
pub(crate) struct StreamedSpan<'a> {
    pub(crate) sender: &'a Sender,
    pub(crate) span: &'a EndedSpan,
    /// `None` if it is not known. Sentry then finds the segment by the parents, so a wrong guess would be worse. A local
    /// root is its own segment.
    pub(crate) segment: Option<SegmentInfo<'a>>,
    /// In which form its local root leaves. The transaction is the segment of the streamed spans beside it.
    pub(crate) lifecycle: TraceLifecycle,
}

#[derive(Serialize)]
struct Fields<'a> {
    trace_id: Hex<16>,
    span_id: Hex<8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Hex<8>>,
    name: &'a str,
    status: &'static str,
    is_segment: bool,
    start_timestamp: f64,
    end_timestamp: f64,
    attributes: SpanAttributes<'a>,
    #[serde(skip_serializing_if = "Links::is_empty")]
    links: Links<'a, LinkAttributes<'a>>,
}

impl StreamedSpan<'_> {
    /// The outcome in the words of transactions, which say more than `ok` and `error`.
    pub(crate) fn status_word(&self) -> &'static str {
        status(&self.span.status, &self.span.span_kind, self.span.attributes())
    }
}

impl Serialize for StreamedSpan<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { sender, span: ended, segment, lifecycle } = *self;
        let span = Span::from(ended);
        let Span { data, attributes, .. } = span;
        let description = attributes.describe_streamed(&data.name, &data.span_kind);
        let origin = origin(attributes);
        let (start_timestamp, end_timestamp) = Times::around(data).of(data);
        let word = status(&data.status, &data.span_kind, attributes);
        let is_ok = matches!(word, "ok" | "cancelled");
        let is_segment = lifecycle == TraceLifecycle::Stream && ended.is_local_root();
        let id = data.span_context.span_id();
        let own = SegmentInfo { id, name: shortened(&description.name) };
        let segment = if is_segment { Some(own) } else { segment };
        let attributes = SpanAttributes {
            span,
            sender,
            lifecycle,
            op: op(&description),
            origin: &origin,
            status_message: (!is_ok).then(|| message(&data.status).unwrap_or(word)),
            segment: segment.map(|segment| (segment.id, segment.name)),
            server: called_server(op(&description), attributes),
            root: is_segment
                .then(|| RootAttributes { source: description.source.as_str(), sample_rate: sample_rate(attributes) }),
        };
        Fields {
            trace_id: trace_id(data.span_context.trace_id()),
            span_id: span_id(id),
            parent_span_id: parent_span_id(data),
            name: &description.name,
            status: if is_ok { "ok" } else { "error" },
            is_segment,
            start_timestamp,
            end_timestamp,
            attributes,
            links: Links::new(&data.links, LinkAttributes::new),
        }
        .serialize(serializer)
    }
}

/// The text of an error, if it has one.
fn message(status: &Status) -> Option<&str> {
    match status {
        Status::Error { description } if !description.is_empty() => Some(description),
        _ => None,
    }
}

/// The attributes of a link.
struct LinkAttributes<'a>(Attributes<'a>);

impl<'a> LinkAttributes<'a> {
    fn new(attributes: &'a [KeyValue]) -> Self {
        Self(Attributes::new(attributes))
    }
}

impl Serialize for LinkAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for attribute in self.0.unique() {
            let key = attribute.key.as_str();
            if let Some(value) = Typed::of(key, &attribute.value) {
                map.serialize_entry(key, &value)?;
            }
        }
        map.end()
    }
}
