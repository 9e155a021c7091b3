//! The attributes of a streamed span.

use std::borrow::Cow;

use opentelemetry::{KeyValue, SpanId, Value, trace::SpanKind};
use opentelemetry_sdk::Resource;
use opentelemetry_sentry_semantics::{Attributes, Keys, cut, semconv};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{names::current_name, typed::Typed};
use crate::{
    convert::{
        data::{file, is_of_library, is_place, is_removed},
        ids::{Hex, span_id},
        sender::{SDK_NAME, SDK_VERSION, Sender},
        status::http_status,
        view::Span,
    },
    json::{self, Entries},
    trace::TraceLifecycle,
};

/// What the attributes of a streamed span are made from.
#[derive(Debug)]
pub(super) struct SpanAttributes<'a> {
    pub(super) span: Span<'a>,
    pub(super) sender: &'a Sender,
    pub(super) lifecycle: TraceLifecycle,
    pub(super) op: Option<&'a str>,
    pub(super) origin: &'a str,
    /// The message of a status other than `ok`.
    pub(super) status_message: Option<&'a str>,
    pub(super) segment: Option<(SpanId, &'a str)>,
    /// The server that an HTTP client calls, unless the span has its address.
    pub(super) server: Option<Cow<'a, str>>,
    /// `Some` for a segment span.
    pub(super) root: Option<RootAttributes>,
}

/// What only a segment span has.
#[derive(Debug)]
pub(super) struct RootAttributes {
    pub(super) source: &'static str,
    pub(super) sample_rate: Option<f64>,
}

/// What happens to an attribute that has the key of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attribute {
    /// It is never sent as it is.
    Removed,
    /// It is sent instead of what would be inferred.
    Wins,
}
use Attribute::{Removed, Wins};

/// Infers the value of a key.
type Infer = for<'a> fn(&'a SpanAttributes<'_>) -> Option<Typed<'a>>;

/// The keys that are not simply copied: what happens to an attribute with the key, and how the value is inferred. This
/// is the counterpart of the table for transactions; what is removed there is removed here, too.
///
/// What the spans of a container share comes last, and is followed by the rows of the sender: as one piece it is one match
/// for gzip.
const OWN: [(&str, Attribute, Infer); 17] = [
    (semconv::SENTRY_OP, Removed, |all| all.op.and_then(text)),
    (semconv::SENTRY_ORIGIN, Removed, |all| text(all.origin)),
    ("sentry.kind", Removed, |all| kind_word(&all.span.data.span_kind).and_then(text)),
    (semconv::SENTRY_SEGMENT_NAME_SOURCE, Removed, |all| text(all.root.as_ref()?.source)),
    (semconv::SENTRY_SAMPLE_RATE, Removed, |all| Typed::double(all.root.as_ref()?.sample_rate?)),
    (semconv::SENTRY_STATUS_MESSAGE, Wins, |all| all.status_message.and_then(text)),
    ("sentry.platform", Wins, |all| all.root.as_ref().and_then(|_| text("rust"))),
    (semconv::SERVER_ADDRESS, Wins, server_address),
    (semconv::HTTP_RESPONSE_STATUS_CODE, Removed, |all| http_status(all.span.attributes).map(Typed::Integer)),
    // The source of a name is an attribute of segment spans only, and the kind of a span is its own.
    (semconv::SENTRY_SOURCE, Removed, nothing),
    (semconv::SENTRY_SPAN_SOURCE, Removed, nothing),
    ("otel.kind", Removed, nothing),
    // Written by itself, because an id is not a text.
    (SEGMENT_ID, Removed, nothing),
    (semconv::OTEL_SCOPE_NAME, Removed, |all| text(all.span.data.instrumentation_scope.name())),
    (semconv::OTEL_SCOPE_VERSION, Removed, |all| text(all.span.data.instrumentation_scope.version()?)),
    ("sentry.trace_lifecycle", Removed, |all| text(word(all.lifecycle))),
    ("sentry.segment.name", Removed, |all| Some(Typed::Text(all.segment?.1))),
];

/// The same for what all spans of a sender have.
const OF_SENDER: [(&str, Attribute, InferOfSender); 4] = [
    ("sentry.sdk.name", Removed, |_| text(SDK_NAME)),
    ("sentry.sdk.version", Removed, |_| text(SDK_VERSION)),
    ("sentry.release", Wins, |sender| text(sender.service.release()?)),
    ("sentry.environment", Wins, |sender| text(sender.service.environment())),
];

/// Infers the value of a key that all spans of a sender have.
type InferOfSender = fn(&Sender) -> Option<Typed<'_>>;

const SEGMENT_ID: &str = "sentry.segment.id";

const OWN_KEYS: Keys = {
    let (mut keys, mut row) = (Keys::of(&[]), 0);
    while row < OWN.len() {
        keys = keys.with(OWN[row].0);
        row += 1;
    }
    row = 0;
    while row < OF_SENDER.len() {
        keys = keys.with(OF_SENDER[row].0);
        row += 1;
    }
    keys
};

