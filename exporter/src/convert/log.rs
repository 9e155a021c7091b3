//! A log record as a log item. The rules are in the guide, page `logs`.
//!
//! Specification: <https://develop.sentry.dev/sdk/telemetry/logs/>

use opentelemetry::{KeyValue, TraceId};
use opentelemetry_sentry_semantics::{Attributes, semconv};
use serde::{Serialize, Serializer};

use super::{
    ids::{Hex, span_id, trace_id},
    sender::{SDK_NAME, SDK_VERSION, Sender},
    streamed::{Typed, TypedList, current_name},
};
use crate::{account::seconds, trace::LogLine};

/// Where all log items come from, in Sentry's words.
const ORIGIN: &str = "auto.log.otel";

/// Relay adds it to the time as nanoseconds.
const SEQUENCE: &str = "sentry.timestamp.sequence";

/// The target of the record, or else the name of its scope.
const LOGGER_NAME: &str = "logger.name";

const EVENT_NAME: &str = "event.name";

const TEMPLATE: &str = "sentry.message.template";

const PARAMETER: &str = "sentry.message.parameter.";

/// Infers the value of an attribute. An attribute of the record with the same key beats it.
type Infer = for<'a> fn(&'a LogLine, &'a Sender) -> Option<Typed<'a>>;

/// The attributes that every log has.
const DEFAULTS: [(&str, Infer); 9] = [
    (LOGGER_NAME, |line, _| text(&line.target)),
    (EVENT_NAME, |line, _| shown(&line.event_name)),
    ("sentry.origin", |_, _| text(ORIGIN)),
    ("sentry.release", |_, sender| text(sender.service.release()?)),
    ("sentry.environment", |_, sender| text(sender.service.environment())),
    ("sentry.sdk.name", |_, _| text(SDK_NAME)),
    ("sentry.sdk.version", |_, _| text(SDK_VERSION)),
    (semconv::SERVER_ADDRESS, |_, sender| text(sender.server_name.as_deref()?)),
    (semconv::SERVICE_NAME, |_, sender| Typed::of(semconv::SERVICE_NAME, sender.service_name()?)),
];

/// The size of the attributes that a log has of its target and its event name, as Sentry counts it.
#[cfg(feature = "logs")]
pub(crate) fn size_of_names(target: &str, event_name: &str) -> usize {
    let size = |key: &str, value: Option<Typed<'_>>| value.map_or(0, |value| key.len() + value.size());
    size(LOGGER_NAME, text(target)) + size(EVENT_NAME, shown(event_name))
}

fn shown(event_name: &str) -> Option<Typed<'_>> {
    text(event_name).filter(|_| !is_callsite(event_name))
}

fn text(text: &str) -> Option<Typed<'_>> {
    (!text.is_empty()).then_some(Typed::Text(text))
}

/// Whether an event name is the place of a `tracing` event, which its attributes have anyway.
fn is_callsite(name: &str) -> bool {
    let place = name.strip_prefix("event ").and_then(|place| place.rsplit_once(':'));
    place.is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A log record as JSON.
#[derive(Debug)]
pub(crate) struct LogItem<'a> {
    line: &'a LogLine,
    trace_id: TraceId,
    /// The key of each occurs once.
    attributes: Vec<(&'a str, Typed<'a>)>,
}

impl<'a> LogItem<'a> {
    /// `process` is the trace id of records outside of any trace. `sequence` is the place among the records of the same
    /// millisecond: Sentry sorts by time, and keeps the order of these by it.
    pub(crate) fn new(line: &'a LogLine, sender: &'a Sender, process: TraceId, sequence: i64) -> Self {
        let mut attributes = own_attributes(line);
        for KeyValue { key, value, .. } in sender.attributes.as_slice() {
            let is_set = attributes.iter().any(|(known, _)| *known == key.as_str());
            attributes.extend(Typed::of(key.as_str(), value).filter(|_| !is_set).map(|value| (key.as_str(), value)));
        }
        for (key, infer) in &DEFAULTS {
            let is_set = attributes.iter().any(|(known, _)| known == key);
            attributes.extend(infer(line, sender).filter(|_| !is_set).map(|value| (*key, value)));
        }
        attributes.retain(|(key, _)| *key != SEQUENCE);
        attributes.push((SEQUENCE, Typed::Integer(sequence)));
        Self { line, trace_id: line.trace_id.unwrap_or(process), attributes }
    }

    /// Its size as Sentry counts it for quotas: the body, and the keys and values of the attributes. A log is never free.
    pub(crate) fn size(&self) -> u64 {
        let attributes = self.attributes.iter().map(|(key, value)| key.len() + value.size());
        (self.line.body.len() + attributes.sum::<usize>()).max(1) as u64
    }
}

/// The attributes of the record under today's names, the last one of each.
fn own_attributes(line: &LogLine) -> Vec<(&str, Typed<'_>)> {
    let attributes = Attributes::new(&line.attributes);
    // Sentry shows a template without parameters as if it were a message.
    let has_parameters = line.attributes.iter().any(|attribute| attribute.key.as_str().starts_with(PARAMETER));
    let mut all: Vec<(&str, Typed<'_>)> = Vec::with_capacity(line.attributes.len() + DEFAULTS.len() + 1);
    let mut renamed = Vec::new();
    for attribute in attributes.unique() {
        let key = attribute.key.as_str();
        let value = Typed::of(key, &attribute.value);
        match key {
            // The end of the path, which is sent as well.
            "code.filename" => {}
            TEMPLATE if !has_parameters => {}
            _ => match current_code_name(key) {
                Some(name) => renamed.push((name, value)),
                None => all.extend(value.map(|value| (key, value))),
            },
        }
    }
    for (name, value) in renamed {
        if all.iter().all(|(known, _)| *known != name) {
            all.extend(value.map(|value| (name, value)));
        }
    }
    all
}

/// Today's name of an attribute for a place in the code. Appenders still use the old ones.
fn current_code_name(key: &str) -> Option<&'static str> {
    match key {
        // It is the module in all appenders for Rust.
        "code.namespace" => Some(semconv::CODE_MODULE_NAME),
        key if key.starts_with("code.") => current_name(key),
        _ => None,
    }
}

impl Serialize for LogItem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { line, attributes, .. } = self;
        Fields {
            timestamp: seconds(line.time),
            trace_id: trace_id(self.trace_id),
            span_id: line.sent_span_id().map(span_id),
            level: line.severity.level(),
            severity_number: line.severity.number(),
            body: &line.body,
            attributes: TypedList(attributes),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct Fields<'a> {
    timestamp: f64,
    trace_id: Hex<16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<Hex<8>>,
    level: &'static str,
    severity_number: u8,
    body: &'a str,
    attributes: TypedList<'a>,
}
