//! Log lines that precede an error, on its event.

use std::sync::Arc;

use opentelemetry::{KeyValue, Value};
use opentelemetry_sentry_semantics::cut;
use serde::Serialize;

use super::value::AttributeMap;
use crate::{account::seconds, trace::LogLine};

/// The longest text of a line that is kept, in characters.
const MAX_MESSAGE: usize = 1024;

/// The longest text of an attribute that is kept.
const MAX_TEXT: usize = 256;

/// The most attributes that are kept.
const MAX_ATTRIBUTES: usize = 16;

/// A line before an error.
#[derive(Debug)]
pub(crate) struct Breadcrumb {
    pub(crate) timestamp: f64,
    level: &'static str,
    category: String,
    pub(crate) message: String,
    data: Vec<KeyValue>,
}

impl Breadcrumb {
    /// What is kept of a line.
    pub(crate) fn of(line: &LogLine) -> Self {
        let attributes = line.attributes.iter().filter_map(short).take(MAX_ATTRIBUTES);
        Self {
            timestamp: seconds(line.time),
            level: match line.severity.level() {
                "trace" => "debug",
                "warn" => "warning",
                level => level,
            },
            category: cut(&line.target, MAX_TEXT).to_owned(),
            message: cut(&line.body, MAX_MESSAGE).to_owned(),
            data: attributes.collect(),
        }
    }

    /// Whether it may be what is kept of a line with this text.
    pub(crate) fn is_of(&self, body: &str) -> bool {
        self.message == cut(body, MAX_MESSAGE)
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let attribute = |attribute: &KeyValue| {
            size_of_val(attribute) + attribute.key.as_str().len() + attribute.value.as_str().len()
        };
        let data: usize = self.data.iter().map(attribute).sum();
        size_of::<Self>() + self.category.len() + self.message.len() + data
    }
}

/// An attribute with a short value. Lists are left out.
fn short(attribute: &KeyValue) -> Option<KeyValue> {
    let value = match &attribute.value {
        Value::Array(_) => return None,
        Value::String(text) => cut(text.as_str(), MAX_TEXT).to_owned().into(),
        value => value.clone(),
    };
    (attribute.key.as_str().len() <= MAX_TEXT).then(|| KeyValue::new(attribute.key.clone(), value))
}

/// Breadcrumbs as JSON.
#[derive(Serialize)]
pub(super) struct Breadcrumbs<'a> {
    values: Vec<Fields<'a>>,
}

#[derive(Serialize)]
struct Fields<'a> {
    timestamp: f64,
    level: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    category: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "AttributeMap::is_empty")]
    data: AttributeMap<'a>,
}

impl<'a> Breadcrumbs<'a> {
    /// `None` without any line.
    pub(super) fn of(all: &'a [Arc<Breadcrumb>]) -> Option<Self> {
        let fields = |one: &'a Arc<Breadcrumb>| {
            let Breadcrumb { timestamp, level, category, message, data } = &**one;
            Fields { timestamp: *timestamp, level, category, message, data: AttributeMap::new(data) }
        };
        (!all.is_empty()).then(|| Self { values: all.iter().map(fields).collect() })
    }
}
