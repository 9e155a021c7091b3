//! Attributes that the application sets for all streamed spans.

use std::{error::Error, fmt};

use opentelemetry::{Key, KeyValue, Value};

/// The most bytes of all of them together. Every span repeats them.
const MAX_FIXED: usize = 16 << 10;

/// Attributes that the application sets for all streamed spans, each key once.
#[derive(Clone, Debug, Default)]
pub(crate) struct FixedAttributes(Vec<KeyValue>);

impl FixedAttributes {
    /// Adds one. It replaces an earlier one with the same key.
    pub(crate) fn add(&mut self, key: Key, value: Value) {
        self.0.retain(|known| known.key != key);
        self.0.push(KeyValue::new(key, value));
    }

    /// What is wrong with them, if something is.
    pub(crate) fn invalid(&self) -> Option<InvalidAttribute> {
        if self.0.iter().any(|attribute| attribute.key.as_str().is_empty()) {
            return Some(InvalidAttribute::NoKey);
        }
        let size = |attribute: &KeyValue| attribute.key.as_str().len() + attribute.value.as_str().len();
        let bytes = self.0.iter().map(size).sum();
        (bytes > MAX_FIXED).then_some(InvalidAttribute::TooLarge { bytes })
    }

    pub(crate) fn as_slice(&self) -> &[KeyValue] {
        &self.0
    }

    /// The attributes, to hide values.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [KeyValue] {
        &mut self.0
    }
}

/// The attributes are invalid.
#[derive(Debug)]
pub(crate) enum InvalidAttribute {
    NoKey,
    TooLarge { bytes: usize },
}

impl fmt::Display for InvalidAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("an attribute needs a key"),
            Self::TooLarge { bytes } => {
                write!(
                    f,
                    "all attributes together may have {MAX_FIXED} bytes, because every span repeats them; found {bytes}"
                )
            }
        }
    }
}

impl Error for InvalidAttribute {}
