//! Looking things up in a span's attributes.

use std::borrow::Cow;

use opentelemetry::{Array, KeyValue, Value};

/// The attributes of a span. A key may be there twice, as `tracing` records fields: the last one counts.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    all: &'a [KeyValue],
}

impl<'a> Attributes<'a> {
    /// Wraps a list of attributes.
    #[must_use]
    pub const fn new(all: &'a [KeyValue]) -> Self {
        Self { all }
    }

    /// The same attributes if any of them is `sentry.`'s own, else none: few spans carry those, and many are asked for.
    pub(super) fn ours(self) -> Self {
        let has_ours = self.all.iter().any(|attribute| attribute.key.as_str().starts_with("sentry."));
        if has_ours { self } else { Self::new(&[]) }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(self, key: &str) -> Option<&'a Value> {
        self.all.iter().rev().find(|attribute| attribute.key.as_str() == key).map(|attribute| &attribute.value)
    }

    /// The value of a key as text. An empty text is none: some middleware sets attributes before it knows them.
    #[must_use]
    pub fn text(self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).map(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The first of several keys that has a text: the newest name of an attribute goes first.
    #[must_use]
    pub fn first_text<const N: usize>(self, keys: [&str; N]) -> Option<Cow<'a, str>> {
        keys.into_iter().find_map(|key| self.text(key))
    }

    /// The value of a key as a whole number, also when it came as text: `tracing` makes text of unsigned numbers.
    #[must_use]
    pub fn integer(self, key: &str) -> Option<i64> {
        match self.get(key)? {
            Value::I64(number) => Some(*number),
            Value::F64(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(*number as i64),
            Value::String(text) => text.as_str().trim().parse().ok(),
            _ => None,
        }
    }

    /// The value of a key as a number that JSON has a word for, also when it came as text.
    #[must_use]
    pub fn float(self, key: &str) -> Option<f64> {
        let number = match self.get(key)? {
            Value::I64(number) => Some(*number as f64),
            Value::F64(number) => Some(*number),
            Value::String(text) => text.as_str().trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    /// The value of a key as a list of texts; a single text is a list of one.
    #[must_use]
    pub fn texts(self, key: &str) -> Vec<&'a str> {
        match self.get(key) {
            Some(Value::String(text)) => vec![text.as_str()],
            Some(Value::Array(Array::String(texts))) => texts.iter().map(|text| text.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a key is `true`.
    #[must_use]
    pub fn is_true(self, key: &str) -> bool {
        matches!(self.get(key), Some(Value::Bool(true)))
    }
}