const fn nothing<'a>(_: &'a SpanAttributes<'_>) -> Option<Typed<'a>> {
    None
}

fn text(text: &str) -> Option<Typed<'_>> {
    (!text.is_empty()).then_some(Typed::Text(text))
}

/// A lifecycle in the words of Sentry's SDKs.
const fn word(lifecycle: TraceLifecycle) -> &'static str {
    match lifecycle {
        TraceLifecycle::Transactions => "static",
        TraceLifecycle::Stream => "stream",
    }
}

/// The host that is called, or on which a segment ran. The address of a client's or producer's span is that of another host.
fn server_address<'a>(all: &'a SpanAttributes<'_>) -> Option<Typed<'a>> {
    if let Some(server) = &all.server {
        return text(server);
    }
    all.root.as_ref()?;
    let is_elsewhere = matches!(all.span.data.span_kind, SpanKind::Client | SpanKind::Producer);
    all.sender.server_name.as_deref().filter(|_| !is_elsewhere).and_then(text)
}

/// The kind as Sentry's JavaScript SDK writes it. It is left out for an internal span.
const fn kind_word(kind: &SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Client => Some("client"),
        SpanKind::Server => Some("server"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
        SpanKind::Internal => None,
    }
}

impl SpanAttributes<'_> {
    /// Today's name of an attribute. The peer of a server is its client.
    fn current_name(&self, key: &str) -> Option<&'static str> {
        match (&self.span.data.span_kind, key) {
            (SpanKind::Server | SpanKind::Consumer, "net.peer.name") => Some("client.address"),
            (SpanKind::Server | SpanKind::Consumer, "net.peer.port") => Some("client.port"),
            (_, key) => current_name(key),
        }
    }

    /// The attributes that the span itself has, and those that the application sets for all, under today's names. Each name
    /// occurs once: an attribute that has today's name already beats one with an old name.
    fn passing(&self) -> Passing<'_> {
        let attributes = self.span.attributes;
        let mut passing = Passing { all: Vec::with_capacity(self.span.data.attributes.len()), added: Vec::new() };
        let is_of_library = is_of_library(attributes);
        for attribute in attributes.unique() {
            let (key, value) = (attribute.key.as_str(), &attribute.value);
            if key == semconv::HTTP_TARGET {
                passing.add_target(attributes, value);
            } else if key == semconv::HTTP_HOST {
                passing.add_host(attributes, value);
            } else if !(is_own(key) || is_removed(key) || is_of_library && is_place(key)) {
                let value = |name| file(attribute).map(Typed::Text).or_else(|| Typed::of(name, value));
                match self.current_name(key) {
                    None => passing.all.extend(value(key).map(|value| (key, value))),
                    Some(name) => passing.add(attributes, name, value(name)),
                }
            }
        }
        for event in self.span.data.events.iter().take(MAX_MEASUREMENTS) {
            let value = Attributes::new(&event.attributes).float(semconv::SENTRY_MEASUREMENT_VALUE);
            passing.add(attributes, &event.name, value.and_then(Typed::double));
        }
        for KeyValue { key, value, .. } in self.sender.attributes.as_slice() {
            let name = self.current_name(key.as_str()).unwrap_or(key.as_str());
            passing.add(attributes, name, Typed::of(name, value));
        }
        passing
    }
}

/// The most events that may become attributes.
const MAX_MEASUREMENTS: usize = 100;

/// Whether a key is that of a row whose attribute is never sent.
fn is_own(key: &str) -> bool {
    let is_removed = |own: &str, attribute| own == key && attribute == Removed;
    OWN_KEYS.may_have(key)
        && (OWN.iter().any(|(own, attribute, _)| is_removed(own, *attribute))
            || OF_SENDER.iter().any(|(own, attribute, _)| is_removed(own, *attribute)))
}

/// The name of an attribute in a streamed span. `None` if it is never sent as the application sets it.
pub(crate) fn streamed_key(key: &str) -> Option<&str> {
    let key = current_name(key).unwrap_or(key);
    (!is_own(key) && !is_removed(key)).then_some(key)
}

/// Attributes that are sent as they are.
struct Passing<'a> {
    all: Vec<(&'a str, Typed<'a>)>,
    /// The names that the span does not have by itself. Few, because they are those of a table, of measurements or of the
    /// application's settings.
    added: Vec<&'a str>,
}

impl<'a> Passing<'a> {
    /// Adds a value under a name, unless the span has the name already.
    fn add(&mut self, attributes: Attributes<'_>, name: &'a str, value: Option<Typed<'a>>) {
        let is_known = attributes.get(name).is_some() || self.added.contains(&name) || is_own(name) || is_removed(name);
        if let Some(value) = value.filter(|_| !is_known) {
            self.added.push(name);
            self.all.push((name, value));
        }
    }

    /// The target of an old span is path and query.
    fn add_target(&mut self, attributes: Attributes<'_>, target: &'a Value) {
        let Value::String(target) = target else { return };
        let target = target.as_str().split('#').next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.add(attributes, semconv::URL_PATH, text(path));
        self.add(attributes, semconv::URL_QUERY, text(query));
    }

