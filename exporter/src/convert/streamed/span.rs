//! The fields of a streamed span.

use opentelemetry::{
    SpanId,
    trace::{Link, Status},
};
use opentelemetry_sdk::trace::SpanLinks;
use opentelemetry_sentry_semantics::shortened;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    attributes::{RootAttributes, SpanAttributes},
    typed::Typed,
};
use crate::{
    convert::{
        ids::{Hex, parent_span_id, span_id, trace_id},
        sender::Sender,
        span::{op, origin},
        status::status,
        times::Times,
        transaction::sample_rate,
        view::Span,
    },
    trace::EndedSpan,
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
    links: Links<'a>,
}

impl Serialize for StreamedSpan<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { sender, span: ended, segment } = *self;
        let span = Span::from(ended);
        let Span { data, attributes, .. } = span;
        let description = attributes.describe_streamed(&data.name, &data.span_kind);
        let origin = origin(attributes);
        let (start_timestamp, end_timestamp) = Times::around(data).of(data);
        let word = status(&data.status, &data.span_kind, attributes);
        let is_ok = matches!(word, "ok" | "cancelled");
        let is_segment = ended.is_local_root();
        let id = data.span_context.span_id();
        let own = SegmentInfo { id, name: shortened(&description.name) };
        let segment = if is_segment { Some(own) } else { segment };
        let attributes = SpanAttributes {
            span,
            sender,
            op: op(&description),
            origin: &origin,
            status_message: (!is_ok).then(|| message(&data.status).unwrap_or(word)),
            segment: segment.map(|segment| (segment.id, segment.name)),
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
            links: Links(&data.links),
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

/// The links of a span. A link with an invalid id is left out.
struct Links<'a>(&'a SpanLinks);

#[derive(Serialize)]
struct LinkFields<'a> {
    trace_id: Hex<16>,
    span_id: Hex<8>,
    sampled: bool,
    #[serde(skip_serializing_if = "LinkAttributes::is_empty")]
    attributes: LinkAttributes<'a>,
}

struct LinkAttributes<'a>(&'a Link);

impl Links<'_> {
    fn is_empty(&self) -> bool {
        self.valid().next().is_none()
    }

    fn valid(&self) -> impl Iterator<Item = &Link> {
        self.0.iter().filter(|link| link.span_context.is_valid())
    }
}

impl Serialize for Links<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.valid().map(|link| LinkFields {
            trace_id: trace_id(link.span_context.trace_id()),
            span_id: span_id(link.span_context.span_id()),
            sampled: link.span_context.is_sampled(),
            attributes: LinkAttributes(link),
        }))
    }
}

impl LinkAttributes<'_> {
    fn is_empty(&self) -> bool {
        self.0.attributes.is_empty()
    }
}

impl Serialize for LinkAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for attribute in opentelemetry_sentry_semantics::Attributes::new(&self.0.attributes).unique() {
            let key = attribute.key.as_str();
            if let Some(value) = Typed::of(key, &attribute.value) {
                map.serialize_entry(key, &value)?;
            }
        }
        map.end()
    }
}
