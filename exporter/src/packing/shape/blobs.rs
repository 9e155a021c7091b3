//! Replaces images, sounds and files in messages, which would make them too large and which no page shows.

use std::ops::Range;

use serde_json::{Map, Value as Json};

/// What Sentry's SDKs put in the place of a blob.
const SUBSTITUTE: &str = "[Blob substitute]";

/// The longest Base64 that stays, in bytes.
const MAX_BLOB: usize = 1024;

/// How a data URI begins, and where its data begins.
const SCHEME: &str = "data:";
const DATA: &str = ";base64,";

/// The longest media type with its parameters.
const MAX_MEDIA_TYPE: usize = 200;

/// The shortest line that continues Base64 of several lines. Encoders wrap after 64 or 76 characters.
const MIN_LINE: usize = 40;

/// A text without blobs; `None` if it has none.
pub(super) fn without_blobs(text: &str) -> Option<String> {
    if text.len() <= MAX_BLOB {
        return None;
    }
    let without_uris = without_data_uris(text);
    let without_data = without_data_of_parts(without_uris.as_deref().unwrap_or(text));
    without_data.or(without_uris)
}

/// Replaces long data URIs, wherever they are.
fn without_data_uris(text: &str) -> Option<String> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(uri) = next_blob(rest) {
        shown.push_str(&rest[..uri.start]);
        shown.push_str(SUBSTITUTE);
        rest = &rest[uri.end..];
    }
    let has_any = rest.len() < text.len();
    shown.push_str(rest);
    has_any.then_some(shown)
}

/// The next data URI that is too long.
fn next_blob(text: &str) -> Option<Range<usize>> {
    let mut at = 0;
    while let Some(length) = text[at..].find(SCHEME) {
        let start = at + length;
        at = start + SCHEME.len();
        let Some(data) = data_of_uri(text, at) else { continue };
        let end = end_of_base64(text.as_bytes(), data);
        if end - data > MAX_BLOB {
            return Some(start..end);
        }
        at = end;
    }
    None
}

/// Where the data of a URI with this media type begin.
fn data_of_uri(text: &str, at: usize) -> Option<usize> {
    let ends = |byte: &u8| matches!(byte, b',' | b'"' | b'\'' | b'<' | b'>') || byte.is_ascii_whitespace();
    let length = text.as_bytes()[at..].iter().take(MAX_MEDIA_TYPE).position(ends)?;
    let comma = at + length;
    let data = comma + 1;
    // The comma is a byte of its own in UTF-8, so both ends are those of characters.
    text.get(at..data)?.ends_with(DATA).then_some(data)
}

/// Where Base64 ends that begins here. JSON may have escaped its slashes and line breaks.
fn end_of_base64(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        match bytes.get(at..).unwrap_or_default() {
            [byte, ..] if is_base64(*byte) => at += 1,
            [b'\\', b'/', ..] => at += 2,
            rest => {
                let gap = line_break(rest);
                let continues =
                    || rest.iter().skip(gap).take(MIN_LINE).filter(|byte| is_base64(**byte)).count() == MIN_LINE;
                // Most ends are no line breaks, and need no look at what follows.
                if gap == 0 || !continues() {
                    return at;
                }
                at += gap;
            }
        }
    }
}

/// The bytes of a line break, which JSON may have escaped.
fn line_break(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r', b'\n', ..] | [b'\\', b'n', ..] => 2,
        [b'\\', b'r', b'\\', b'n', ..] => 4,
        [b'\n', ..] => 1,
        _ => 0,
    }
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// The keys under which libraries keep bytes.
const DATA_KEYS: [&str; 8] = ["audio", "b64_json", "base64", "blob", "bytes", "data", "file_data", "image"];

/// The keys that name the type of the bytes beside them.
const MEDIA_TYPES: [&str; 4] = ["media_type", "mediaType", "mime_type", "mimeType"];

/// Replaces long Base64 in the parts of messages: `{"type": "blob", "mime_type": "image/png", "content": ".."}`. A long word
/// of a text is not Base64.
fn without_data_of_parts(text: &str) -> Option<String> {
    if !text.trim_start().starts_with(['[', '{']) || !has_long_run(text.as_bytes()) {
        return None;
    }
    let mut json: Json = serde_json::from_str(text).ok()?;
    replace_in(&mut json).then(|| json.to_string())
}

