//! The error for bytes that are not an envelope.

use std::{error, fmt};

/// The bytes are not an envelope. Displayed as the line, the part and what was expected there.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidEnvelope {
    line: usize,
    part: Part,
    expected: String,
}

impl InvalidEnvelope {
    pub(super) fn new(line: usize, part: Part, expected: impl Into<String>) -> Self {
        let expected = expected.into();
        Self { line, part, expected }
    }
}

impl fmt::Display for InvalidEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, ", self.line)?;
        match self.part {
            Part::Headers => write!(f, "envelope headers")?,
            Part::ItemHeaders(number) => write!(f, "headers of item {number}")?,
            Part::Payload(number) => write!(f, "payload of item {number}")?,
        }
        write!(f, ": expected {}", self.expected)
    }
}

impl fmt::Debug for InvalidEnvelope {
    /// Prints the message: a test that unwraps the error prints it through `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for InvalidEnvelope {}

/// The part of an envelope that is wrong. Items are counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Headers,
    ItemHeaders(usize),
    Payload(usize),
}
