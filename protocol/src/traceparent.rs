//! The `traceparent` header.

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

/// A [W3C `traceparent`] header.
///
/// ```text
/// traceparent = version "-" trace-id "-" parent-id "-" flags    ; 2, 32, 16 and 2 lower-case hex digits
/// ```
///
/// Versions above `00` may have more parts after the flags; they are ignored. Printing always gives version `00`.
/// Only the lowest flag, *sampled*, is kept.
///
/// ```
/// use opentelemetry_sentry_protocol::TraceParent;
///
/// let header: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03".parse()?;
/// assert!(header.is_sampled());
/// assert_eq!(header.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// # Ok::<(), opentelemetry_sentry_protocol::InvalidTraceParent>(())
/// ```
///
/// [W3C `traceparent`]: https://www.w3.org/TR/trace-context-2/#traceparent-header
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: TraceId,
    span_id: SpanId,
    sampled: bool,
}

/// The length of a header of version `00`.
const LENGTH: usize = 55;

impl TraceParent {
    /// The name of the header, in lower case.
    pub const HEADER: &'static str = "traceparent";

    /// The name of the header that accompanies it, in lower case. Of its content only OpenTelemetry's `ot` is read and, by a
    /// sampler, changed.
    pub const STATE_HEADER: &'static str = "tracestate";

    /// Makes a header from its parts.
    #[must_use]
    pub const fn new(trace_id: TraceId, span_id: SpanId, sampled: bool) -> Self {
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

    /// The *sampled* bit.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = trim(text);
        let mut parts = text.splitn(5, '-');
        let mut next = || parts.next().unwrap_or_default();
        let [version] = expect(Part::Version, next(), version)?;
        let trace_id = expect(Part::TraceId, next(), |text| hex::trace_id(text, Case::Lower))?;
        let span_id = expect(Part::ParentId, next(), |text| hex::span_id(text, Case::Lower))?;
        let [flags] = expect(Part::Flags, next(), |text| hex::bytes(text, Case::Lower))?;
        if version == 0 && text.len() != LENGTH {
            return Err(InvalidTraceParent { part: Part::Length, found: Found::number(text.len()) });
        }
        Ok(Self::new(trace_id, span_id, flags & 1 == 1))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written at once and not part by part: this runs for every outgoing request.
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::write(&mut text[3..35], &self.trace_id.to_bytes());
        hex::write(&mut text[36..52], &self.span_id.to_bytes());
        text[54] += u8::from(self.sampled);
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// The text was not a `traceparent` header. The message names the part, what was expected and what was found.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidTraceParent {
    part: Part,
    found: Found,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Version,
    TraceId,
    ParentId,
    Flags,
    Length,
}

impl fmt::Display for InvalidTraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self.part {
            Part::Version => "traceparent: the version must be two lower-case hex digits other than ff",
            Part::TraceId => "traceparent: the trace id must be 32 lower-case hex digits, not all zero",
            Part::ParentId => "traceparent: the parent id must be 16 lower-case hex digits, not all zero",
            Part::Flags => "traceparent: the flags must be two lower-case hex digits",
            Part::Length => "traceparent: the length of version 00 must be 55 characters",
        };
        write!(f, "{expected}, found {}", self.found)
    }
}

crate::__shared::debug_as_message!(InvalidTraceParent);

impl Error for InvalidTraceParent {}

/// Reads one part of the header.
fn expect<T>(part: Part, text: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, InvalidTraceParent> {
    read(text).ok_or_else(|| InvalidTraceParent { part, found: Found::text(text) })
}

/// The version; `ff` is reserved as invalid.
fn version(text: &str) -> Option<[u8; 1]> {
    hex::bytes(text, Case::Lower).filter(|version| *version != [0xff])
}
