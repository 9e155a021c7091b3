//! Hexadecimal ids, with exactly the expected number of digits.
//!
//! `from_str_radix` would not do: it also accepts a sign and fewer digits.

use opentelemetry::{SpanId, TraceId};

/// The letters that are accepted as digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "shared with siblings of the same version only")]
pub enum Case {
    /// `a` to `f` only, as W3C demands.
    Lower,
    /// Both cases: some Sentry SDKs send upper case.
    Any,
}

/// Reads a trace id; all zeros is not a valid one.
#[must_use]
pub fn trace_id(text: &str, case: Case) -> Option<TraceId> {
    let id = TraceId::from_bytes(bytes(text, case)?);
    (id != TraceId::INVALID).then_some(id)
}

/// Reads a span id; all zeros is not a valid one.
#[must_use]
pub fn span_id(text: &str, case: Case) -> Option<SpanId> {
    let id = SpanId::from_bytes(bytes(text, case)?);
    (id != SpanId::INVALID).then_some(id)
}

/// Decodes exactly `2 * N` digits.
#[must_use]
pub fn bytes<const N: usize>(text: &str, case: Case) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0], case)? << 4 | digit(pair[1], case)?;
    }
    Some(bytes)
}

/// Writes two lower-case digits for each byte. `digits` is twice as long as `bytes`.
pub fn write(digits: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
}

/// Appends two lower-case digits for each byte.
pub fn push(text: &mut String, bytes: &[u8]) {
    let digits = |byte: &u8| [byte >> 4, byte & 0xf].map(|digit| char::from(DIGITS[usize::from(digit)]));
    text.extend(bytes.iter().flat_map(digits));
}

/// The value of one digit.
#[must_use]
pub fn digit(byte: u8, case: Case) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' if case == Case::Any => Some(byte - b'A' + 10),
        _ => None,
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";
