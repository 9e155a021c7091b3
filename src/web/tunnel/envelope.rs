//! Checks the head of a request, the length of its envelope, and the DSN in the envelope's first line.

use std::borrow::Cow;

use http::{Method, request::Parts};
use opentelemetry_http::Bytes;
use opentelemetry_sentry_protocol::Dsn;
use serde::Deserialize;

use super::{
    encoding::{Encoding, Line},
    refusal::Refusal,
};

/// The most bytes of the first line: twice the longest dynamic sampling context, which is the longest part of it.
const MAX_HEADER: usize = 16 << 10;

/// When the first line is looked for in a compressed envelope, in bytes; then each time that twice as many have arrived.
const FIRST_LOOK: usize = 1 << 10;

/// Refuses requests that can be judged before their body is read. Returns the encoding of the body.
pub(super) fn check_head(head: &Parts) -> Result<Encoding, Refusal> {
    if head.method != Method::POST {
        return Err(Refusal::Method);
    }
    Encoding::of(&head.headers).ok_or(Refusal::Encoding)
}

/// The part of an envelope that has arrived.
pub(super) struct Collected {
    bytes: Vec<u8>,
    max: usize,
    encoding: Encoding,
    /// For a compressed envelope: when the first line is looked for next, in bytes. Each look begins at the start, so
    /// looking at every piece of a slow body would take long.
    next_look: usize,
    /// How many bytes were searched for the end of the first line. Without this, a body that arrives byte by byte would be
    /// searched again each time.
    searched: usize,
}

impl Collected {
    pub(super) const fn new(max: usize, encoding: Encoding) -> Self {
        Self { bytes: Vec::new(), max, encoding, next_look: FIRST_LOOK, searched: 0 }
    }

    pub(super) fn push(&mut self, data: Bytes) -> Result<(), Refusal> {
        if data.len() > self.max - self.bytes.len() {
            return Err(Refusal::TooLarge);
        }
        self.bytes.extend_from_slice(&data);
        Ok(())
    }

    /// The first line, if it has arrived.
    pub(super) fn header(&mut self) -> Result<Option<Cow<'_, [u8]>>, Refusal> {
        if self.encoding != Encoding::Identity {
            return self.compressed_header();
        }
        let line = self.bytes.iter().skip(self.searched).position(|byte| *byte == b'\n');
        match line.map(|end| self.searched + end) {
            Some(end) if end <= MAX_HEADER => Ok(self.bytes.get(..end).map(Cow::Borrowed)),
            None if self.bytes.len() <= MAX_HEADER => {
                self.searched = self.bytes.len();
                Ok(None)
            }
            _ => Err(Refusal::Header),
        }
    }

    fn compressed_header(&mut self) -> Result<Option<Cow<'_, [u8]>>, Refusal> {
        if self.bytes.len() < self.next_look {
            return Ok(None);
        }
        self.next_look = 2 * self.bytes.len();
        match self.encoding.first_line(&self.bytes, MAX_HEADER) {
            Line::Complete(line) => Ok(Some(line.into())),
            Line::TooLong => Err(Refusal::Header),
            // A line of the longest length needs fewer bytes.
            Line::Incomplete if self.bytes.len() > 4 * MAX_HEADER => Err(Refusal::Header),
            Line::Incomplete => Ok(None),
        }
    }

    /// The first line of an envelope that has arrived as a whole.
    pub(super) fn last_header(&self) -> Result<Cow<'_, [u8]>, Refusal> {
        match self.encoding {
            Encoding::Identity => Ok(self.bytes.as_slice().into()),
            encoding => match encoding.first_line(&self.bytes, MAX_HEADER) {
                Line::Complete(line) => Ok(line.into()),
                Line::Incomplete | Line::TooLong => Err(Refusal::Header),
            },
        }
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }
}

#[derive(Deserialize)]
struct Header {
    dsn: String,
}

/// The DSN in an envelope's header. Duplicate `dsn` keys are refused: Sentry's parser could pick the other one.
pub(super) fn dsn(header: &[u8]) -> Result<Dsn, Refusal> {
    // Serde would also read the fields from an array.
    if header.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::Header);
    }
    let header: Header = serde_json::from_slice(header).map_err(|_| Refusal::Header)?;
    header.dsn.parse().map_err(|_| Refusal::Header)
}
