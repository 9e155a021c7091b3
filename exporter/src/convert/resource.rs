//! The resource, as `contexts.otel.resource`.

use opentelemetry::Value;
use opentelemetry_sdk::Resource;
use serde::{Serialize, Serializer};

use super::data::serialize_value;

/// The attributes of a resource.
#[derive(Debug)]
pub(crate) struct ResourceData<'a>(pub(crate) &'a Resource);

impl Serialize for ResourceData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key.as_str(), Plain(value))))
    }
}

struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_value(self.0, serializer)
    }
}
