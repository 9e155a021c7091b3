//! The `sentry-trace` header.

use std::{
    error::Error,
    fmt,
    str::{self, FromStr},
};

use opentelemetry::{SpanId, TraceId};

use crate::{
    __shared::hex::{self, Case},
    found::Found,
    header::trim,
};

/// A [`sentry-trace`] header: the span that a trace continues from.
///
/// ```text
/// sentry-trace = trace-id "-" span-id [ "-" [ "0" / "1" ] ]     ; 32 and 16 hex digits, not all zero
/// ```
///
/// The third part is the sender's sampling decision. If it is missing, that does not mean "no": the receiver decides.
///
/// Upper-case digits and white space around the header are accepted; printing gives the normal form. If one line has
/// several values, which proxies join with `,`, the first one counts.
///
/// ```
/// use opentelemetry_sentry_protocol::SentryTrace;
///
/// let header: SentryTrace = "771A43A4192642F0B136D5159A501700-7C7C2E6C5E1C4B0A".parse()?;
/// assert_eq!(header.sampled(), None);
/// assert_eq!(header.to_string(), "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a");
/// # Ok::<(), opentelemetry_sentry_protocol::InvalidSentryTrace>(())
/// ```
///
/// [`sentry-trace`]: https://develop.sentry.dev/sdk/telemetry/traces/distributed-tracing/#sentry-trace
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentryTrace {
    trace_id: TraceId,
    span_id: SpanId,
    sampled: Option<bool>,
}

impl SentryTrace {
    /// The name of the header, in lower case.
    pub const HEADER: &'static str = "sentry-trace";

    /// Makes a header from its parts; `sampled` is `None` if no decision was made yet.
    #[must_use]
    pub const fn new(trace_id: TraceId, span_id: SpanId, sampled: Option<bool>) -> Self {
        Self { trace_id, span_id, sampled }
    }

    /// The trace that is continued.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The span that becomes the parent.
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// The sender's decision; `None` if it left the decision to the receiver.
    #[must_use]
    pub const fn sampled(&self) -> Option<bool> {
        self.sampled
    }
}

impl FromStr for SentryTrace {
    type Err = InvalidSentryTrace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.split(',').map(trim).find(|part| !part.is_empty());
        // Everything after the second dash is the flag, so a fourth part makes it invalid.
        let mut parts = first.unwrap_or_default().splitn(3, '-');
        let mut next = || parts.next().unwrap_or_default();
        Ok(Self {
            trace_id: expect(Part::TraceId, next(), |text| hex::trace_id(text, Case::Any))?,
            span_id: expect(Part::SpanId, next(), |text| hex::span_id(text, Case::Any))?,
            sampled: expect(Part::Sampled, next(), flag)?,
        })
    }
}

impl fmt::Display for SentryTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written at once and not part by part: this runs for every outgoing request.
        let mut text = *b"00000000000000000000000000000000-0000000000000000-0";
        hex::write(&mut text[..32], &self.trace_id.to_bytes());
        hex::write(&mut text[33..49], &self.span_id.to_bytes());
        text[50] += u8::from(self.sampled == Some(true));
        let length = if self.sampled.is_some() { 51 } else { 49 };
        f.write_str(str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

/// The text was not a `sentry-trace` header. The message names the part, what was expected and what was found.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidSentryTrace {
    part: Part,
    found: Found,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    TraceId,
    SpanId,
    Sampled,
}

impl fmt::Display for InvalidSentryTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self.part {
            Part::TraceId => "sentry-trace: the trace id must be 32 hex digits, not all zero",
            Part::SpanId => "sentry-trace: the span id must be 16 hex digits, not all zero",
            Part::Sampled => "sentry-trace: the sampling flag must be 0, 1 or missing",
        };
        write!(f, "{expected}, found {}", self.found)
    }
}

crate::__shared::debug_as_message!(InvalidSentryTrace);

impl Error for InvalidSentryTrace {}

/// Reads one part of the header.
fn expect<T>(part: Part, text: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, InvalidSentryTrace> {
    read(text).ok_or_else(|| InvalidSentryTrace { part, found: Found::text(text) })
}

/// The sampling flag, which may be missing.
fn flag(text: &str) -> Option<Option<bool>> {
    match text {
        "" => Some(None),
        "0" => Some(Some(false)),
        "1" => Some(Some(true)),
        _ => None,
    }
}
