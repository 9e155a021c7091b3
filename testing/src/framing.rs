//! Finds where headers and payloads begin and end, and checks the headers.

use std::{fmt, ops::RangeInclusive};

use serde::{
    Deserialize,
    de::{Deserializer, Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{
    invalid_envelope::{InvalidEnvelope, Part},
    item::Item,
};

/// Reads an envelope from front to back.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, line: 1 }
    }

    pub(super) fn envelope_headers(&mut self) -> Result<Map<String, Value>, InvalidEnvelope> {
        let wrong = |expected| InvalidEnvelope::new(1, Part::Headers, expected);
        let headers = headers(self.until_newline()).map_err(wrong)?;
        for (name, value) in &headers {
            check_header(name, value).map_err(|expected| wrong(expected.to_owned()))?;
        }
        self.skip_newline();
        Ok(headers)
    }

    /// Reads the item with this number, counted from one.
    pub(super) fn item(&mut self, number: usize) -> Result<Item, InvalidEnvelope> {
        let headers = self.item_headers(Part::ItemHeaders(number))?;
        let payload = match headers.get("length").and_then(Value::as_u64) {
            Some(length) => self.exactly(length, Part::Payload(number))?,
            None => self.until_newline(),
        };
        self.skip_newline();
        Ok(Item::new(headers, payload.to_vec()))
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn item_headers(&mut self, part: Part) -> Result<Map<String, Value>, InvalidEnvelope> {
        let line = self.line;
        let wrong = |expected| InvalidEnvelope::new(line, part, expected);
        let headers = headers(self.until_newline()).map_err(wrong)?;
        if !headers.get("type").is_some_and(Value::is_string) {
            return Err(wrong("a string `type`".to_owned()));
        }
        if headers.get("length").is_some_and(|length| !length.is_u64()) {
            return Err(wrong("a whole number as `length`".to_owned()));
        }
        if !self.skip_newline() {
            return Err(wrong("a newline after them".to_owned()));
        }
        Ok(headers)
    }

    fn exactly(&mut self, length: u64, part: Part) -> Result<&'a [u8], InvalidEnvelope> {
        let line = self.line;
        let wrong = |expected| InvalidEnvelope::new(line, part, expected);
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((payload, after)) = split else {
            let found = self.rest.len();
            return Err(wrong(format!("{length} bytes, found {found}")));
        };
        if !matches!(after.first(), None | Some(b'\n')) {
            let expected = format!("a newline or the end after {length} bytes");
            return Err(wrong(expected));
        }
        self.rest = after;
        self.line += payload.iter().filter(|byte| **byte == b'\n').count();
        Ok(payload)
    }

    fn until_newline(&mut self) -> &'a [u8] {
        let newline = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = self.rest.split_at(newline.unwrap_or(self.rest.len()));
        self.rest = after;
        line
    }

    fn skip_newline(&mut self) -> bool {
        let Some(after) = self.rest.strip_prefix(b"\n") else {
            return false;
        };
        self.rest = after;
        self.line += 1;
        true
    }
}

/// Reads a JSON object, or returns what was expected.
fn headers(line: &[u8]) -> Result<Map<String, Value>, String> {
    let headers = serde_json::from_slice(line);
    headers.map(|Headers(map)| map).map_err(|e| {
        // serde_json's line number counts from the beginning of these bytes: it would mislead.
        let message = e.to_string();
        let reason = message.split(" at line ").next().unwrap_or_default();
        format!("a JSON object without repeated keys ({reason}, column {})", e.column())
    })
}

/// A JSON object in which no key occurs twice; Sentry refuses a second `sent_at`.
struct Headers(Map<String, Value>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Headers, A::Error> {
        let mut headers = Map::new();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if headers.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` occurs twice")));
            }
            headers.insert(name, value);
        }
        Ok(Headers(headers))
    }
}

/// Checks one header of the envelope, or returns what was expected. Unknown headers are allowed.
fn check_header(name: &str, value: &Value) -> Result<(), &'static str> {
    let (good, expected) = match name {
        "event_id" => (value.as_str().is_some_and(is_event_id), "`event_id` to be 32 hex digits"),
        "sent_at" => (value.as_str().is_some_and(is_utc_time), "`sent_at` to be RFC 3339 in UTC with `Z`"),
        "dsn" => (value.is_string(), "`dsn` to be a string"),
        "trace" => (
            value.as_object().is_some_and(|trace| trace.values().all(Value::is_string)),
            "`trace` to be an object of strings",
        ),
        _ => (true, ""),
    };
    if good { Ok(()) } else { Err(expected) }
}

fn is_event_id(text: &str) -> bool {
    const HEX: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    const UUID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    has_shape(text, HEX) || has_shape(text, UUID)
}

fn is_utc_time(text: &str) -> bool {
    let Some(time) = text.strip_suffix('Z') else {
        return false;
    };
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let whole = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    whole && has_shape(seconds, "dddd-dd-ddTdd:dd:dd") && TIME_FIELDS.iter().all(in_range(seconds))
}

fn in_range(text: &str) -> impl Fn(&(usize, RangeInclusive<u8>)) -> bool {
    move |(start, range)| {
        let digits = text.get(*start..start + 2);
        digits.and_then(|digits| digits.parse().ok()).is_some_and(|number| range.contains(&number))
    }
}

/// Whether each byte is the shape's byte at that place; `d` in a shape is any digit, `x` any hex digit.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => byte == wanted,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// Month, day, hour, minute and second (with leap seconds): where each starts, and its range.
const TIME_FIELDS: [(usize, RangeInclusive<u8>); 5] =
    [(5, 1..=12), (8, 1..=31), (11, 0..=23), (14, 0..=59), (17, 0..=60)];
