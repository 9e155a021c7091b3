//! The `sentry-trace` header.

use std::{
    error::Error,
    fmt,
    str::{self, FromStr},
};

use opentelemetry::{SpanId, TraceId};

use crate::__shared::hex::{self, Case};

/// A [`sentry-trace`] header: the span that a trace continues from.
///
/// ```text
/// sentry-trace = trace-id "-" span-id [ "-" [ "0" / "1" ] ]     ; 32 and 16 hex digits, not all zero
/// ```
///
/// The third part is the sampling decision of the sender. It can be missing,
/// which is not the same as "no": the receiver is then free to decide.
///
/// Upper-case digits and white space around the header are accepted and not printed again. Of several values in one
/// line, as proxies join them with `,`, the first one counts.
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

    /// Makes a header from its parts; `sampled` is `None` when no decision was made yet.
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

    /// The sender's decision; `None` when it left the decision to the receiver.
    #[must_use]
    pub const fn sampled(&self) -> Option<bool> {
        self.sampled
    }
}

impl FromStr for SentryTrace {
    type Err = InvalidSentryTrace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.split(',').map(trim).find(|part| !part.is_empty());
        let mut parts = first.unwrap_or_default().split('-');
        let trace_id = parts.next().and_then(|part| hex::trace_id(part, Case::Any));
        let span_id = parts.next().and_then(|part| hex::span_id(part, Case::Any));
        let sampled = match (parts.next(), parts.next()) {
            (None | Some(""), None) => Some(None),
            (Some("0"), None) => Some(Some(false)),
            (Some("1"), None) => Some(Some(true)),
            _ => None,
        };
        Ok(Self {
            trace_id: trace_id.ok_or(InvalidSentryTrace::new(Part::TraceId))?,
            span_id: span_id.ok_or(InvalidSentryTrace::new(Part::SpanId))?,
            sampled: sampled.ok_or(InvalidSentryTrace::new(Part::Sampled))?,
        })
    }
}

impl fmt::Display for SentryTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: every request prints one.
        let mut text = *b"00000000000000000000000000000000-0000000000000000-0";
        hex::write(&mut text[..32], &self.trace_id.to_bytes());
        hex::write(&mut text[33..49], &self.span_id.to_bytes());
        text[50] += u8::from(self.sampled == Some(true));
        let length = if self.sampled.is_some() { 51 } else { 49 };
        f.write_str(str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

/// The text was not a `sentry-trace` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSentryTrace {
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    TraceId,
    SpanId,
    Sampled,
}

impl InvalidSentryTrace {
    const fn new(part: Part) -> Self {
        Self { part }
    }
}

impl fmt::Display for InvalidSentryTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.part {
            Part::TraceId => "sentry-trace: the trace id must be 32 hex digits, not all zero",
            Part::SpanId => "sentry-trace: the span id must be 16 hex digits, not all zero",
            Part::Sampled => "sentry-trace: the sampling flag must be 0, 1 or missing",
        })
    }
}

impl Error for InvalidSentryTrace {}

/// Trims what HTTP calls optional white space: not line ends.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
