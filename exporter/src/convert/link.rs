//! Links to other spans. The rules are in the guide, page `mapping`, section "Links".

use opentelemetry::trace::Link;
use opentelemetry_sdk::trace::SpanLinks;
use serde::{Serialize, Serializer};

use super::{
    ids::{Hex, span_id, trace_id},
    value::AttributeMap,
};

/// The links of a span. A link with an invalid id is left out: Sentry would invent an id for it.
#[derive(Debug)]
pub(crate) struct Links<'a>(pub(crate) &'a SpanLinks);

#[derive(Serialize)]
struct LinkFields<'a> {
    trace_id: Hex<16>,
    span_id: Hex<8>,
    sampled: bool,
    #[serde(skip_serializing_if = "AttributeMap::is_empty")]
    attributes: AttributeMap<'a>,
}

impl Links<'_> {
    pub(crate) fn is_empty(&self) -> bool {
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
            attributes: AttributeMap::new(&link.attributes),
        }))
    }
}
