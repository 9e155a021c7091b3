//! Finds exceptions in spans. The rules are in the guide, page `mapping`, section "Errors".

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    iter,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{Array, TraceId, Value, trace::Event};
use opentelemetry_sentry_semantics::{Attributes, cut, semconv};

use super::{breadcrumb::Breadcrumb, record_error::RecordError};
use crate::{account::seconds, trace::EndedSpan};

/// The longest text that Sentry keeps of an exception, in characters.
pub(crate) const MAX_VALUE: usize = 8192;

/// The most characters of a type that Sentry keeps.
const MAX_TYPE: usize = 256;

/// The type of an exception that has none. Without a type Sentry would show `<unknown>`.
pub(crate) const UNKNOWN_TYPE: &str = "Error";

/// The most causes of an exception that are sent.
const MAX_CAUSES: usize = 50;

/// How long after its first appearance an exception of a trace counts as the same failure on its way up.
const TRAVEL_TIME: Duration = Duration::from_secs(60);

/// The same outside of any trace, where equal failures follow each other. A record may come twice there, through two bridges.
const BRIDGE_TIME: Duration = Duration::from_secs(5);

/// How many exceptions are remembered.
const REMEMBERED: usize = 4096;

/// The heading of the causes in the text of an `anyhow` or `eyre` error.
const CAUSED_BY: &str = "\n\nCaused by:\n";

/// The heading of the stack trace in such a text.
const STACK: &str = "\n\nStack backtrace:\n";

/// An exception, with the span and the event that recorded it.
#[derive(Debug)]
pub(crate) struct Exception<'a> {
    pub(super) span: &'a EndedSpan,
    pub(super) event: &'a Event,
    pub(super) r#type: Option<Cow<'a, str>>,
    pub(super) value: &'a str,
    /// The nearest first.
    pub(super) causes: Vec<&'a str>,
    pub(super) stack: Option<&'a str>,
    /// False if an attribute says that it left its span unhandled.
    pub(super) is_handled: bool,
    /// The target of the log record, if only a record has reported it.
    pub(super) target: Option<&'a str>,
    /// The lines before it, if a record has reported it.
    pub(super) breadcrumbs: &'a [Arc<Breadcrumb>],
}

/// Finds exceptions. It remembers them, because the spans of one failure may leave in several parts.
#[derive(Debug, Default)]
pub(crate) struct Exceptions {
    /// When a text was first seen in a trace, by the hash of both.
    seen: HashMap<u64, SystemTime>,
    /// The keys of `seen`, oldest first. Without it the oldest could not make room.
    order: VecDeque<u64>,
}

impl Exceptions {
    /// The exceptions of these spans that were not found before, in the order in which they happened. An exception that a
    /// record of the same trace reports too is one with it. `is_used` gets such a record's place.
    pub(crate) fn find<'a>(
        &mut self,
        spans: &'a [EndedSpan],
        records: &'a [RecordError],
        mut is_used: impl FnMut(usize),
    ) -> Vec<Exception<'a>> {
        let of_span = |span: &'a EndedSpan| span.events.iter().filter_map(move |event| Exception::of(span, event));
        let mut all: Vec<_> = spans.iter().flat_map(of_span).collect();
        // The sort is stable: of exceptions with the same time, the one of the innermost span, which started last, is
        // first.
        all.reverse();
        all.sort_by_key(|exception| exception.event.timestamp);
        let mut found: Vec<Exception<'a>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for exception in all {
            let known = exception.texts().find_map(|text| places.get(text)).copied();
            let place = known.unwrap_or(found.len());
            let has_new_texts = match found.get_mut(place) {
                Some(first) => first.join(exception),
                None => {
                    found.push(exception);
                    true
                }
            };
            if has_new_texts {
                found[place].texts().for_each(|text| _ = places.entry(text).or_insert(place));
            }
        }
        let trace_id = spans.first().map(|span| span.span_context.trace_id());
        for (number, record) in records.iter().enumerate().filter(|(_, record)| Some(record.trace_id()) == trace_id) {
            let Some(exception) = Exception::of_record(record) else { continue };
            let place = exception.texts().find_map(|text| places.get(text)).copied();
            if let Some(place) = place {
                found[place].join(exception);
                is_used(number);
            }
        }
        found.retain(|exception| self.is_new(exception, TRAVEL_TIME));
        found
    }

    /// The exception of a record, unless it was found before.
    pub(crate) fn find_in_record<'a>(&mut self, record: &'a RecordError) -> Option<Exception<'a>> {
        let window = if record.has_trace { TRAVEL_TIME } else { BRIDGE_TIME };
        Exception::of_record(record).filter(|exception| self.is_new(exception, window))
    }

    fn is_new(&mut self, exception: &Exception<'_>, window: Duration) -> bool {
        let trace_id = exception.span.span_context.trace_id();
        let now = exception.event.timestamp;
        let keys: Vec<_> = exception.texts().map(|text| key(trace_id, text)).collect();
        let is_recent = |key| self.seen.get(key).is_some_and(|seen| distance(now, *seen) < window);
        let is_new = !keys.iter().any(is_recent);
        for key in keys.into_iter().filter(|_| is_new) {
            if self.seen.insert(key, now).is_none() {
                self.order.push_back(key);
            }
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.seen.remove(&oldest);
            }
        }
        is_new
    }
}

