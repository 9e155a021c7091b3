//! Contexts from the resource. The rules are in the guide, page `mapping`, section "Resource".

use std::collections::BTreeMap;

use opentelemetry::{Key, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sentry_semantics::{cut, semconv};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::value::Plain;

/// The most bytes of a resource. Above it Sentry would cut attributes at random.
const MAX_RESOURCE: usize = 7 << 10;

/// The longest text of a resource, in characters. Longer ones are cut.
const MAX_TEXT: usize = 1024;

/// Fields of a context, each with the attributes that may fill it.
type Fields = &'static [(&'static str, &'static [&'static str])];

/// The contexts of all events, with the attributes that fill each field. The first attribute that exists is used.
const CONTEXTS: [(&str, Fields); 3] = [
    (
        "os",
        &[
            ("name", &["os.name", "os.type"]),
            ("version", &["os.version"]),
            ("build", &["os.build_id"]),
            ("raw_description", &["os.description"]),
        ],
    ),
    (
        "runtime",
        &[
            ("name", &["process.runtime.name"]),
            ("version", &["process.runtime.version"]),
            ("raw_description", &["process.runtime.description"]),
        ],
    ),
    (
        "device",
        &[
            ("model", &["device.model.name"]),
            ("model_id", &["device.model.identifier"]),
            ("manufacturer", &["device.manufacturer"]),
            ("arch", &["host.arch"]),
        ],
    ),
];

/// What a resource becomes, serialised once for all events.
#[derive(Debug, Default)]
pub(crate) struct ResourceContexts {
    /// The contexts of [`CONTEXTS`] that have at least one field.
    pub(crate) contexts: BTreeMap<&'static str, Box<RawValue>>,
    /// For `contexts.otel.resource`.
    pub(crate) attributes: Option<Box<RawValue>>,
}

impl ResourceContexts {
    pub(crate) fn new(resource: &Resource) -> Self {
        let contexts = CONTEXTS.into_iter().filter_map(|(name, fields)| Some((name, context(resource, fields)?)));
        Self { contexts: contexts.collect(), attributes: raw(&kept(resource)) }
    }
}

fn context(resource: &Resource, fields: Fields) -> Option<Box<RawValue>> {
    let text = |key: &&'static str| {
        resource.get(&Key::from_static_str(key)).map(|value| cut_text(&value)).filter(|text| !text.is_empty())
    };
    let fields = fields.iter().filter_map(|(field, keys)| Some((*field, keys.iter().find_map(text)?)));
    let fields: BTreeMap<_, _> = fields.collect();
    if fields.is_empty() { None } else { raw(&fields) }
}

/// The attributes that are sent. Long texts are cut. If the resource is too large, the shortest attributes are kept.
fn kept(resource: &Resource) -> BTreeMap<&str, KeptValue<'_>> {
    fn value(value: &Value) -> KeptValue<'_> {
        match value {
            Value::String(_) => KeptValue::Text(cut_text(value)),
            value => KeptValue::Other(Plain(value)),
        }
    }
    // The SDK's way to say that nobody has named the service.
    let is_named = |(key, value): &(&Key, &Value)| {
        key.as_str() != semconv::SERVICE_NAME || !value.as_str().starts_with("unknown_service")
    };
    let mut all: Vec<_> = resource.iter().filter(is_named).map(|(key, this)| (key.as_str(), value(this))).collect();
    let size = |(key, value): &(&str, KeptValue<'_>)| key.len() + raw(value).map_or(0, |raw| raw.get().len()) + 4;
    all.sort_by_cached_key(size);
    let mut room = MAX_RESOURCE;
    let fits = |attribute: &(&str, KeptValue<'_>)| {
        let left = room.checked_sub(size(attribute));
        room = left.unwrap_or(0);
        left.is_some()
    };
    all.into_iter().take_while(fits).collect()
}

#[derive(Serialize)]
#[serde(untagged)]
enum KeptValue<'a> {
    Text(String),
    Other(Plain<'a>),
}

fn cut_text(value: &Value) -> String {
    cut(&value.as_str(), MAX_TEXT).to_owned()
}

fn raw(value: &impl Serialize) -> Option<Box<RawValue>> {
    to_raw_value(value).ok()
}
