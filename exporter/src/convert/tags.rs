//! Tags: the few texts by which Sentry groups and searches events.

use std::{borrow::Cow, error::Error, fmt};

use opentelemetry::{Key, Value};
use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::describe::{Attributes, cut};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The longest key and the longest value that Sentry keeps, in characters.
const MAX_TAG: usize = 200;

/// Keys that Sentry removes or moves elsewhere.
const RESERVED: [&str; 6] = ["dist", "environment", "filename", "function", "release", "user"];

/// Which tags all events have.
#[derive(Clone, Debug, Default)]
pub(crate) struct TagRules {
    /// Key and value.
    fixed: Vec<(String, String)>,
    /// The key of a tag, and the attribute that has its value.
    from_attributes: Vec<(String, Key)>,
}

impl TagRules {
    pub(crate) fn add(&mut self, key: &str, value: &str) -> Result<(), InvalidTag> {
        let key = tag_key(key)?;
        let value = tag_value(value).ok_or_else(|| InvalidTag::NoValue(key.clone()))?.into_owned();
        self.fixed.retain(|(known, _)| *known != key);
        self.fixed.push((key, value));
        Ok(())
    }

    pub(crate) fn add_attribute(&mut self, attribute: &str) -> Result<(), InvalidTag> {
        let key = tag_key(attribute)?;
        self.from_attributes.retain(|(known, _)| *known != key);
        self.from_attributes.push((key, Key::new(attribute.to_owned())));
        Ok(())
    }
}

/// The tags of an event about one of these spans, the first one first; what no span says the resource may.
#[derive(Debug)]
pub(crate) struct Tags<'a> {
    pub(crate) rules: &'a TagRules,
    pub(crate) spans: [Option<&'a SpanData>; 2],
    pub(crate) resource: &'a Resource,
}

impl Tags<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.fixed.is_empty() && self.rules.from_attributes.is_empty()
    }

    fn value(&self, attribute: &Key) -> Option<String> {
        let of_span = |span: &&SpanData| Attributes::new(&span.attributes).get(attribute.as_str()).cloned();
        let value = self.spans.iter().flatten().find_map(of_span).or_else(|| self.resource.get(attribute))?;
        tag_value(&Value::as_str(&value)).map(Cow::into_owned)
    }
}

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let attributes = self.rules.from_attributes.iter();
        let found: Vec<_> = attributes.filter_map(|(key, attribute)| Some((key, self.value(attribute)?))).collect();
        // What the spans say is nearer to the case than what was said once for all.
        for (key, value) in self.rules.fixed.iter().filter(|(key, _)| found.iter().all(|(known, _)| *known != key)) {
            map.serialize_entry(key, value)?;
        }
        for (key, value) in &found {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// A key as Sentry takes it: a blank becomes `-`, and whatever else is not allowed `_`.
pub(crate) fn tag_key(key: &str) -> Result<String, InvalidTag> {
    let key = cut(key.trim(), MAX_TAG).replace(' ', "-");
    let key = key.replace(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | ':' | '-'), "_");
    match key.as_str() {
        "" => Err(InvalidTag::NoKey),
        reserved if RESERVED.contains(&reserved) => Err(InvalidTag::Reserved(key)),
        _ => Ok(key),
    }
}

/// A value as Sentry takes it: on one line; `None` if nothing is left.
pub(crate) fn tag_value(value: &str) -> Option<Cow<'_, str>> {
    let value = cut(value.trim(), MAX_TAG).trim_end();
    if value.is_empty() {
        return None;
    }
    Some(if value.contains(char::is_control) { value.replace(char::is_control, " ").into() } else { value.into() })
}

/// It cannot be a tag.
#[derive(Debug)]
pub(crate) enum InvalidTag {
    NoKey,
    NoValue(String),
    Reserved(String),
}

impl fmt::Display for InvalidTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("a tag needs a key"),
            Self::NoValue(key) => write!(f, "the tag {key:?} needs a value"),
            Self::Reserved(key) => write!(f, "Sentry keeps the key {key:?} for itself"),
        }
    }
}

impl Error for InvalidTag {}
