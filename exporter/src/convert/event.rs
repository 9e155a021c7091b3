//! The fields that transactions and error events share.

use opentelemetry_sentry_semantics::shortened;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    request::Response,
    sender::{Sdk, Sender},
    value::AttributeMap,
};

/// The name of a transaction that has none. Sentry uses the same text.
const UNLABELED: &str = "<unlabeled transaction>";

/// The fields that all events have. `platform` is not `rust`, because Sentry would store that as `other`.
#[derive(Debug, Serialize)]
pub(super) struct SenderFields<'a> {
    event_id: &'a str,
    platform: &'static str,
    sdk: Sdk,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
}

impl<'a> SenderFields<'a> {
    pub(super) fn new(event_id: &'a str, sender: &'a Sender) -> Self {
        Self {
            event_id,
            platform: "native",
            sdk: Sdk,
            release: sender.service.release(),
            environment: sender.service.environment(),
            server_name: sender.server_name.as_deref(),
        }
    }
}

/// The contexts of an event.
#[derive(Debug)]
pub(super) struct Contexts<'a, T> {
    pub(super) trace: T,
    pub(super) sender: &'a Sender,
    pub(super) response: Option<Response<'a>>,
    /// Attributes that no other field of the event contains.
    pub(super) attributes: Option<AttributeMap<'a>>,
}

#[derive(Serialize)]
struct Otel<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a AttributeMap<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<AttributeMap<'a>>,
}

impl<T: Serialize> Serialize for Contexts<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trace", &self.trace)?;
        let known = &self.sender.contexts;
        map.serialize_entry(
            "otel",
            &Otel {
                attributes: self.attributes.as_ref(),
                resource: known.attributes.as_deref().map(AttributeMap::new),
            },
        )?;
        for (name, context) in &known.contexts {
            map.serialize_entry(name, context)?;
        }
        if let Some(response) = &self.response {
            map.serialize_entry("response", response)?;
        }
        map.end()
    }
}

/// A name that Sentry accepts: not empty, and not too long.
pub(crate) fn transaction_name(name: &str) -> &str {
    if name.is_empty() { UNLABELED } else { shortened(name) }
}
