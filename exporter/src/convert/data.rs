//! The `data` of a span. The rules are in the guide, page `mapping`, section "Data".

use std::borrow::Cow;

use opentelemetry::{Array, KeyValue, Value, trace::SpanKind};
use opentelemetry_sentry_semantics::{Attributes, Keys, sanitize_url, semconv};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::span::Span;

/// Marks a transaction whose parent had been sent before it ended.
const PARENT_ALREADY_SENT: &str = "sentry.parent_span_already_sent";

/// The kind of a span.
const OTEL_KIND: &str = "otel.kind";

/// The `data` of a span: what was inferred, then its attributes.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    pub(crate) span: Span<'a>,
    pub(crate) op: Option<&'a str>,
    pub(crate) origin: &'a str,
    pub(crate) http_status: Option<i64>,
    /// What the status says beside its word.
    pub(crate) status_message: &'a str,
    /// What only a transaction has.
    pub(crate) root: Option<RootData>,
}

/// The `data` that only a transaction has.
#[derive(Debug)]
pub(crate) struct RootData {
    pub(crate) source: &'static str,
    pub(crate) sample_rate: Option<f64>,
    pub(crate) parent_already_sent: bool,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let url = Url::of(self.span.attributes);
        self.serialize_inferred(&mut map, url.as_ref())?;
        let has = |part: fn(&Url<'_>) -> bool| url.as_ref().is_some_and(part);
        let is_inferred = |key: &str| match key {
            semconv::HTTP_RESPONSE_STATUS_CODE => self.http_status.is_some(),
            semconv::SENTRY_URL => url.is_some(),
            semconv::SENTRY_HTTP_QUERY => has(|url| !url.query.is_empty()),
            semconv::SENTRY_HTTP_FRAGMENT => has(|url| !url.fragment.is_empty()),
            semconv::SENTRY_SOURCE => self.root.is_some(),
            semconv::SENTRY_STATUS_MESSAGE => !self.status_message.is_empty(),
            OTEL_KIND => self.span.data.span_kind != SpanKind::Internal,
            key => OURS.contains(&key),
        };
        let is_kept = |key: &str| !OURS_OR_INFERRED.may_have(key) || !is_inferred(key);
        for attribute in self.span.attributes.unique().filter(|attribute| is_kept(attribute.key.as_str())) {
            map.serialize_entry(attribute.key.as_str(), &Plain(&attribute.value))?;
        }
        map.end()
    }
}

impl Data<'_> {
    fn serialize_inferred<M: SerializeMap>(&self, map: &mut M, url: Option<&Url<'_>>) -> Result<(), M::Error> {
        if let Some(op) = self.op {
            map.serialize_entry(semconv::SENTRY_OP, op)?;
        }
        map.serialize_entry(semconv::SENTRY_ORIGIN, self.origin)?;
        if let Some(root) = &self.root {
            map.serialize_entry(semconv::SENTRY_SOURCE, root.source)?;
            if let Some(rate) = root.sample_rate {
                map.serialize_entry(semconv::SENTRY_SAMPLE_RATE, &rate)?;
            }
            if root.parent_already_sent {
                map.serialize_entry(PARENT_ALREADY_SENT, &true)?;
            }
        }
        if let Some(kind) = kind_word(&self.span.data.span_kind) {
            map.serialize_entry(OTEL_KIND, kind)?;
        }
        if let Some(status) = self.http_status {
            map.serialize_entry(semconv::HTTP_RESPONSE_STATUS_CODE, &status)?;
        }
        if let Some(Url { url, query, fragment }) = url {
            map.serialize_entry(semconv::SENTRY_URL, url)?;
            for (key, part) in [(semconv::SENTRY_HTTP_QUERY, query), (semconv::SENTRY_HTTP_FRAGMENT, fragment)] {
                if !part.is_empty() {
                    map.serialize_entry(key, part)?;
                }
            }
        }
        let scope = &self.span.data.instrumentation_scope;
        for (key, text) in [
            (semconv::SENTRY_STATUS_MESSAGE, self.status_message),
            (semconv::OTEL_SCOPE_NAME, scope.name()),
            (semconv::OTEL_SCOPE_VERSION, scope.version().unwrap_or_default()),
        ] {
            if !text.is_empty() {
                map.serialize_entry(key, text)?;
            }
        }
        for (key, count) in [
            (semconv::OTEL_DROPPED_ATTRIBUTES_COUNT, self.span.data.dropped_attributes_count),
            (semconv::OTEL_DROPPED_EVENTS_COUNT, self.span.data.events.dropped_count),
            (semconv::OTEL_DROPPED_LINKS_COUNT, self.span.data.links.dropped_count),
        ] {
            if count > 0 {
                map.serialize_entry(key, &count)?;
            }
        }
        Ok(())
    }
}

