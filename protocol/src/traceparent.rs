//! The `traceparent` header.

use std::{
    error::Error,
    fmt,
    str::{self, FromStr},
};

use opentelemetry::{SpanId, TraceId};

use crate::__shared::hex::{self, Case};

/// A [W3C `traceparent`] header.
///
/// ```text
/// traceparent = version "-" trace-id "-" parent-id "-" flags    ; 2, 32, 16 and 2 lower-case hex digits
/// ```
///
/// Versions above `00` may have more after the flags, which is ignored; what is printed is always version `00`.
/// Of the flags only the lowest bit, *sampled*, is kept.
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

/// How many characters version `00` has.
const LENGTH: usize = 55;

impl TraceParent {
    /// The name of the header, in lower case.
    pub const HEADER: &'static str = "traceparent";

    /// The name of the header that travels with it, in lower case. Sentry never reads or writes it.
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
        let text = text.trim_matches([' ', '\t']);
        let mut parts = text.splitn(5, '-');
        let version = parts.next().and_then(|part| hex::bytes::<1>(part, Case::Lower));
        let [version] = version.filter(|version| *version != [0xff]).ok_or(Part::Version)?;
        let trace_id = parts.next().and_then(|part| hex::trace_id(part, Case::Lower));
        let span_id = parts.next().and_then(|part| hex::span_id(part, Case::Lower));
        let trace_id = trace_id.ok_or(Part::TraceId)?;
        let span_id = span_id.ok_or(Part::ParentId)?;
        let flags = parts.next().and_then(|part| hex::bytes::<1>(part, Case::Lower));
        let [flags] = flags.ok_or(Part::Flags)?;
        if version == 0 && text.len() != LENGTH {
            return Err(Part::Length.into());
        }
        Ok(Self::new(trace_id, span_id, flags & 1 == 1))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: every request prints one.
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::write(&mut text[3..35], &self.trace_id.to_bytes());
        hex::write(&mut text[36..52], &self.span_id.to_bytes());
        text[54] += u8::from(self.sampled);
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// The text was not a `traceparent` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTraceParent {
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Version,
    TraceId,
    ParentId,
    Flags,
    Length,
}

impl From<Part> for InvalidTraceParent {
    fn from(part: Part) -> Self {
        Self { part }
    }
}

impl fmt::Display for InvalidTraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.part {
            Part::Version => "traceparent: the version must be two lower-case hex digits other than ff",
            Part::TraceId => "traceparent: the trace id must be 32 lower-case hex digits, not all zero",
            Part::ParentId => "traceparent: the parent id must be 16 lower-case hex digits, not all zero",
            Part::Flags => "traceparent: the flags must be two lower-case hex digits",
            Part::Length => "traceparent: version 00 has a length of exactly 55 characters",
        })
    }
}

impl Error for InvalidTraceParent {}
