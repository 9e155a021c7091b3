//! Ids in JSON.

use std::str;

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData};
use serde::{Serialize, Serializer};
use uuid::{Builder, Uuid};

/// A new id of an event. Its randomness is that of trace ids, which exists on all targets that have a tracer.
pub(crate) fn random_id() -> Uuid {
    Builder::from_random_bytes(RandomIdGenerator::default().new_trace_id().to_bytes()).into_uuid()
}

/// An id. It is serialised without an allocation.
#[derive(Debug)]
pub(super) struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    pub(super) const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

pub(super) const fn trace_id(id: TraceId) -> Hex<16> {
    Hex(id.to_bytes())
}

pub(super) const fn span_id(id: SpanId) -> Hex<8> {
    Hex(id.to_bytes())
}

/// The id of a span's parent, if it has one.
pub(super) fn parent_span_id(span: &SpanData) -> Option<Hex<8>> {
    Some(span.parent_span_id).filter(|id| *id != SpanId::INVALID).map(span_id)
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&PAIRS[usize::from(byte)]);
        }
        // Digits are ASCII, so the text is always valid.
        serializer.serialize_str(str::from_utf8(&text[..2 * N]).unwrap_or_default())
    }
}

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (mut pairs, mut byte) = ([[0; 2]; 256], 0);
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};
