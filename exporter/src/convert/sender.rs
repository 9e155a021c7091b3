//! The sender: the same for all events of this process.

use std::sync::OnceLock;

use opentelemetry::{Key, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sentry_protocol::Service;
use opentelemetry_sentry_semantics::semconv;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    fixed::FixedAttributes,
    resource::ResourceContexts,
    tags::{TagRules, tag_value},
};
use crate::json::Entries;

/// The name of this SDK in Sentry.
pub(crate) const SDK_NAME: &str = "sentry.rust.otel";

/// The version of this SDK.
pub(crate) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The sender: the same for all events of this process.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The settings, completed from the resource.
    pub(crate) service: Service,
    pub(crate) server_name: Option<String>,
    pub(crate) tags: TagRules,
    /// On every streamed span, log and metric, which have no tags.
    pub(crate) attributes: FixedAttributes,
    pub(crate) resource: Resource,
    pub(crate) contexts: ResourceContexts,
    /// What every streamed span has, ready to be copied. It is made when the first span is written, and again after a change
    /// of the resource.
    pub(crate) ready: OnceLock<Entries>,
}

impl Sender {
    pub(crate) fn new(service: Service, server_name: Option<String>, tags: TagRules) -> Self {
        let resource = Resource::builder_empty().build();
        let server_name = server_name.as_deref().and_then(tag_value).map(Into::into);
        let (attributes, contexts) = (FixedAttributes::default(), ResourceContexts::default());
        Self { service, server_name, tags, attributes, resource, contexts, ready: OnceLock::new() }
    }

    /// Completes the settings from the resource. A setting beats the resource.
    pub(crate) fn set_resource(&mut self, resource: Resource) {
        let text = |key| resource.get(&Key::from_static_str(key)).map(|value| value.to_string());
        self.service = self.service.clone().or_from_resource(text);
        if self.server_name.is_none() {
            let name = text(semconv::HOST_NAME);
            self.server_name = name.as_deref().and_then(tag_value).map(Into::into);
        }
        self.contexts = ResourceContexts::new(&resource);
        self.resource = resource;
        self.ready = OnceLock::new();
    }

    /// The name of the service, without its secrets.
    pub(super) fn service_name(&self) -> Option<&Value> {
        let attributes = self.contexts.attributes.as_deref()?;
        let name = attributes.iter().find(|attribute| attribute.key.as_str() == semconv::SERVICE_NAME)?;
        Some(&name.value)
    }
}

/// Name and version of this SDK, in envelope headers and events.
#[derive(Debug)]
pub(crate) struct Sdk;

impl Serialize for Sdk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", SDK_NAME)?;
        map.serialize_entry("version", SDK_VERSION)?;
        map.end()
    }
}
