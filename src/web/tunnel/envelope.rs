//! Checks the head of a request, the length of its envelope, and the DSN in the envelope's first line.

use http::{Method, header::CONTENT_ENCODING, request::Parts};
use opentelemetry_http::Bytes;
use opentelemetry_sentry_protocol::Dsn;
use serde::Deserialize;

use super::refusal::Refusal;

/// The most bytes of the first line: twice the longest dynamic sampling context, which is the longest part of it.
const MAX_HEADER: usize = 16 << 10;

/// Refuses requests that can be judged before their body is read.
pub(super) fn check_head(head: &Parts) -> Result<(), Refusal> {
    if head.method != Method::POST {
        return Err(Refusal::Method);
    }
    let is_plain = |encoding: &http::HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(Refusal::Compressed);
    }
    Ok(())
}

/// The part of an envelope that has arrived.
pub(super) struct Collected {
    bytes: Vec<u8>,
    max: usize,
    /// How many bytes were searched for the end of the first line. Without this, a body that arrives byte by byte would be
    /// searched again each time.
    searched: usize,
}

impl Collected {
    pub(super) const fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, searched: 0 }
    }

    pub(super) fn push(&mut self, data: Bytes) -> Result<(), Refusal> {
        if data.len() > self.max - self.bytes.len() {
            return Err(Refusal::TooLarge);
        }
        self.bytes.extend_from_slice(&data);
        Ok(())
    }

    /// The first line, if it has arrived.
    pub(super) fn header(&mut self) -> Result<Option<&[u8]>, Refusal> {
        let line = self.bytes.iter().skip(self.searched).position(|byte| *byte == b'\n');
        match line.map(|end| self.searched + end) {
            Some(end) if end <= MAX_HEADER => Ok(self.bytes.get(..end)),
            None if self.bytes.len() <= MAX_HEADER => {
                self.searched = self.bytes.len();
                Ok(None)
            }
            _ => Err(Refusal::Header),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
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