/// The time between the two, whichever is first: a clock may have been ahead.
fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

fn key(trace_id: TraceId, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (trace_id.to_bytes(), text).hash(&mut hasher);
    hasher.finish()
}

impl<'a> Exception<'a> {
    fn of_record(record: &'a RecordError) -> Option<Self> {
        let exception = Self::of(&record.span, record.span.events.first()?)?;
        Some(Self { target: Some(&record.target), breadcrumbs: &record.breadcrumbs, ..exception })
    }

    /// The exception of a copy of this one's span, which has its event alone.
    pub(crate) fn of_copy<'b>(&'b self, span: &'b EndedSpan) -> Option<Exception<'b>> {
        let exception = Exception::of(span, span.events.first()?)?;
        let is_handled = self.is_handled;
        Some(Exception { is_handled, target: self.target, breadcrumbs: self.breadcrumbs, ..exception })
    }

    /// Its span, with its event alone.
    pub(crate) fn copy_of_span(&self) -> EndedSpan {
        let mut span = self.span.clone();
        span.data_mut().events.events = vec![self.event.clone()];
        span
    }

    fn of(span: &'a EndedSpan, event: &'a Event) -> Option<Self> {
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
        // Without a type and a text Sentry has nothing to show.
        if value.is_empty() && r#type.is_none() {
            return None;
        }
        let mut causes = texts(attributes, semconv::ERROR_CHAIN).unwrap_or(listed);
        let stack = match texts(attributes, semconv::EXCEPTION_STACKTRACE) {
            // `tracing-opentelemetry` puts the causes into the attribute for the stack trace.
            Some(chain) if causes.is_empty() => {
                causes = chain;
                stack
            }
            _ => text(attributes, semconv::EXCEPTION_STACKTRACE).or(stack),
        };
        causes.truncate(MAX_CAUSES);
        causes.iter_mut().for_each(|cause| *cause = cut(cause, MAX_VALUE));
        let value = cut(value, MAX_VALUE);
        // In the span of a request it may be the HTTP status, which says nothing about an exception.
        let is_type = |r#type: &Cow<'_, str>| r#type.parse::<u16>().is_err();
        let error_type = |attributes: Attributes<'a>| attributes.text(semconv::ERROR_TYPE).filter(is_type);
        let r#type = r#type.or_else(|| error_type(attributes)).or_else(|| error_type(span.attributes()));
        let r#type = r#type.map(|r#type| match r#type {
            Cow::Borrowed(text) => Cow::Borrowed(cut(text, MAX_TYPE)),
            Cow::Owned(text) => Cow::Owned(cut(&text, MAX_TYPE).to_owned()),
        });
        let is_handled = !attributes.is_true(semconv::EXCEPTION_ESCAPED);
        Some(Self { span, event, r#type, value, causes, stack, is_handled, target: None, breadcrumbs: &[] })
    }

    /// Type and message, as Sentry shows them. An ignore list looks for its texts in it.
    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.r#type.as_deref().unwrap_or(UNKNOWN_TYPE), self.value)
    }

    /// The message, and the messages of its causes, the nearest first.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> {
        iter::once(self.value).chain(self.causes.iter().copied())
    }

    /// Merges what another span recorded about the same failure. Returns whether that has more causes.
    fn join(&mut self, other: Self) -> bool {
        let knows_more = other.causes.len() > self.causes.len();
        if knows_more {
            (self.value, self.causes) = (other.value, other.causes);
        }
        self.r#type = self.r#type.take().or(other.r#type);
        self.stack = self.stack.or(other.stack);
        self.is_handled &= other.is_handled;
        if self.breadcrumbs.is_empty() {
            self.breadcrumbs = other.breadcrumbs;
        }
        knows_more
    }

    pub(crate) fn trace_id(&self) -> TraceId {
        self.span.span_context.trace_id()
    }

    /// When it was recorded, in seconds since 1970.
    pub(crate) fn timestamp(&self) -> f64 {
        seconds(self.event.timestamp)
    }

    /// The text of the line that reported it. `None` if no line did.
    pub(crate) fn line(&self) -> Option<&'a str> {
        Some(&*self.event.name).filter(|name| *name != semconv::EXCEPTION)
    }

    /// The lines before it, if a record has reported it.
    pub(crate) const fn breadcrumbs(&self) -> &'a [Arc<Breadcrumb>] {
        self.breadcrumbs
    }

    pub(super) fn level(&self) -> &'static str {
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

/// Removes the quotes that `tracing` prints around an error that is a text.
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
