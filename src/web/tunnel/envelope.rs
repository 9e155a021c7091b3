//! What is read of an envelope: its first line, and how long it is.

use http::{Method, header::CONTENT_ENCODING, request::Parts};
use opentelemetry_http::Bytes;
use opentelemetry_sentry_protocol::Dsn;
use serde::Deserialize;

use super::refusal::Refusal;

/// The most bytes of the first line: twice what a dynamic sampling context can have, the longest thing in there.
const MAX_HEADER: usize = 16 << 10;

/// Refuses what can be refused before anything is read.
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

/// As much as has come in of an envelope.
pub(super) struct Collected {
    bytes: Vec<u8>,
    max: usize,
    /// How many bytes are known to have no end of line.
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

    /// The first line, if all of it is there.
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

/// The DSN in an envelope's header. One that is there twice is none: who reads it next may take the other.
pub(super) fn dsn(header: &[u8]) -> Result<Dsn, Refusal> {
    // An array would do as well for serde.
    if header.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::Header);
    }
    let header: Header = serde_json::from_slice(header).map_err(|_| Refusal::Header)?;
    header.dsn.parse().map_err(|_| Refusal::Header)
}
