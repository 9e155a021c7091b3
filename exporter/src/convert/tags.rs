//! Tags of events. The rules are in the guide, page `mapping`, section "Tags".

use std::{borrow::Cow, collections::BTreeMap, error::Error, fmt};

use opentelemetry::{Key, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sentry_semantics::{Attributes, cut};
use serde::Serialize;

/// The longest key and the longest value that Sentry keeps, in characters.
const MAX_TAG: usize = 200;

/// Keys that Sentry removes or moves elsewhere.
const RESERVED: [&str; 6] = ["dist", "environment", "filename", "function", "release", "user"];

/// The application's settings for tags.
#[derive(Clone, Debug, Default)]
pub(crate) struct TagRules {
    /// The key and the value of a tag.
    fixed: Vec<(String, String)>,
    /// The key of a tag, and the attribute that provides its value.
    from_attributes: Vec<(String, Key)>,
}

impl TagRules {
    pub(crate) fn add(&mut self, key: &str, value: &str) -> Result<(), InvalidTag> {
        let key = tag_key(key)?;
        self.fixed.retain(|(known, _)| *known != key);
        self.fixed.extend(tag_value(value).map(|value| (key, value.into_owned())));
        Ok(())
    }

    pub(crate) fn add_attribute(&mut self, attribute: &str) -> Result<(), InvalidTag> {
        let key = tag_key(attribute)?;
        self.from_attributes.retain(|(known, _)| *known != key);
        self.from_attributes.push((key, Key::new(attribute.to_owned())));
        Ok(())
    }
}

/// The tags of an event.
#[derive(Debug, Serialize)]
pub(crate) struct Tags<'a>(BTreeMap<&'a str, Cow<'a, str>>);

impl<'a> Tags<'a> {
    /// The tags of an event about these spans. An attribute is looked up in the spans, in their order, and then in the
    /// resource. It replaces a fixed tag, because it is more specific.
    pub(crate) fn new(
        rules: &'a TagRules,
        spans: impl Iterator<Item = Attributes<'a>> + Clone,
        resource: &'a Resource,
    ) -> Self {
        let mut tags: BTreeMap<_, _> =
            rules.fixed.iter().map(|(key, value)| (key.as_str(), Cow::from(value.as_str()))).collect();
        for (key, attribute) in &rules.from_attributes {
            let of_span = |attributes: Attributes<'a>| attributes.get(attribute.as_str()).cloned();
            let value = spans.clone().find_map(of_span).or_else(|| resource.get(attribute));
            // A tag has one value, so a list cannot be a tag.
            let value = value.filter(|value| !matches!(value, Value::Array(_)));
            if let Some(value) = value.and_then(|value| Some(tag_value(&value.as_str())?.into_owned())) {
                tags.insert(key, value.into());
            }
        }
        Self(tags)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A key that Sentry accepts: a blank becomes `-`, and any other invalid character `_`.
pub(crate) fn tag_key(key: &str) -> Result<String, InvalidTag> {
    let key = cut(key.trim(), MAX_TAG).replace(' ', "-");
    let key = key.replace(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | ':' | '-'), "_");
    match key.as_str() {
        "" => Err(InvalidTag::NoKey),
        reserved if RESERVED.contains(&reserved) => Err(InvalidTag::Reserved(key)),
        _ => Ok(key),
    }
}

/// A value that Sentry accepts, on one line. `None` if it is empty.
pub(crate) fn tag_value(value: &str) -> Option<Cow<'_, str>> {
    let value = cut(value.trim(), MAX_TAG).trim_end();
    if value.is_empty() {
        return None;
    }
    Some(if value.contains(char::is_control) { value.replace(char::is_control, " ").into() } else { value.into() })
}

/// The key is invalid.
#[derive(Debug)]
pub(crate) enum InvalidTag {
    NoKey,
    Reserved(String),
}

impl fmt::Display for InvalidTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("a tag needs a key"),
            Self::Reserved(key) => write!(f, "Sentry keeps the key {key:?} for itself"),
        }
    }
}

impl Error for InvalidTag {}
