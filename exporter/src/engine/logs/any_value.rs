//! Values of log records as texts. Values may be nested, and have any size.

use std::str;

use opentelemetry::{Key, logs::AnyValue};

/// The depth of lists and maps below which values are left out. Sentry shows less, and recursion must end.
const MAX_DEPTH: usize = 32;

/// A value as a text of at most `max` bytes: a text as it is, bytes as the text that they are or else in base64, lists
/// and maps as compact JSON with sorted keys.
pub(super) fn text_of(value: &AnyValue, max: usize) -> String {
    let mut text = String::new();
    match value {
        AnyValue::String(string) => text.push_str(string.as_str()),
        AnyValue::Bytes(bytes) => push_bytes(&mut text, bytes, max),
        AnyValue::Double(number) => text = number.to_string(),
        other => push_json(&mut text, other, max, MAX_DEPTH),
    }
    text.truncate(text.floor_char_boundary_of(max));
    text
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

/// Appends a value as JSON. It stops when the text has `max` bytes, and then the text is not complete.
fn push_json(text: &mut String, value: &AnyValue, max: usize, depth: usize) {
    match value {
        AnyValue::Boolean(flag) => text.push_str(if *flag { "true" } else { "false" }),
        AnyValue::Int(number) => text.push_str(&number.to_string()),
        AnyValue::Double(number) => text.push_str(&serde_json::json!(number).to_string()),
        AnyValue::String(string) => push_quoted(text, cut_bytes(string.as_str(), max)),
        AnyValue::Bytes(bytes) => {
            let mut inner = String::new();
            push_bytes(&mut inner, bytes, max);
            push_quoted(text, &inner);
        }
        AnyValue::ListAny(_) | AnyValue::Map(_) if depth == 0 => text.push_str("null"),
        AnyValue::ListAny(values) => {
            push_all(text, ['[', ']'], values.iter(), max, |text, value| push_json(text, value, max, depth - 1));
        }
        AnyValue::Map(values) => {
            let mut entries: Vec<(&Key, &AnyValue)> = values.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            push_all(text, ['{', '}'], entries.into_iter(), max, |text, (key, value)| {
                push_quoted(text, cut_bytes(key.as_str(), max));
                text.push(':');
                push_json(text, value, max, depth - 1);
            });
        }
        // OpenTelemetry may add types.
        other => push_quoted(text, cut_bytes(&format!("{other:?}"), max)),
    }
}

fn push_all<T>(
    text: &mut String,
    [open, close]: [char; 2],
    values: impl Iterator<Item = T>,
    max: usize,
    push: impl Fn(&mut String, T),
) {
    text.push(open);
    for (place, value) in values.enumerate() {
        if text.len() > max {
            break;
        }
        if place > 0 {
            text.push(',');
        }
        push(text, value);
    }
    text.push(close);
}

fn push_quoted(text: &mut String, string: &str) {
    text.push_str(&serde_json::Value::from(string).to_string());
}

fn push_bytes(text: &mut String, bytes: &[u8], max: usize) {
    match str::from_utf8(bytes) {
        Ok(string) => text.push_str(cut_bytes(string, max)),
        Err(_) => push_base64(text, &bytes[..bytes.len().min(max)]),
    }
}

fn push_base64(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |place| u32::from(chunk.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
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
            assert_eq!(text_of(&AnyValue::from(bytes), 100), expected);
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_left_out() {
        let deep = (0..10_000).fold(AnyValue::Int(1), |inner, _| AnyValue::ListAny(Box::new(vec![inner])));
        let text = text_of(&deep, 1000);
        assert_eq!(text, format!("{}null{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)));
        // Dropping it would recurse ten thousand times, which the stack of a test may not allow.
        std::mem::forget(deep);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let map = AnyValue::Map(Box::new(HashMap::from([("k".into(), AnyValue::from("é".repeat(100)))])));
        for max in 0..20 {
            assert!(text_of(&map, max).len() <= max);
            assert!(text_of(&AnyValue::from("ééé"), max).len() <= max);
        }
        assert_eq!(text_of(&AnyValue::from("ééé"), 3), "é");
    }
}
