//! Spans as the wire cases describe them; the README of `tests/vectors` has the shape.

use std::time::SystemTime;

use opentelemetry::{
    InstrumentationScope, SpanId, TraceFlags, TraceId,
    trace::{Event, Link, SpanContext, Status, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_vectors::{Attributes, Kind, TextOr};
use serde::{Deserialize, Deserializer, de::Error};

/// The fields of a span that a case may have. All are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SpanCase {
    span: Option<String>,
    kind: Kind,
    pub(crate) attributes: Attributes,
    status: StatusCase,
    scope: Option<Scope>,
    dropped: Dropped,
    events: Vec<EventCase>,
    links: Vec<LinkCase>,
    /// Why we do it differently from the official SDK: a comment.
    #[serde(rename = "differs")]
    _differs: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Scope {
    name: String,
    version: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Dropped {
    attributes: u32,
    events: u32,
    links: u32,
}

#[derive(Debug, Deserialize)]
struct EventCase {
    name: String,
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
struct LinkCase {
    trace_id: String,
    span_id: String,
    sampled: bool,
    #[serde(default)]
    attributes: Attributes,
}

impl SpanCase {
    /// Sets the fields of a span as the case says.
    pub(crate) fn apply_to(&self, mut span: SpanData) -> SpanData {
        if let Some(name) = &self.span {
            span.name = name.clone().into();
        }
        span.span_kind = self.kind.0.clone();
        span.attributes = self.attributes.0.clone();
        span.status = self.status.0.clone();
        if let Some(Scope { name, version }) = &self.scope {
            let scope = InstrumentationScope::builder(name.clone());
            span.instrumentation_scope = match version {
                Some(version) => scope.with_version(version.clone()).build(),
                None => scope.build(),
            };
        }
        span.dropped_attributes_count = self.dropped.attributes;
        span.events.events = self.events.iter().map(EventCase::event).collect();
        span.events.dropped_count = self.dropped.events;
        span.links.links = self.links.iter().map(LinkCase::link).collect();
        span.links.dropped_count = self.dropped.links;
        span
    }
}

impl EventCase {
    fn event(&self) -> Event {
        Event::new(self.name.clone(), SystemTime::now(), self.attributes.0.clone(), 0)
    }
}

impl LinkCase {
    fn link(&self) -> Link {
        let flags = if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let trace_id = TraceId::from_hex(&self.trace_id).expect("a trace id");
        let span_id = SpanId::from_hex(&self.span_id).expect("a span id");
        let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
        Link::new(context, self.attributes.0.clone(), 0)
    }
}

#[derive(Debug, Default)]
struct StatusCase(Status);

impl<'de> Deserialize<'de> for StatusCase {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Failed {
            error: String,
        }
        let status = match TextOr::deserialize(deserializer)? {
            TextOr::Other(Failed { error }) => Status::error(error),
            TextOr::Text(word) => match word.as_str() {
                "unset" => Status::Unset,
                "ok" => Status::Ok,
                "error" => Status::error(""),
                _ => return Err(D::Error::custom(format!("unknown status {word:?}"))),
            },
        };
        Ok(Self(status))
    }
}
