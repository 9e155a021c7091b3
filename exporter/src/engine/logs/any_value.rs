//! Values of log records as texts. Values may be nested, and have any size.

use std::str;

use opentelemetry::{Key, logs::AnyValue};

use crate::account::Trimmed;

/// The depth of lists and maps below which values are left out. Sentry shows less, and recursion must end.
const MAX_DEPTH: usize = 32;

/// A value as a text of at most `max` bytes, and what was cut: a text as it is, bytes as the text that they are or else in
/// base64, lists and maps as compact JSON with sorted keys.
pub(super) fn text_of(value: &AnyValue, max: usize) -> (String, Trimmed) {
    let mut page = Page { text: String::new(), max, cut: Trimmed::default() };
    match value {
        AnyValue::String(string) => page.push(string.as_str()),
        AnyValue::Bytes(bytes) => page.push_bytes(bytes, Page::push),
        AnyValue::Double(number) => page.push(&number.to_string()),
        other => page.push_json(other, MAX_DEPTH),
    }
    (page.text, page.cut)
}

/// `str::floor_char_boundary`, which the oldest supported Rust does not have.
trait FloorCharBoundary {
    fn floor_char_boundary_of(&self, max: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_of(&self, max: usize) -> usize {
        if self.len() <= max {
            return self.len();
        }
        (0..=max).rev().find(|end| self.is_char_boundary(*end)).unwrap_or(0)
    }
}

/// The beginning of a text, of at most `max` bytes.
pub(super) fn cut_bytes(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary_of(max)]
}

/// A text that grows to a limit. What comes after that is counted.
struct Page {
    text: String,
    max: usize,
    cut: Trimmed,
}

impl Page {
    fn push(&mut self, text: &str) {
        let part = cut_bytes(text, self.left());
        self.text.push_str(part);
        self.lose(text.len() - part.len());
    }

    /// None after the first byte that did not fit: what follows would have a gap before it.
    fn left(&self) -> usize {
        if self.cut.bytes > 0 { 0 } else { self.max - self.text.len() }
    }

    fn lose(&mut self, bytes: usize) {
        if bytes > 0 {
            self.cut.values = self.cut.values.max(1);
            self.cut.bytes += bytes as u64;
        }
    }

    fn push_json(&mut self, value: &AnyValue, depth: usize) {
        match value {
            AnyValue::Boolean(flag) => self.push(if *flag { "true" } else { "false" }),
            AnyValue::Int(number) => self.push(&number.to_string()),
            AnyValue::Double(number) => self.push(&serde_json::json!(number).to_string()),
            AnyValue::String(string) => self.push_quoted(string.as_str()),
            AnyValue::Bytes(bytes) => self.push_bytes(bytes, Self::push_quoted),
            AnyValue::ListAny(_) | AnyValue::Map(_) if depth == 0 => {
                self.push("null");
                self.cut.values += 1;
            }
            AnyValue::ListAny(values) => {
                self.push_all(['[', ']'], values.iter(), |page, value| page.push_json(value, depth - 1));
            }
            AnyValue::Map(values) => {
                let mut entries: Vec<(&Key, &AnyValue)> = values.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                self.push_all(['{', '}'], entries.into_iter(), |page, (key, value)| {
                    page.push_quoted(key.as_str());
                    page.push(":");
                    page.push_json(value, depth - 1);
                });
            }
            // OpenTelemetry may add types.
            other => self.push_quoted(&format!("{other:?}")),
        }
    }

    fn push_all<T>(&mut self, ends: [char; 2], values: impl Iterator<Item = T>, push: impl Fn(&mut Self, T)) {
        let [open, close] = ends.map(String::from);
        self.push(&open);
        for (place, value) in values.enumerate() {
            if place > 0 {
                self.push(",");
            }
            push(self, value);
        }
        self.push(&close);
    }

    fn push_quoted(&mut self, string: &str) {
        // The rest could not fit, and escaping makes it no shorter.
        let part = cut_bytes(string, self.left());
        self.push(&serde_json::Value::from(part).to_string());
        self.lose(string.len() - part.len());
    }

    fn push_bytes(&mut self, bytes: &[u8], push: impl Fn(&mut Self, &str)) {
        match str::from_utf8(bytes) {
            Ok(string) => push(self, string),
            Err(_) => {
                let part = &bytes[..bytes.len().min(self.left())];
                push(self, &base64(part));
                self.lose(bytes.len() - part.len());
            }
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |place| u32::from(chunk.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_in_base64() {
        for (bytes, expected) in [
            (&b"plain"[..], "plain"),
            (&[0xff], "/w=="),
            (&[0xff, 0xfe], "//4="),
            (&[0xff, 0xfe, 0xfd], "//79"),
            (&[0, 0x10, 0x83, 0xff], "ABCD/w=="),
        ] {
            assert_eq!(text_of(&AnyValue::from(bytes), 100), (expected.to_owned(), Trimmed::default()));
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_left_out() {
        let deep = (0..10_000).fold(AnyValue::Int(1), |inner, _| AnyValue::ListAny(Box::new(vec![inner])));
        let (text, cut) = text_of(&deep, 1000);
        assert_eq!(cut.values, 1);
        assert_eq!(text, format!("{}null{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)));
        // Dropping it would recurse ten thousand times, which the stack of a test may not allow.
        std::mem::forget(deep);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let map = AnyValue::Map(Box::new(HashMap::from([("k".into(), AnyValue::from("é".repeat(100)))])));
        for value in [map, AnyValue::from("ééé"), AnyValue::from(&[0xff, 0xfe][..])] {
            let (whole, nothing) = text_of(&value, 1000);
            assert_eq!(nothing, Trimmed::default());
            for max in 0..whole.len() {
                let (text, cut) = text_of(&value, max);
                assert!(text.len() <= max && whole.starts_with(text.trim_end_matches('=')), "{max}: {text}");
                assert!(cut.values == 1 && cut.bytes > 0, "{max}: {cut:?}");
            }
        }
        assert_eq!(text_of(&AnyValue::from("ééé"), 3), ("é".to_owned(), Trimmed { values: 1, bytes: 4 }));
    }
}
