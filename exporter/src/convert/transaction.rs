//! The root of a trace: the transaction itself.

use opentelemetry_sentry_protocol::{
    SampleRate,
    describe::{Attributes, describe},
    semconv,
};
use serde::{Serialize, Serializer};
use uuid::fmt::Simple;

use super::{
    Sender,
    data::RootData,
    resource::ResourceData,
    span::{SpanFields, Spans, origin},
    status::http_status,
    timestamps,
};
use crate::{assembler::Trace, envelope::Sdk, tree::Fate};

/// A trace, as Sentry's transaction event.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    pub(crate) event_id: Simple,
    pub(crate) sender: &'a Sender,
    pub(crate) trace: &'a Trace,
}

/// The fields of the event. `platform` cannot be `rust`, which Sentry stores as `other`.
#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    event_id: &'a str,
    platform: &'static str,
    sdk: Sdk,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    transaction: &'a str,
    transaction_info: Info,
    start_timestamp: f64,
    timestamp: f64,
    contexts: Contexts<'a>,
    spans: Spans<'a>,
}

#[derive(Serialize)]
struct Info {
    source: &'static str,
}

#[derive(Serialize)]
struct Contexts<'a> {
    trace: SpanFields<'a>,
    otel: Otel<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response>,
}

#[derive(Serialize)]
struct Otel<'a> {
    resource: ResourceData<'a>,
}

#[derive(Serialize)]
struct Response {
    status_code: i64,
}

impl Response {
    const fn new(status_code: i64) -> Self {
        Self { status_code }
    }
}

/// The rate that the sampler noted, or whatever an application made of it.
fn sample_rate(attributes: Attributes<'_>) -> Option<f64> {
    attributes.text(semconv::SENTRY_SAMPLE_RATE)?.parse::<SampleRate>().ok().map(SampleRate::get)
}

impl Serialize for Transaction<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { sender, trace, .. } = self;
        let Some((root, children)) = trace.spans.split_first() else {
            return Err(serde::ser::Error::custom("a trace has at least one span"));
        };
        let attributes = Attributes::new(&root.attributes);
        let description = describe(&root.name, &root.span_kind, &root.attributes);
        let (start_timestamp, timestamp) = timestamps(root);
        let origin = origin(root);
        let root_data = RootData {
            source: description.source.as_str(),
            sample_rate: sample_rate(attributes),
            parent_already_sent: trace.fate == Fate::Late,
        };
        let mut event_id = [0; Simple::LENGTH];
        let event = Event {
            r#type: "transaction",
            event_id: self.event_id.encode_lower(&mut event_id),
            platform: "native",
            sdk: Sdk,
            release: sender.service.release(),
            environment: sender.service.environment(),
            server_name: sender.server_name.as_deref(),
            transaction: &description.name,
            transaction_info: Info { source: description.source.as_str() },
            start_timestamp,
            timestamp,
            contexts: Contexts {
                trace: SpanFields::new(root, &description, &origin, Some(root_data)),
                otel: Otel { resource: ResourceData(&sender.resource) },
                response: http_status(attributes).filter(|code| (100..600).contains(code)).map(Response::new),
            },
            spans: Spans(children),
        };
        event.serialize(serializer)
    }
}