/// Attributes that are not sent as they are: for us alone, in the place of what we inferred, or headers that say what
/// the trace says.
pub(super) const OURS: [&str; 19] = [
    semconv::DSC_FROZEN,
    semconv::DSC_SAMPLE_RAND,
    semconv::DSC_TRANSACTION,
    semconv::NOT_SAMPLED,
    semconv::SENTRY_CUSTOM_SPAN_NAME,
    semconv::SENTRY_OP,
    semconv::SENTRY_ORIGIN,
    semconv::SENTRY_SAMPLE_RATE,
    semconv::OTEL_SCOPE_NAME,
    semconv::OTEL_SCOPE_VERSION,
    semconv::OTEL_DROPPED_ATTRIBUTES_COUNT,
    semconv::OTEL_DROPPED_EVENTS_COUNT,
    semconv::OTEL_DROPPED_LINKS_COUNT,
    PARENT_ALREADY_SENT,
    "http.request.header.sentry-trace",
    "http.request.header.baggage",
    "http.request.header.traceparent",
    "http.request.header.tracestate",
    "http.response.header.server-timing",
];

/// They and those that are not sent where we inferred the same.
const OURS_OR_INFERRED: Keys = Keys::of(&OURS)
    .with(semconv::HTTP_RESPONSE_STATUS_CODE)
    .with(semconv::SENTRY_URL)
    .with(semconv::SENTRY_HTTP_QUERY)
    .with(semconv::SENTRY_HTTP_FRAGMENT)
    .with(semconv::SENTRY_SOURCE)
    .with(semconv::SENTRY_STATUS_MESSAGE)
    .with(OTEL_KIND);

/// The URL of a request, in the parts that JavaScript's SDK sends.
struct Url<'a> {
    url: Cow<'a, str>,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Url<'a> {
    fn of(attributes: Attributes<'a>) -> Option<Self> {
        let text = |key| match attributes.get(key) {
            Some(Value::String(text)) if !text.as_str().is_empty() => Some(text.as_str()),
            _ => None,
        };
        let whole = text(semconv::HTTP_URL).or_else(|| text(semconv::URL_FULL))?;
        let (rest, fragment) = whole.split_once('#').unwrap_or((whole, ""));
        let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
        Some(Self { url: sanitize_url(whole), query, fragment })
    }
}

/// Attributes as a JSON object.
#[derive(Debug)]
pub(crate) struct AttributeMap<'a>(Attributes<'a>);

impl<'a> AttributeMap<'a> {
    pub(crate) fn new(attributes: &'a [KeyValue]) -> Self {
        Self(Attributes::new(attributes))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for AttributeMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.unique().map(|attribute| (attribute.key.as_str(), Plain(&attribute.value))))
    }
}

/// The kind as JavaScript's SDK writes it; an internal span says nothing.
const fn kind_word(kind: &SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Client => Some("CLIENT"),
        SpanKind::Server => Some("SERVER"),
        SpanKind::Producer => Some("PRODUCER"),
        SpanKind::Consumer => Some("CONSUMER"),
        SpanKind::Internal => None,
    }
}

/// The value of an attribute as text; the parts of a list are joined by commas.
pub(crate) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Array(Array::String(texts)) => {
            texts.iter().map(|text| text.as_str()).collect::<Vec<_>>().join(", ").into()
        }
        value => value.as_str(),
    }
}

/// An OpenTelemetry value as JSON.
#[derive(Debug)]
pub(crate) struct Plain<'a>(pub(crate) &'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I64(value) => serializer.serialize_i64(*value),
            Value::F64(value) => Float(*value).serialize(serializer),
            Value::String(text) => serializer.serialize_str(text.as_str()),
            Value::Array(Array::Bool(values)) => serializer.collect_seq(values),
            Value::Array(Array::I64(values)) => serializer.collect_seq(values),
            Value::Array(Array::F64(values)) => serializer.collect_seq(values.iter().map(|value| Float(*value))),
            Value::Array(Array::String(values)) => serializer.collect_seq(values.iter().map(|text| text.as_str())),
            // The types are open to additions; text loses nothing.
            other => serializer.collect_str(other),
        }
    }
}

/// JSON has no word for infinities and NaN; as text they are at least seen.
struct Float(f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}
