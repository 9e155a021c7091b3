//! Lookups in the attributes of a span.

use std::{borrow::Cow, collections::HashMap};

use opentelemetry::{Array, KeyValue, Value};

use crate::{keys::Keys, semconv, url::host_of_url};

/// The attributes of a span.
///
/// A key can occur twice, because `tracing` records a field again when its value changes. Then the last value wins.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    all: &'a [KeyValue],
    index: AttributeIndex,
}

/// Which keys a list of attributes may have. Most lookups miss; this filter makes a miss free.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributeIndex {
    keys: Keys,
    /// The keys that may occur twice. Without it, `unique` would compare every key with all later ones.
    repeated: Keys,
}

/// With more attributes than this, `unique` uses a table: comparing each key with all later ones takes quadratic time.
const MANY: usize = 64;

impl<'a> Attributes<'a> {
    /// Wraps a list of attributes.
    #[must_use]
    pub fn new(all: &'a [KeyValue]) -> Self {
        let (mut keys, mut repeated) = (Keys::default(), Keys::default());
        for key in all.iter().map(|attribute| attribute.key.as_str()) {
            if keys.may_have(key) {
                repeated = repeated.with(key);
            }
            keys = keys.with(key);
        }
        Self { all, index: AttributeIndex { keys, repeated } }
    }

    /// Wraps a list of attributes that was indexed before. A key that was added to it since is not found.
    #[must_use]
    pub const fn with_index(all: &'a [KeyValue], index: AttributeIndex) -> Self {
        Self { all, index }
    }

    /// Wraps a list of attributes without an index, which costs more than one or two lookups save.
    #[must_use]
    pub const fn unindexed(all: &'a [KeyValue]) -> Self {
        Self { all, index: AttributeIndex { keys: Keys::ANY, repeated: Keys::ANY } }
    }

    /// The index of the list, for [`with_index`](Self::with_index).
    #[must_use]
    pub const fn index(self) -> AttributeIndex {
        self.index
    }

    /// The value of a key.
    #[inline]
    #[must_use]
    pub fn get(self, key: &str) -> Option<&'a Value> {
        if self.index.keys.may_have(key) { self.find(key) } else { None }
    }

    fn find(self, key: &str) -> Option<&'a Value> {
        self.all.iter().rev().find(|attribute| attribute.key.as_str() == key).map(|attribute| &attribute.value)
    }

    /// Whether the span has no attributes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.all.is_empty()
    }

    /// The attributes without those that a later one with the same key replaces.
    pub fn unique(self) -> impl Iterator<Item = &'a KeyValue> {
        let none_repeated = self.index.repeated.is_empty();
        let last = (self.all.len() > MANY && !none_repeated).then(|| self.last_places());
        let is_last = move |(place, attribute): &(usize, &KeyValue)| {
            let key = attribute.key.as_str();
            none_repeated
                || !self.index.repeated.may_have(key)
                || match &last {
                    Some(last) => last.get(key) == Some(place),
                    None => self.all[place + 1..].iter().all(|later| later.key.as_str() != key),
                }
        };
        self.all.iter().enumerate().filter(is_last).map(|(_, attribute)| attribute)
    }

    /// The index at which each key was set last.
    fn last_places(self) -> HashMap<&'a str, usize> {
        self.all.iter().enumerate().map(|(place, attribute)| (attribute.key.as_str(), place)).collect()
    }

    /// The value of a key as text; `None` if it is empty, because some middleware sets attributes before it knows them.
    #[inline]
    #[must_use]
    pub fn text(self, key: &str) -> Option<Cow<'a, str>> {
        if self.index.keys.may_have(key) { self.find_text(key) } else { None }
    }

    #[inline(never)]
    fn find_text(self, key: &str) -> Option<Cow<'a, str>> {
        self.find(key).map(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The text of the first of several keys that has one. List the newest name of an attribute first.
    #[inline]
    #[must_use]
    pub fn first_text<const N: usize>(self, keys: [&str; N]) -> Option<Cow<'a, str>> {
        keys.into_iter().find_map(|key| self.text(key))
    }

    /// The value of a key as a whole number. Text is parsed, because `tracing` records unsigned numbers as text.
    #[inline]
    #[must_use]
    pub fn integer(self, key: &str) -> Option<i64> {
        if self.index.keys.may_have(key) { self.find_integer(key) } else { None }
    }

    #[inline(never)]
    fn find_integer(self, key: &str) -> Option<i64> {
        match self.find(key)? {
            Value::I64(number) => Some(*number),
            Value::F64(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(*number as i64),
            Value::String(text) => text.as_str().trim().parse().ok(),
            _ => None,
        }
    }

    /// The value of a key as a number that JSON can express (neither infinite nor NaN). Text is parsed.
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

    /// The value of a key as a list of texts; a single text becomes a list of one.
    #[must_use]
    pub fn texts(self, key: &str) -> Vec<&'a str> {
        match self.get(key) {
            Some(Value::String(text)) => vec![text.as_str()],
            Some(Value::Array(Array::String(texts))) => texts.iter().map(|text| text.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// The host that a client calls, without its port: of the server's address, or of the URL.
    #[must_use]
    pub fn server_host(self) -> Option<Cow<'a, str>> {
        let of_url = || host_of_url(&self.first_text([semconv::URL_FULL, semconv::HTTP_URL])?).map(Cow::Owned);
        let host = self.first_text([semconv::SERVER_ADDRESS, semconv::NET_PEER_NAME, semconv::HTTP_HOST]);
        let host = host.or_else(of_url)?;
        // The colons of an IPv6 address are inside its brackets, or there is no port.
        let end = match host.rsplit_once(':') {
            Some((before, _)) if !before.contains(':') || before.ends_with(']') => before.len(),
            _ => host.len(),
        };
        Some(match host {
            Cow::Borrowed(host) => Cow::Borrowed(&host[..end]),
            Cow::Owned(mut host) => {
                host.truncate(end);
                Cow::Owned(host)
            }
        })
    }

    /// Whether a key is `true`.
    #[must_use]
    pub fn is_true(self, key: &str) -> bool {
        matches!(self.get(key), Some(Value::Bool(true)))
    }
}