fn has_long_run(bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        let end = end_of_base64(bytes, at);
        if end - at > MAX_BLOB {
            return true;
        }
        at = end + 1;
    }
    false
}

/// Replaces the blobs in a value. `serde_json` limits its depth.
fn replace_in(json: &mut Json) -> bool {
    match json {
        Json::Array(values) => values.iter_mut().map(replace_in).filter(|found| *found).count() > 0,
        Json::Object(object) => replace_in_object(object),
        _ => false,
    }
}

fn replace_in_object(object: &mut Map<String, Json>) -> bool {
    let is_bytes = matches!(object.get("type").and_then(Json::as_str), Some("blob" | "base64"))
        || MEDIA_TYPES.iter().any(|key| object.contains_key(*key));
    let mut found = false;
    for (key, value) in object {
        match value {
            Json::String(text) if (is_bytes || DATA_KEYS.contains(&key.as_str())) && is_blob(text) => {
                SUBSTITUTE.clone_into(text);
                found = true;
            }
            value => found |= replace_in(value),
        }
    }
    found
}

fn is_blob(text: &str) -> bool {
    text.len() > MAX_BLOB && text.bytes().all(|byte| is_base64(byte) || matches!(byte, b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_data_uri_is_replaced_wherever_it_is() {
        let long = "iVBOR/+a".repeat(200);
        let uri = format!("data:image/png;base64,{long}");
        for (text, wanted) in [
            (uri.clone(), SUBSTITUTE.to_owned()),
            (format!("see {uri}, and {uri}."), "see [Blob substitute], and [Blob substitute].".to_owned()),
            (format!(r#"[{{"url":"{uri}","é":1}}]"#), r#"[{"url":"[Blob substitute]","é":1}]"#.to_owned()),
            (format!("\"{}\"", uri.replace('/', "\\/")), "\"[Blob substitute]\"".to_owned()),
            (uri.replace("base64", "charset=utf-8;base64"), SUBSTITUTE.to_owned()),
            (format!("data:;base64,{}\\n{}", &long[..76], long), SUBSTITUTE.to_owned()),
            (format!("{uri}\nand more"), "[Blob substitute]\nand more".to_owned()),
        ] {
            assert_eq!(without_blobs(&text).as_deref(), Some(wanted.as_str()));
        }
    }

    #[test]
    fn what_is_short_or_no_base64_stays() {
        let text = "a ".repeat(1000);
        for text in [
            format!("data:image/png;base64,{} {text}", "A".repeat(1024)),
            format!("data:image/svg+xml,{}", "A".repeat(2000)),
            "x".repeat(2000),
            json!([{ "content": "x".repeat(2000), "type": "text" }]).to_string(),
            format!("data:{text}"),
            format!("{text}data:"),
        ] {
            assert_eq!(without_blobs(&text), None, "{}", &text[..60]);
        }
    }

    #[test]
    fn bytes_in_the_part_of_a_message_are_replaced() {
        let long = "iVBOR/+a".repeat(200);
        let substitute = SUBSTITUTE;
        for part in [
            json!({ "type": "blob", "content": long }),
            json!({ "modality": "image", "mime_type": "image/png", "content": long }),
            json!({ "source": { "type": "base64", "media_type": "image/png", "data": long } }),
            json!({ "input_audio": { "data": long, "format": "wav" } }),
        ] {
            let text = json!([{ "role": "user", "parts": [part] }]).to_string();
            assert_eq!(without_blobs(&text), Some(text.replace(&long, substitute)));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_was_replaced_once_stays(
            parts in prop::collection::vec("data:|;base64,|[A-Za-z]{300}|A{1100}|\\\\n|\\\\/|\n|[\"{}\\[\\]:,é ]|.", 0..12),
        ) {
            let text = parts.concat() + &" ".repeat(1100);
            if let Some(once) = without_blobs(&text) {
                prop_assert!(once.len() < text.len());
                prop_assert_eq!(without_blobs(&once), None);
            }
        }
    }
}
