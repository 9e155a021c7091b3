//! The nesting of a request in JSON.

use std::ops::Range;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

/// The lists of a request that are in each other: resources, scopes and records.
type Lists = [&'static str; 3];

/// Those of traces and of logs.
const LISTS: [Lists; 2] = [["resourceSpans", "scopeSpans", "spans"], ["resourceLogs", "scopeLogs", "logRecords"]];

/// What of a request is needed to count its records.
#[derive(Deserialize)]
struct Request {
    #[serde(default, rename = "resourceSpans", alias = "resourceLogs")]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default, rename = "scopeSpans", alias = "scopeLogs")]
    scopes: Vec<Scope>,
}

#[derive(Deserialize)]
struct Scope {
    #[serde(default, rename = "spans", alias = "logRecords")]
    records: Vec<IgnoredAny>,
}

/// The number of records in a body; `None` if it is none.
pub(super) fn count(body: &[u8]) -> Option<usize> {
    let request: Request = serde_json::from_slice(body).ok()?;
    let scopes = request.resources.iter().flat_map(|resource| &resource.scopes);
    Some(scopes.map(|scope| scope.records.len()).sum())
}

/// The records of a request that is too large, and the rest of their scopes and resources.
#[derive(Debug)]
pub(super) struct JsonRecords {
    lists: Lists,
    resources: Vec<Map<String, Value>>,
    scopes: Vec<Map<String, Value>>,
    /// Each with the places of its resource and its scope.
    records: Vec<(usize, usize, Value)>,
}

impl JsonRecords {
    /// Reads a body that [`count`] has accepted.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut request: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let lists = LISTS.into_iter().find(|[resources, ..]| request.contains_key(*resources))?;
        let mut all = Self { lists, resources: Vec::new(), scopes: Vec::new(), records: Vec::new() };
        let [resources, scopes, records] = lists;
        for mut resource in take_list(&mut request, resources) {
            for mut scope in resource.as_object_mut().map(|resource| take_list(resource, scopes)).unwrap_or_default() {
                let records = scope.as_object_mut().map(|scope| take_list(scope, records)).unwrap_or_default();
                let (resource, scope_place) = (all.resources.len(), all.scopes.len());
                all.records.extend(records.into_iter().map(|record| (resource, scope_place, record)));
                all.scopes.push(if let Value::Object(scope) = scope { scope } else { Map::new() });
            }
            all.resources.push(if let Value::Object(resource) = resource { resource } else { Map::new() });
        }
        Some(all)
    }

    /// The requests that contain all records, each no larger than this, unless it is a single record. Returns the number of its
    /// records with each.
    pub(super) fn parts(&self, largest: usize) -> Vec<(usize, Vec<u8>)> {
        let mut parts = Vec::new();
        // Halves, and halves of these: the number of parts is small, and their size is known only when they are written.
        let whole = 0..self.records.len();
        let mut rest = Vec::from([whole]);
        while let Some(part) = rest.pop() {
            let bytes = self.write(part.clone());
            if bytes.len() <= largest || part.len() <= 1 {
                parts.push((part.len(), bytes));
            } else {
                let middle = part.start + part.len() / 2;
                rest.extend([middle..part.end, part.start..middle]);
            }
        }
        parts
    }

    /// A request with these records, in the same resources and scopes.
    fn write(&self, part: Range<usize>) -> Vec<u8> {
        let [in_request, in_resource, in_scope] = self.lists;
        let mut resources = Vec::new();
        for of_resource in self.records[part].chunk_by(|a, b| a.0 == b.0) {
            let mut scopes = Vec::new();
            for of_scope in of_resource.chunk_by(|a, b| a.1 == b.1) {
                let mut scope = self.scopes[of_scope[0].1].clone();
                scope.insert(in_scope.to_owned(), of_scope.iter().map(|(.., record)| record.clone()).collect());
                scopes.push(Value::Object(scope));
            }
            let mut resource = self.resources[of_resource[0].0].clone();
            resource.insert(in_resource.to_owned(), scopes.into());
            resources.push(Value::Object(resource));
        }
        serde_json::to_vec(&Map::from_iter([(in_request.to_owned(), Value::from(resources))])).unwrap_or_default()
    }
}

/// Removes a list from an object, and returns it.
fn take_list(object: &mut Map<String, Value>, name: &str) -> Vec<Value> {
    if let Some(Value::Array(list)) = object.remove(name) { list } else { Vec::new() }
}
