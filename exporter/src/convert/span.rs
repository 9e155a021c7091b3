//! Every span of a transaction but its root: an entry of `spans`.

use std::borrow::Cow;

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_protocol::{
    describe::{Attributes, Description, cut, describe},
    semconv,
};
use serde::{Serialize, Serializer};

use super::{
    Times,
    data::{Data, RootData},
    link::Links,
    measurement::Measurements,
    status::{http_status, status, status_message},
};

/// Who made the span, for Sentry: an OpenTelemetry instrumentation.
const ORIGIN: &str = "auto.otel";

/// The longest op and the longest origin that Sentry takes, in characters.
const MAX_WORD: usize = 128;

/// The fields that a root, in `contexts.trace`, and every other span have in common.
#[derive(Debug, Serialize)]
pub(crate) struct SpanFields<'a> {
    trace_id: Hex<16>,
    span_id: Hex<8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<Hex<8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'a str>,
    status: &'static str,
    origin: &'a str,
    data: Data<'a>,
    #[serde(skip_serializing_if = "Links::is_empty")]
    links: Links<'a>,
}

impl<'a> SpanFields<'a> {
    pub(crate) fn new(
        span: &'a SpanData,
        description: &'a Description<'a>,
        origin: &'a str,
        root: Option<RootData>,
    ) -> Self {
        let attributes = Attributes::new(&span.attributes);
        let op = op(description);
        Self {
            trace_id: trace_id(span.span_context.trace_id()),
            span_id: span_id(span.span_context.span_id()),
            parent_span_id: parent_span_id(span),
            op,
            status: status(&span.status, attributes),
            origin,
            data: Data {
                span,
                op,
                origin,
                http_status: http_status(attributes),
                status_message: status_message(&span.status),
                root,
            },
            links: Links(&span.links),
        }
    }
}

/// All spans of a transaction but its root.
#[derive(Debug)]
pub(crate) struct Spans<'a> {
    pub(crate) spans: &'a [SpanData],
    pub(crate) times: Times,
}

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.spans.iter().map(|span| Child { span, times: self.times }))
    }
}

struct Child<'a> {
    span: &'a SpanData,
    times: Times,
}

#[derive(Serialize)]
struct ChildFields<'a> {
    #[serde(flatten)]
    fields: SpanFields<'a>,
    description: &'a str,
    start_timestamp: f64,
    timestamp: f64,
    #[serde(skip_serializing_if = "Measurements::is_empty")]
    measurements: Measurements<'a>,
}

impl Serialize for Child<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { span, times } = self;
        let description = describe(&span.name, &span.span_kind, &span.attributes);
        let origin = origin(span);
        let (start_timestamp, timestamp) = times.of(span);
        let fields = SpanFields::new(span, &description, &origin, None);
        let measurements = Measurements::of_child(span);
        ChildFields { fields, description: &description.name, start_timestamp, timestamp, measurements }
            .serialize(serializer)
    }
}

/// The op, no longer than Sentry takes it.
pub(super) fn op<'a>(description: &'a Description<'_>) -> Option<&'a str> {
    description.op.as_deref().map(|op| cut(op, MAX_WORD))
}

/// The origin, which may have no other characters than these.
pub(super) fn origin(span: &SpanData) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    match Attributes::new(&span.attributes).text(semconv::SENTRY_ORIGIN) {
        None => ORIGIN.into(),
        Some(origin) if origin.chars().all(allowed) && origin.len() <= MAX_WORD => origin,
        Some(origin) => cut(&origin, MAX_WORD).replace(|c| !allowed(c), "_").into(),
    }
}

pub(super) fn parent_span_id(span: &SpanData) -> Option<Hex<8>> {
    Some(span.parent_span_id).filter(|id| *id != SpanId::INVALID).map(span_id)
}

pub(super) const fn trace_id(id: TraceId) -> Hex<16> {
    Hex(id.to_bytes())
}

pub(super) const fn span_id(id: SpanId) -> Hex<8> {
    Hex(id.to_bytes())
}

/// An id, printed without a detour through a `String`.
#[derive(Debug)]
pub(super) struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        serializer.serialize_str(std::str::from_utf8(&digits[..2 * N]).unwrap_or_default())
    }
}
