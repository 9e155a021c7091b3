//! Contexts from the resource. The rules are in the guide, page `mapping`, section "Resource".

use std::collections::BTreeMap;

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sentry_semantics::{cut, semconv};

use super::value::Plain;
use crate::json;

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

/// What a resource becomes, made once for all events.
#[derive(Debug, Default)]
pub(crate) struct ResourceContexts {
    /// The contexts of [`CONTEXTS`] that have at least one field.
    pub(crate) contexts: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    /// For `contexts.otel.resource`, in the order of their keys. `None` if no resource was set.
    pub(crate) attributes: Option<Vec<KeyValue>>,
}

impl ResourceContexts {
    pub(crate) fn new(resource: &Resource) -> Self {
        let contexts = CONTEXTS.into_iter().map(|(name, fields)| (name, context(resource, fields)));
        let contexts = contexts.filter(|(_, context)| !context.is_empty()).collect();
        Self { contexts, attributes: Some(kept(resource)) }
    }
}

fn context(resource: &Resource, fields: Fields) -> BTreeMap<&'static str, String> {
    let text = |key: &&'static str| {
        resource.get(&Key::from_static_str(key)).map(|value| cut_text(&value)).filter(|text| !text.is_empty())
    };
    fields.iter().filter_map(|(field, keys)| Some((*field, keys.iter().find_map(text)?))).collect()
}

/// The attributes that are sent. Long texts are cut. If the resource is too large, the shortest attributes are kept.
fn kept(resource: &Resource) -> Vec<KeyValue> {
    let attribute = |(key, value): (&Key, &Value)| {
        let value = if let Value::String(_) = value { cut_text(value).into() } else { value.clone() };
        KeyValue::new(key.clone(), value)
    };
    // The SDK calls a service so that has no name.
    let is_named = |(key, value): &(&Key, &Value)| {
        key.as_str() != semconv::SERVICE_NAME || !value.as_str().starts_with("unknown_service")
    };
    let mut all: Vec<_> = resource.iter().filter(is_named).map(attribute).collect();
    let size = |attribute: &KeyValue| attribute.key.as_str().len() + json::size(&Plain(&attribute.value)) + 4;
    all.sort_by_cached_key(size);
    let mut room = MAX_RESOURCE;
    let fits = |attribute: &KeyValue| {
        let left = room.checked_sub(size(attribute));
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut kept: Vec<_> = all.into_iter().take_while(fits).collect();
    kept.sort_by(|one, other| one.key.cmp(&other.key));
    kept
}

fn cut_text(value: &Value) -> String {
    cut(&value.as_str(), MAX_TEXT).to_owned()
}
