//! Exceptions as error events. The rules are in the guide, page `mapping`, section "Errors".

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    iter,
    time::{Duration, SystemTime},
};

use opentelemetry::{Array, KeyValue, TraceId, Value, trace::Event};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_semantics::{Attributes, cut, describe, semconv};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    backtrace::{Frame, frames},
    data::AttributeMap,
    request::Request,
    sender::Sender,
    span::{Hex, op, parent_span_id, span_id, trace_id},
    status::status,
    tags::Tags,
    transaction::{Contexts, SenderFields, name_of},
    user::User,
};
use crate::account::seconds;

/// What an exception is called of which nobody knows the type: without one Sentry shows `<unknown>`.
const UNKNOWN_TYPE: &str = "Error";

/// The longest text that Sentry keeps of an exception, in characters.
const MAX_VALUE: usize = 8192;

/// The longest text in `extra` that Sentry keeps.
const MAX_EXTRA: usize = 16_000;

/// The most causes that are told.
const MAX_CAUSES: usize = 50;

/// How long after its first appearance an exception of a trace is the same failure still on its way.
const TRAVEL_TIME: Duration = Duration::from_secs(60);

/// How many exceptions are remembered.
const REMEMBERED: usize = 4096;

/// What precedes the causes in the text of an `anyhow` or `eyre` error.
const CAUSED_BY: &str = "\n\nCaused by:\n";

/// What precedes the stack there.
const STACK: &str = "\n\nStack backtrace:\n";

/// An exception and where it came from.
#[derive(Debug)]
pub(crate) struct Exception<'a> {
    span: &'a SpanData,
    event: &'a Event,
    r#type: Option<Cow<'a, str>>,
    value: &'a str,
    /// The nearest first.
    causes: Vec<&'a str>,
    stack: Option<&'a str>,
    /// Whether it never left a span unhandled, as far as anybody says.
    is_handled: bool,
}

/// Finds exceptions, and remembers those that it found.
#[derive(Debug, Default)]
pub(crate) struct Exceptions {
    /// By trace and message, when it was first told of.
    seen: HashMap<u64, SystemTime>,
    order: VecDeque<u64>,
}

impl Exceptions {
    /// The exceptions of these spans that were not found before, in the order in which they happened.
    pub(crate) fn find<'a>(&mut self, spans: &'a [SpanData]) -> Vec<Exception<'a>> {
        let of_span = |span: &'a SpanData| span.events.iter().filter_map(move |event| Exception::of(span, event));
        let mut all: Vec<_> = spans.iter().flat_map(of_span).collect();
        // A stable order: of those with one time the innermost, which starts last, goes first.
        all.reverse();
        all.sort_by_key(|exception| exception.event.timestamp);
        let mut found: Vec<Exception<'a>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for exception in all {
            let place = [exception.value].iter().chain(&exception.causes).find_map(|text| places.get(text)).copied();
            let place = match place {
                Some(place) => {
                    if !found[place].join(exception) {
                        continue;
                    }
                    place
                }
                None => {
                    found.push(exception);
                    found.len() - 1
                }
            };
            for text in [found[place].value].iter().chain(&found[place].causes) {
                places.entry(text).or_insert(place);
            }
        }
        found.retain(|exception| self.is_new(exception));
        found
    }

    fn is_new(&mut self, exception: &Exception<'_>) -> bool {
        let trace_id = exception.span.span_context.trace_id();
        let now = exception.event.timestamp;
        let texts = [exception.value].into_iter().chain(exception.causes.iter().copied());
        let keys: Vec<_> = texts.map(|text| key(trace_id, text)).collect();
        let is_recent =
            |key| self.seen.get(key).is_some_and(|seen| now.duration_since(*seen).unwrap_or_default() < TRAVEL_TIME);
        let is_new = !keys.iter().any(is_recent);
        for key in keys.into_iter().filter(|_| is_new) {
            if self.seen.insert(key, now).is_none() {
                self.order.push_back(key);
            }
        }
        while self.order.len() > REMEMBERED {
            let oldest = self.order.pop_front();
            oldest.and_then(|key| self.seen.remove(&key));
        }
        is_new
    }
}

fn key(trace_id: TraceId, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (trace_id.to_bytes(), text).hash(&mut hasher);
    hasher.finish()
}

