//! Spans as the wire cases write them down; the README of `tests/vectors` describes the shape.

use std::time::SystemTime;

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, SpanId, StringValue, TraceFlags, TraceId, Value,
    trace::{Event, Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value as Json;

/// What a case says of a span; all of it may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SpanCase {
    span: Option<String>,
    kind: Option<String>,
    pub(crate) attributes: Attributes,
    status: StatusCase,
    scope: Option<Scope>,
    dropped: Dropped,
    events: Vec<EventCase>,
    links: Vec<LinkCase>,
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
    /// Gives a span what the case says of it.
    pub(crate) fn describe(&self, mut span: SpanData) -> SpanData {
        if let Some(name) = &self.span {
            span.name = name.clone().into();
        }
        span.span_kind = kind(self.kind.as_deref().unwrap_or("internal"));
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

fn kind(word: &str) -> SpanKind {
    match word {
        "internal" => SpanKind::Internal,
        "client" => SpanKind::Client,
        "server" => SpanKind::Server,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        kind => panic!("unknown kind {kind}"),
    }
}

#[derive(Debug, Default)]
struct StatusCase(Status);

impl<'de> Deserialize<'de> for StatusCase {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let status = match (json.as_str(), json["error"].as_str()) {
            (Some("unset"), _) => Status::Unset,
            (Some("ok"), _) => Status::Ok,
            (Some("error"), _) => Status::error(""),
            (None, Some(text)) => Status::error(text.to_owned()),
            _ => return Err(D::Error::custom(format!("unknown status {json}"))),
        };
        Ok(Self(status))
    }
}

/// Attributes in their order: an object, or a list of pairs where a key comes twice.
#[derive(Debug, Default)]
pub(crate) struct Attributes(pub(crate) Vec<KeyValue>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs: Vec<(String, Json)> = match Json::deserialize(deserializer)? {
            Json::Object(map) => map.into_iter().collect(),
            pairs => serde_json::from_value(pairs).map_err(D::Error::custom)?,
        };
        let attribute = |(key, json): (String, Json)| {
            let value = value(&json).ok_or_else(|| D::Error::custom(format!("no value of an attribute: {json}")))?;
            Ok(KeyValue::new(key, value))
        };
        pairs.into_iter().map(attribute).collect::<Result<_, _>>().map(Self)
    }
}

fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => number.as_i64().map_or(number.as_f64().map(Value::F64), |n| Some(Value::I64(n)))?,
        Json::String(text) => text.clone().into(),
        Json::Array(values) => Value::Array(array(values)?),
        Json::Object(object) => match object.get("f64")? {
            Json::Array(values) => Value::Array(Array::F64(values.iter().map(float).collect::<Option<_>>()?)),
            number => Value::F64(float(number)?),
        },
        Json::Null => return None,
    })
}

fn array(values: &[Json]) -> Option<Array> {
    Some(match values.first() {
        Some(Json::Bool(_)) => Array::Bool(values.iter().map(Json::as_bool).collect::<Option<_>>()?),
        Some(Json::Number(n)) if n.is_i64() => Array::I64(values.iter().map(Json::as_i64).collect::<Option<_>>()?),
        Some(Json::Number(_)) => Array::F64(values.iter().map(Json::as_f64).collect::<Option<_>>()?),
        _ => {
            let text = |value: &Json| Some(StringValue::from(value.as_str()?.to_owned()));
            Array::String(values.iter().map(text).collect::<Option<_>>()?)
        }
    })
}

/// A number, or the text of one that JSON cannot write.
fn float(json: &Json) -> Option<f64> {
    json.as_f64().or_else(|| json.as_str()?.parse().ok())
}