    /// The host of an old span may have a port.
    fn add_host(&mut self, attributes: Attributes<'_>, host: &'a Value) {
        let Value::String(host) = host else { return };
        let host = host.as_str();
        // The colons of an IPv6 address are inside its brackets.
        let split = host.rsplit_once(':').filter(|(before, _)| !before.contains(':') || before.ends_with(']'));
        let port = split.and_then(|(before, port)| Some((before, i64::from(port.parse::<u16>().ok()?))));
        let (host, port) = port.map_or((host, None), |(host, port)| (host, Some(port)));
        self.add(attributes, semconv::SERVER_ADDRESS, text(host));
        self.add(attributes, semconv::SERVER_PORT, port.map(Typed::Integer));
    }

    fn has(&self, key: &str) -> bool {
        self.all.iter().any(|(known, _)| *known == key)
    }
}

/// An id as the value of an attribute.
#[derive(Serialize)]
struct Id {
    r#type: &'static str,
    value: Hex<8>,
}

impl Serialize for SpanAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let takes_ready = json::takes_ready(&serializer);
        let mut map = serializer.serialize_map(None)?;
        let passing = self.passing();
        for (key, value) in &passing.all {
            map.serialize_entry(key, value)?;
        }
        if self.root.is_some() {
            for (key, value) in resource(self.sender).filter(|(key, _)| !passing.has(key)) {
                map.serialize_entry(&key, &value)?;
            }
        }
        for (key, attribute, infer) in &OWN {
            if let Some(value) = infer(self).filter(|_| *attribute == Removed || !passing.has(key)) {
                map.serialize_entry(key, &value)?;
            }
        }
        if let Some((id, _)) = self.segment {
            map.serialize_entry(SEGMENT_ID, &Id { r#type: "string", value: span_id(id) })?;
        }
        let ready = self.sender.ready.get_or_init(|| Entries::new(&of_sender(self.sender).collect::<Vec<_>>()));
        if takes_ready && !ready.keys().any(|key| passing.has(key)) {
            ready.write(&mut map)?;
        } else {
            for (key, value) in of_sender(self.sender).filter(|(key, _)| !passing.has(key)) {
                map.serialize_entry(key, &value)?;
            }
        }
        map.end()
    }
}

/// The attributes that are the same on all spans of a sender, unless a span has one by itself.
fn of_sender(sender: &Sender) -> impl Iterator<Item = (&'static str, Typed<'_>)> {
    // The SDK calls a service so that has no name.
    let is_name =
        |(key, value): &(&str, &Value)| *key == semconv::SERVICE_NAME && !value.as_str().starts_with("unknown_service");
    let service = of_resource(&sender.resource).find(is_name);
    let service = service.and_then(|(key, value)| Some((semconv::SERVICE_NAME, of_resource_value(key, value)?)));
    OF_SENDER.iter().filter_map(|(key, _, infer)| Some((*key, infer(sender)?))).chain(service)
}

/// The attributes of the resource that only segment spans have.
fn resource(sender: &Sender) -> impl Iterator<Item = (String, Typed<'_>)> {
    let Sender { resource, service, .. } = sender;
    let is_sent_already = move |key: &str, value: &Value| match key {
        semconv::SERVICE_NAME => true,
        semconv::SERVICE_VERSION => service.release().is_some_and(|release| release == value.as_str()),
        semconv::DEPLOYMENT_ENVIRONMENT_NAME | semconv::DEPLOYMENT_ENVIRONMENT => {
            service.environment() == value.as_str()
        }
        key => key.starts_with("telemetry.sdk."),
    };
    let sent = of_resource(resource).filter(move |(key, value)| !is_sent_already(key, value));
    sent.filter_map(|(key, value)| Some((format!("resource.{key}"), of_resource_value(key, value)?)))
}

fn of_resource_value<'a>(key: &str, value: &'a Value) -> Option<Typed<'a>> {
    match Typed::of(key, value)? {
        Typed::Text(text) => Some(Typed::Text(cut(text, MAX_TEXT))),
        value => Some(value),
    }
}

/// The most bytes of a resource that a span repeats.
const MAX_RESOURCE: usize = 7 << 10;

/// The longest text of a resource, in characters. Longer ones are cut.
const MAX_TEXT: usize = 1024;

/// The attributes of the resource that have room.
fn of_resource(resource: &Resource) -> impl Iterator<Item = (&str, &Value)> {
    let mut room = MAX_RESOURCE;
    let has_room = move |(key, value): &(&str, &Value)| {
        let text = match value {
            Value::Array(_) => value.as_str().len(),
            value => value.as_str().len().min(4 * MAX_TEXT),
        };
        let left = room.checked_sub(key.len() + text);
        room = left.unwrap_or(room);
        left.is_some()
    };
    resource.iter().map(|(key, value)| (key.as_str(), value)).filter(has_room)
}