impl<'a> Exception<'a> {
    fn of(span: &'a SpanData, event: &'a Event) -> Option<Self> {
        let attributes = Attributes::new(&event.attributes);
        let r#type = attributes.text(semconv::EXCEPTION_TYPE);
        let message = text(attributes, semconv::EXCEPTION_MESSAGE);
        let is_named = event.name == semconv::EXCEPTION || message.is_some() || r#type.is_some();
        let is_error = || attributes.text(semconv::LEVEL).is_some_and(|level| level.eq_ignore_ascii_case("error"));
        let message = message.or_else(|| text(attributes, semconv::ERROR).filter(|_| is_named || is_error()));
        if !is_named && message.is_none() {
            return None;
        }
        let (value, listed, stack) = parts(unquoted(message.unwrap_or_default()));
        // Neither a type nor a text: nothing that Sentry could show.
        if value.is_empty() && r#type.is_none() {
            return None;
        }
        let mut causes = texts(attributes, semconv::ERROR_CHAIN).unwrap_or(listed);
        let stack = match texts(attributes, semconv::EXCEPTION_STACKTRACE) {
            // `tracing-opentelemetry` puts the causes there.
            Some(chain) if causes.is_empty() => {
                causes = chain;
                stack
            }
            _ => text(attributes, semconv::EXCEPTION_STACKTRACE).or(stack),
        };
        causes.truncate(MAX_CAUSES);
        causes.iter_mut().for_each(|cause| *cause = cut(cause, MAX_VALUE));
        let value = cut(value, MAX_VALUE);
        let span_type = || Attributes::new(&span.attributes).text(semconv::ERROR_TYPE);
        let r#type = r#type.or_else(|| attributes.text(semconv::ERROR_TYPE)).or_else(span_type);
        let is_handled = !attributes.is_true(semconv::EXCEPTION_ESCAPED);
        Some(Self { span, event, r#type, value, causes, stack, is_handled })
    }

    /// Takes in what another span knew about the same failure; returns whether there are new texts.
    fn join(&mut self, other: Self) -> bool {
        let knows_more = other.causes.len() > self.causes.len();
        if knows_more {
            (self.value, self.causes) = (other.value, other.causes);
        }
        self.r#type = self.r#type.take().or(other.r#type);
        self.stack = self.stack.or(other.stack);
        self.is_handled &= other.is_handled;
        knows_more
    }

    fn level(&self) -> &'static str {
        let level = Attributes::new(&self.event.attributes).text(semconv::LEVEL).unwrap_or_default();
        match level.to_ascii_lowercase().as_str() {
            "warn" | "warning" => "warning",
            "info" => "info",
            "debug" | "trace" => "debug",
            "fatal" | "critical" => "fatal",
            _ => "error",
        }
    }
}

/// A message, its causes and its stack, as `anyhow` and `eyre` print them with `{:?}`.
fn parts(text: &str) -> (&str, Vec<&str>, Option<&str>) {
    let (text, stack) = match text.find(STACK) {
        Some(end) => (&text[..end], Some(&text[end..])),
        None => (text, None),
    };
    let Some((value, list)) = text.split_once(CAUSED_BY) else { return (text.trim(), Vec::new(), stack) };
    fn unnumbered(line: &str) -> &str {
        let line = line.trim();
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.strip_prefix(':').map_or(line, str::trim)
    }
    let causes = list.lines().take_while(|line| line.starts_with(' ')).map(unnumbered).collect();
    (value.trim(), causes, stack)
}

/// `tracing` prints texts that are errors with quotes around them.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn text<'a>(attributes: Attributes<'a>, key: &str) -> Option<&'a str> {
    match attributes.get(key)? {
        Value::String(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

fn texts<'a>(attributes: Attributes<'a>, key: &str) -> Option<Vec<&'a str>> {
    match attributes.get(key)? {
        Value::Array(Array::String(_)) => Some(attributes.texts(key)),
        _ => None,
    }
}

/// An exception, as Sentry's error event.
#[derive(Debug)]
pub(crate) struct ErrorEvent<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) sender: &'a Sender,
    pub(crate) exception: &'a Exception<'a>,
    /// The spans that leave together, their root first.
    pub(crate) spans: &'a [SpanData],
    pub(crate) surroundings: &'a Surroundings<'a>,
}

/// What all error events of a trace have in common.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    transaction: Cow<'a, str>,
    user: Option<User<'a>>,
    request: Option<Request<'a>>,
}

impl<'a> Surroundings<'a> {
    pub(crate) fn of(spans: &'a [SpanData]) -> Self {
        let root = spans.first();
        let name = root.map(|root| describe(&root.name, &root.span_kind, &root.attributes).name);
        let user = User::of(spans.iter().map(|span| Attributes::new(&span.attributes)));
        Self { transaction: name.unwrap_or_default(), user, request: root.and_then(Request::of) }
    }
}

#[derive(Serialize)]
struct EventFields<'a> {
    #[serde(flatten)]
    sender: SenderFields<'a>,
    level: &'static str,
    timestamp: f64,
    transaction: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logentry: Option<LogEntry<'a>>,
    exception: Values<'a>,
    contexts: Contexts<'a, TraceFields<'a>>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a Request<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Extra<'a>>,
}

/// What the log line said that told of the error.
#[derive(Serialize)]
struct LogEntry<'a> {
    formatted: &'a str,
}

