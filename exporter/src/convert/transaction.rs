//! The root of a trace as a transaction event. The rules are in the guide, page `mapping`.

use std::cell::Cell;

use opentelemetry_sentry_protocol::SampleRate;
use opentelemetry_sentry_semantics::{Attributes, semconv, shortened};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    data::{AttributeMap, RootData},
    measurement::Measurements,
    request::{Request, Response},
    sender::{Sdk, Sender},
    span::{Span, SpanFields, Spans, origin},
    tags::Tags,
    times::Times,
    user::User,
};
use crate::{
    account::Trimmed,
    trace::{Fate, Trace},
};

/// The name of a transaction that has none, as Sentry would call it.
const UNLABELED: &str = "<unlabeled transaction>";

/// A trace, as Sentry's transaction event.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    event_id: &'a str,
    sender: &'a Sender,
    trace: &'a Trace,
    /// Bytes of the name that were cut off while it was serialised.
    cut: Cell<usize>,
}

impl<'a> Transaction<'a> {
    pub(crate) const fn new(event_id: &'a str, sender: &'a Sender, trace: &'a Trace) -> Self {
        Self { event_id, sender, trace, cut: Cell::new(0) }
    }

    /// What was cut off.
    pub(crate) fn trimmed(&self) -> Trimmed {
        let bytes = self.cut.get() as u64;
        Trimmed { values: u64::from(bytes > 0), bytes }
    }
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    sender: SenderFields<'a>,
    transaction: &'a str,
    transaction_info: Info,
    start_timestamp: f64,
    timestamp: f64,
    contexts: Contexts<'a, SpanFields<'a>>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request<'a>>,
    #[serde(skip_serializing_if = "Measurements::is_empty")]
    measurements: Measurements<'a>,
    spans: Spans<'a>,
}

/// The fields that all events have. `platform` cannot be `rust`, which Sentry stores as `other`.
#[derive(Debug, Serialize)]
pub(super) struct SenderFields<'a> {
    event_id: &'a str,
    platform: &'static str,
    sdk: Sdk,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
}

impl<'a> SenderFields<'a> {
    pub(super) fn new(event_id: &'a str, sender: &'a Sender) -> Self {
        Self {
            event_id,
            platform: "native",
            sdk: Sdk,
            release: sender.service.release(),
            environment: sender.service.environment(),
            server_name: sender.server_name.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Info {
    source: &'static str,
}

/// The contexts of an event: its trace, and what is known beside it.
#[derive(Debug)]
pub(super) struct Contexts<'a, T> {
    pub(super) trace: T,
    pub(super) sender: &'a Sender,
    pub(super) response: Option<Response<'a>>,
    /// Attributes that are nowhere else in the event.
    pub(super) attributes: Option<AttributeMap<'a>>,
}

#[derive(Serialize)]
struct Otel<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a AttributeMap<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a RawValue>,
}

impl<T: Serialize> Serialize for Contexts<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trace", &self.trace)?;
        let known = &self.sender.contexts;
        map.serialize_entry(
            "otel",
            &Otel { attributes: self.attributes.as_ref(), resource: known.attributes.as_deref() },
        )?;
        for (name, context) in &known.contexts {
            map.serialize_entry(name, context)?;
        }
        if let Some(response) = &self.response {
            map.serialize_entry("response", response)?;
        }
        map.end()
    }
}

/// The rate that the sampler noted, or whatever an application made of it.
fn sample_rate(attributes: Attributes<'_>) -> Option<f64> {
    attributes.text(semconv::SENTRY_SAMPLE_RATE)?.parse::<SampleRate>().ok().map(SampleRate::get)
}

/// A name as Sentry takes it: not empty, and not too long.
pub(crate) fn name_of(name: &str) -> &str {
    if name.is_empty() { UNLABELED } else { shortened(name) }
}

impl Serialize for Transaction<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event_id, sender, trace, cut } = self;
        let spans: Vec<_> = trace.spans.iter().map(Span::from).collect();
        let Some((&root, children)) = spans.split_first() else {
            return Err(serde::ser::Error::custom("a trace has at least one span"));
        };
        let description = root.describe();
        let times = Times::around(root.data);
        let (start_timestamp, timestamp) = times.of(root.data);
        let origin = origin(root.attributes);
        let root_data = RootData {
            source: description.source.as_str(),
            sample_rate: sample_rate(root.attributes),
            parent_already_sent: trace.fate == Fate::Late,
        };
        let name = name_of(&description.name);
        cut.set(description.name.len().saturating_sub(name.len()));
        let event = Event {
            r#type: "transaction",
            sender: SenderFields::new(event_id, sender),
            transaction: name,
            transaction_info: Info { source: description.source.as_str() },
            start_timestamp,
            timestamp,
            contexts: Contexts {
                trace: SpanFields::new(root, &description, &origin, Some(root_data)),
                sender,
                response: Response::of(root.data),
                attributes: None,
            },
            tags: Tags::new(&sender.tags, trace.spans.iter(), &sender.resource),
            user: User::of(spans.iter().map(|span| span.attributes)),
            request: Request::of(root.data),
            measurements: Measurements::of_transaction(root, children),
            spans: Spans { spans: children, times },
        };
        event.serialize(serializer)
    }
}
