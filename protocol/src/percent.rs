//! Percent-encoding as JavaScript's `encodeURIComponent` does it, which is what Sentry's SDKs put into `baggage`.

use std::{borrow::Cow, iter};

use crate::__shared::hex::{self, Case};

/// Appends a text with every character escaped that `encodeURIComponent` escapes.
pub(crate) fn encode(encoded: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !is_unreserved(byte)) {
        encoded.push_str(&rest[..at]);
        // Escape whole characters, so that the slice stays on a character boundary.
        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
        for byte in rest[at..at + width].bytes() {
            let digits = [byte >> 4, byte & 0xf].map(|digit| char::from(DIGITS[usize::from(digit)]));
            encoded.extend(['%', digits[0], digits[1]]);
        }
        rest = &rest[at + width..];
    }
    encoded.push_str(rest);
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Decodes a text; `None` unless every `%` is followed by two digits and the result is UTF-8. A `+` stays a `+`.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !is_escaped(text) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    for byte in bytes(text) {
        decoded.push(byte?);
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Whether a text can be decoded. Allocates only if an escape is not ASCII.
pub(crate) fn is_valid(text: &str) -> bool {
    !is_escaped(text) || bytes(text).all(|byte| byte.is_some_and(|byte| byte.is_ascii())) || decode(text).is_some()
}

/// Whether two valid texts are the same when decoded. It allocates nothing: a hostile header may have thousands of keys,
/// each of which is compared with many others.
pub(crate) fn is_same(text: &str, other: &str) -> bool {
    bytes(text).eq(bytes(other))
}

fn is_escaped(text: &str) -> bool {
    // `any` would stop at the first match, and therefore look at one byte at a time. This is vectorised.
    text.bytes().fold(false, |escaped, byte| escaped | (byte == b'%'))
}

/// The decoded bytes; `None` for a `%` without its two digits.
fn bytes(text: &str) -> impl Iterator<Item = Option<u8>> {
    let mut rest = text.bytes();
    iter::from_fn(move || match rest.next()? {
        b'%' => {
            let mut digit = || hex::digit(rest.next()?, Case::Any);
            Some(digit().and_then(|high| Some(high << 4 | digit()?)))
        }
        byte => Some(Some(byte)),
    })
}

fn is_unreserved(byte: u8) -> bool {
    UNRESERVED[usize::from(byte)]
}

/// The letters, the digits and `-_.!~*'()`.
const UNRESERVED: [bool; 256] = {
    let mut unreserved = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        unreserved[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')');
        byte += 1;
    }
    unreserved
};