#[derive(Debug, Serialize)]
struct TraceFields<'a> {
    trace_id: Hex<16>,
    span_id: Hex<8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Hex<8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'a str>,
    status: &'static str,
}

#[derive(Serialize)]
struct Extra<'a> {
    #[serde(rename = "exception.stacktrace")]
    stack: &'a str,
}

#[derive(Serialize)]
struct Values<'a> {
    values: Vec<OneValue<'a>>,
}

#[derive(Serialize)]
struct OneValue<'a> {
    r#type: &'a str,
    value: &'a str,
    mechanism: Mechanism,
    #[serde(skip_serializing_if = "Option::is_none")]
    stacktrace: Option<Stacktrace<'a>>,
}

#[derive(Serialize)]
struct Stacktrace<'a> {
    frames: Vec<Frame<'a>>,
}

/// How an exception came to us; the numbers link causes to what they caused.
struct Mechanism {
    handled: bool,
    /// 0 is the exception that was raised.
    number: usize,
    has_causes: bool,
}

impl Serialize for Mechanism {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", if self.number == 0 { "auto.otel.exception" } else { "chained" })?;
        map.serialize_entry("handled", &self.handled)?;
        if self.has_causes {
            map.serialize_entry("exception_id", &self.number)?;
        }
        if let Some(parent) = self.number.checked_sub(1) {
            map.serialize_entry("parent_id", &parent)?;
        }
        map.end()
    }
}

impl<'a> ErrorEvent<'a> {
    /// The causes, the oldest first, and then what was raised.
    fn values(&self, frames: Vec<Frame<'a>>) -> Values<'a> {
        let Exception { r#type, value, causes, is_handled: handled, .. } = self.exception;
        let has_causes = !causes.is_empty();
        let one = |(number, value): (usize, &'a str)| OneValue {
            r#type: r#type.as_deref().filter(|_| number == 0).unwrap_or(UNKNOWN_TYPE),
            value: cut(value, MAX_VALUE),
            mechanism: Mechanism { handled: *handled, number, has_causes },
            stacktrace: None,
        };
        let mut values: Vec<_> = [*value].into_iter().chain(causes.iter().copied()).enumerate().map(one).collect();
        if !frames.is_empty() {
            values[0].stacktrace = Some(Stacktrace { frames });
        }
        values.reverse();
        Values { values }
    }
}

impl Serialize for ErrorEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { event_id, sender, exception, spans, surroundings } = self;
        let Exception { span, event, stack, .. } = exception;
        let own_user = User::of(iter::once(Attributes::new(&span.attributes)));
        let description = describe(&span.name, &span.span_kind, &span.attributes);
        let frames = stack.map(frames).unwrap_or_default();
        let raw = stack.filter(|_| frames.is_empty()).map(|stack| Extra { stack: cut(stack.trim(), MAX_EXTRA) });
        let is_log_line = event.name != semconv::EXCEPTION && !event.name.is_empty();
        let attributes: Vec<_> = event.attributes.iter().filter(|attribute| is_told_of(attribute)).cloned().collect();
        EventFields {
            sender: SenderFields::new(event_id, sender),
            level: exception.level(),
            timestamp: seconds(event.timestamp),
            transaction: name_of(&surroundings.transaction),
            logentry: is_log_line.then(|| LogEntry { formatted: cut(&event.name, MAX_VALUE) }),
            exception: self.values(frames),
            contexts: Contexts {
                trace: TraceFields {
                    trace_id: trace_id(span.span_context.trace_id()),
                    span_id: span_id(span.span_context.span_id()),
                    parent_span_id: parent_span_id(span),
                    op: op(&description),
                    status: status(&span.status, Attributes::new(&span.attributes)),
                },
                sender,
                response: None,
                attributes: Some(AttributeMap::new(&attributes)).filter(|attributes| !attributes.is_empty()),
            },
            tags: Tags::new(&sender.tags, iter::once(*span).chain(*spans), &sender.resource),
            user: own_user.as_ref().or(surroundings.user.as_ref()),
            request: surroundings.request.as_ref(),
            extra: raw,
        }
        .serialize(serializer)
    }
}

/// Attributes of the event that are not the exception itself; long ones have no place in a context.
fn is_told_of(attribute: &KeyValue) -> bool {
    const MAX_ATTRIBUTE: usize = 512;
    let key = attribute.key.as_str();
    let is_exception = matches!(key, semconv::ERROR | semconv::ERROR_CHAIN | semconv::LEVEL)
        || key.strip_prefix(semconv::EXCEPTION).is_some_and(|rest| rest.starts_with('.'));
    let is_short = match &attribute.value {
        Value::String(text) => text.as_str().len() <= MAX_ATTRIBUTE,
        Value::Array(_) => false,
        _ => true,
    };
    !is_exception && is_short
}
