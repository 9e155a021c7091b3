//! Links to other spans. The rules are in the guide, page `mapping`, section "Links".

use opentelemetry::{KeyValue, trace::Link};
use opentelemetry_sdk::trace::SpanLinks;
use serde::{Serialize, Serializer};

use super::ids::{Hex, span_id, trace_id};

/// The links of a span. A link with an invalid id is left out: Sentry would invent an id for it.
#[derive(Debug)]
pub(crate) struct Links<'a, A> {
    links: &'a SpanLinks,
    /// How the attributes of a link are written, which differs between the lifecycles.
    attributes: fn(&'a [KeyValue]) -> A,
}

#[derive(Serialize)]
struct LinkFields<A> {
    trace_id: Hex<16>,
    span_id: Hex<8>,
    sampled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<A>,
}

impl<'a, A> Links<'a, A> {
    pub(crate) const fn new(links: &'a SpanLinks, attributes: fn(&'a [KeyValue]) -> A) -> Self {
        Self { links, attributes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.valid().next().is_none()
    }

    fn valid(&self) -> impl Iterator<Item = &'a Link> {
        self.links.iter().filter(|link| link.span_context.is_valid())
    }
}

impl<A: Serialize> Serialize for Links<'_, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.valid().map(|link| LinkFields {
            trace_id: trace_id(link.span_context.trace_id()),
            span_id: span_id(link.span_context.span_id()),
            sampled: link.span_context.is_sampled(),
            attributes: (!link.attributes.is_empty()).then(|| (self.attributes)(&link.attributes)),
        }))
    }
}
