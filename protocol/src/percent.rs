//! Percent-encoding as JavaScript's `encodeURIComponent` does it, which is what Sentry's SDKs put into `baggage`.

use std::{borrow::Cow, fmt};

use crate::hex::{self, Case};

/// Prints a text with everything escaped that `encodeURIComponent` escapes.
pub(crate) struct Encoded<'a>(pub(crate) &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.bytes().position(|byte| !is_unreserved(byte)) {
            f.write_str(&rest[..at])?;
            // Escape whole characters, so that the slice stays on a character boundary.
            let width = rest[at..].chars().next().map_or(1, char::len_utf8);
            for byte in rest[at..at + width].bytes() {
                write!(f, "%{byte:02X}")?;
            }
            rest = &rest[at + width..];
        }
        f.write_str(rest)
    }
}

/// Decodes strictly: every `%` is followed by two digits and the result is UTF-8. A `+` stays a `+`.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let (&[high, low], tail) = tail.split_first_chunk()?;
            bytes.push(hex::digit(high, Case::Any)? << 4 | hex::digit(low, Case::Any)?);
            rest = tail;
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}
