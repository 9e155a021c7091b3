//! JSON that is ready: what many events repeat is written once, and then copied.

use serde::{Serialize, Serializer, ser::SerializeMap};

/// Whether a serializer takes [`Ready`]. Only this room's does: it calls itself one that is not for humans, as binary formats
/// do. For any other, such as that of `serde_json` values, a value must write its parts.
pub(crate) fn takes_ready(serializer: &impl Serializer) -> bool {
    !serializer.is_human_readable()
}

/// A key or a value that is JSON already. It may go on: with a key, further entries before it; with a value, behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready<'a>(pub(crate) &'a [u8]);

impl Serialize for Ready<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Entries of an object that are ready.
#[derive(Debug)]
pub(crate) struct Entries {
    keys: Vec<&'static str>,
    /// All entries, without brackets.
    json: Vec<u8>,
    /// The size of the first key, with its quotes.
    first_key: usize,
}

impl Entries {
    pub(crate) fn new(entries: &[(&'static str, impl Serialize)]) -> Self {
        let json = super::to_vec(&Object(entries));
        let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_vec();
        let first_key = entries.first().map_or(0, |(key, _)| super::size(key));
        Self { keys: entries.iter().map(|(key, _)| *key).collect(), json, first_key }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().copied()
    }

    /// Adds the entries to an object of a serializer that [takes them](takes_ready): the first key, and all else as its
    /// value.
    pub(crate) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match (self.json.get(..self.first_key), self.json.get(self.first_key + 1..)) {
            (Some(key), Some(rest)) => map.serialize_entry(&Ready(key), &Ready(rest)),
            _ => Ok(()),
        }
    }
}

struct Object<'a, V>(&'a [(&'static str, V)]);

impl<V: Serialize> Serialize for Object<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}
