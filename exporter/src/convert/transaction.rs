//! Sentry's transaction event for a trace. The rules are in the guide, page `mapping`.

use std::cell::Cell;

use opentelemetry_sentry_protocol::SampleRate;
use opentelemetry_sentry_semantics::{Attributes, semconv};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{
    data::RootData,
    event::{Contexts, SenderFields, transaction_name},
    measurement::Measurements,
    request::{Request, Response},
    sender::Sender,
    span::{Child, SpanFields, Spans, origin},
    tags::Tags,
    times::Times,
    user::User,
    view::Span,
};
use crate::{
    account::Trimmed,
    json,
    trace::{Fate, Trace},
};

/// Sentry's transaction event for a trace.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    event_id: &'a str,
    sender: &'a Sender,
    trace: &'a Trace,
    /// The bytes of the name that serialisation cut off. A `Cell`, because `serialize` takes `&self`.
    cut: Cell<usize>,
}

impl<'a> Transaction<'a> {
    pub(crate) const fn new(event_id: &'a str, sender: &'a Sender, trace: &'a Trace) -> Self {
        Self { event_id, sender, trace, cut: Cell::new(0) }
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        let spans: Vec<_> = self.trace.spans.iter().map(Span::from).collect();
        let described = spans.split_first().map(|(root, children)| root.describe_root(children));
        described.map(|root| transaction_name(&root.name).to_owned()).unwrap_or_default()
    }

    /// The bytes that each span takes as JSON in the list of spans.
    pub(crate) fn span_sizes(&self) -> Vec<usize> {
        let spans: Vec<_> = self.trace.spans.iter().map(Span::from).collect();
        let Some(root) = spans.first() else { return Vec::new() };
        let times = Times::around(root.data);
        spans.iter().map(|&span| json::size(&Child { span, times }) + 1).collect()
    }

    /// What serialisation cut off.
    pub(crate) fn trimmed(&self) -> Trimmed {
        let bytes = self.cut.get() as u64;
        Trimmed { values: u64::from(bytes > 0), bytes }
    }
}

/// A span of a trace as its transaction has it.
pub(crate) fn transaction_span(trace: &Trace, place: usize) -> Option<Value> {
    let times = Times::around(trace.spans.first()?);
    serde_json::to_value(Child { span: Span::from(trace.spans.get(place)?), times }).ok()
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

#[derive(Serialize)]
struct Info {
    source: &'static str,
}

/// The rate that the sampler noted. The application may have changed the attribute, so it may be invalid.
pub(super) fn sample_rate(attributes: Attributes<'_>) -> Option<f64> {
    attributes.text(semconv::SENTRY_SAMPLE_RATE)?.parse::<SampleRate>().ok().map(SampleRate::get)
}

impl Serialize for Transaction<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event_id, sender, trace, cut } = self;
        let spans: Vec<_> = trace.spans.iter().map(Span::from).collect();
        let Some((&root, children)) = spans.split_first() else {
            return Err(serde::ser::Error::custom("a trace has at least one span"));
        };
        let description = root.describe_root(children);
        let times = Times::around(root.data);
        let (start_timestamp, timestamp) = times.of(root.data);
        let origin = origin(root.attributes);
        let root_data = RootData {
            source: description.source.as_str(),
            sample_rate: sample_rate(root.attributes),
            parent_already_sent: trace.fate == Fate::Late,
        };
        let name = transaction_name(&description.name);
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
                response: Response::of(root),
                attributes: None,
            },
            tags: Tags::new(&sender.tags, spans.iter().map(|span| span.attributes), &sender.resource),
            user: User::of(spans.iter().map(|span| span.attributes)),
            request: Request::of(root),
            measurements: Measurements::of_transaction(root, children),
            spans: Spans { spans: children, times },
        };
        event.serialize(serializer)
    }
}
