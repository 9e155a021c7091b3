//! The fields of an event as JSON, and what a hook may not put into them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::convert::{tag_key, tag_value};

/// The depth of lists and maps below which a hook's values are replaced by null. Sentry shows less.
pub(super) const MAX_DEPTH: usize = 100;

/// Cuts what is nested too deeply. Serialising and freeing a value recurse, and would overflow the worker's stack; so this
/// function does not recurse.
pub(super) fn flatten(map: &mut Map<String, Value>) {
    let mut pending: Vec<_> = map.values_mut().map(|value| (value, 1)).collect();
    let mut removed = Vec::new();
    while let Some((value, depth)) = pending.pop() {
        match value {
            Value::Array(_) | Value::Object(_) if depth > MAX_DEPTH => removed.push(value.take()),
            Value::Array(all) => pending.extend(all.iter_mut().map(|value| (value, depth + 1))),
            Value::Object(all) => pending.extend(all.values_mut().map(|value| (value, depth + 1))),
            _ => {}
        }
    }
    while let Some(value) = removed.pop() {
        match value {
            Value::Array(all) => removed.extend(all),
            Value::Object(all) => removed.extend(all.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}

pub(super) fn trace_of(event: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    event.get_mut("contexts")?.get_mut("trace")?.as_object_mut()
}

pub(super) fn text_field<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn take_text(map: &mut Map<String, Value>, key: &str) -> Option<String> {
    owned_text(map.remove(key)?)
}

pub(super) fn take_map(map: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match map.remove(key) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn owned_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

pub(super) fn take_tags(map: &mut Map<String, Value>) -> BTreeMap<String, String> {
    take_map(map, "tags").into_iter().filter_map(|(key, value)| Some((key, owned_text(value)?))).collect()
}

/// Puts back the tags that Sentry accepts, and the user.
pub(super) fn put_maps(event: &mut Map<String, Value>, tags: BTreeMap<String, String>, user: Map<String, Value>) {
    let tag =
        |(key, value): (String, String)| Some((tag_key(&key).ok()?, Value::from(tag_value(&value)?.into_owned())));
    let tags: Map<_, _> = tags.into_iter().filter_map(tag).collect();
    for (key, map) in [("tags", tags), ("user", user)] {
        if !map.is_empty() {
            event.insert(key.to_owned(), Value::Object(map));
        }
    }
}
