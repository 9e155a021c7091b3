//! The nesting of a request in JSON.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::splitter::{Level, Nesting, Part, Splitter};

/// The lists of a request that are in each other: resources, scopes and records.
type Lists = [&'static str; 3];

/// Those of traces and of logs.
const LISTS: [Lists; 2] = [["resourceSpans", "scopeSpans", "spans"], ["resourceLogs", "scopeLogs", "logRecords"]];

/// What of a request is needed to count its records.
#[derive(Deserialize)]
struct Request {
    #[serde(default, rename = "resourceSpans", alias = "resourceLogs")]
    resources: Total<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default, rename = "scopeSpans", alias = "scopeLogs")]
    scopes: Total<Scope>,
}

#[derive(Deserialize)]
struct Scope {
    #[serde(default, rename = "spans", alias = "logRecords")]
    records: Total<IgnoredAny>,
}

/// The number of records in all items of a list, which are not kept.
struct Total<T>(usize, PhantomData<T>);

impl<T> Default for Total<T> {
    fn default() -> Self {
        Self(0, PhantomData)
    }
}

trait Records {
    fn records(&self) -> usize;
}

impl Records for Resource {
    fn records(&self) -> usize {
        self.scopes.0
    }
}

impl Records for Scope {
    fn records(&self) -> usize {
        self.records.0
    }
}

impl Records for IgnoredAny {
    fn records(&self) -> usize {
        1
    }
}

impl<'de, T: Deserialize<'de> + Records> Deserialize<'de> for Total<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de, T: Deserialize<'de> + Records> Visitor<'de> for Total<T> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(item) = list.next_element::<T>()? {
            self.0 += item.records();
        }
        Ok(self)
    }
}

/// The number of records in a body; `None` if it cannot be read.
pub(super) fn count(body: &str) -> Option<usize> {
    serde_json::from_str::<Request>(body).ok().map(|request| request.resources.0)
}

/// Hands the records of a request over, with what describes their scopes and resources, all as they were written. What is
/// not nested as OTLP's requests are is left out.
pub(super) fn split(body: &str, largest: usize, limit: usize) -> Option<Vec<Part>> {
    let request: &RawValue = serde_json::from_str(body).ok()?;
    let mut lists = None;
    each(request, |key, _| lists = LISTS.into_iter().find(|[resources, ..]| *resources == key).or(lists))?;
    let lists = lists?;
    let mut splitter = Splitter::new(Json(lists), largest, limit);
    let [resources, scopes, records] = lists;
    each_of(request, resources, &mut |resource| {
        splitter.begin_resource(rest(resource, scopes)?);
        each_of(resource, scopes, &mut |scope| {
            splitter.begin_scope(rest(scope, records)?);
            each_of(scope, records, &mut |record| {
                splitter.add(record.get().as_bytes());
                Some(())
            })
        })
    })?;
    Some(splitter.finish())
}

/// Calls a function with each item of a list of an object.
fn each_of<'a>(object: &'a RawValue, list: &str, f: &mut dyn FnMut(&'a RawValue) -> Option<()>) -> Option<()> {
    each(object, |key, value| {
        if key == list {
            // The caller knows how many records there are, and misses what cannot be read.
            let _ = each(value, |_, item| {
                let _ = f(item);
            });
        }
    })
}

/// The other fields of an object, each with a comma.
fn rest(object: &RawValue, list: &str) -> Option<Vec<u8>> {
    let mut rest = Vec::new();
    each(object, |key, value| {
        if key != list {
            rest.extend(serde_json::to_vec(key).unwrap_or_default());
            rest.push(b':');
            rest.extend_from_slice(value.get().as_bytes());
            rest.push(b',');
        }
    })?;
    Some(rest)
}

/// Calls a function with each field of an object, or with each item of a list and no key. They are not read themselves, so
/// neither their depth nor their numbers matter.
fn each<'a>(value: &'a RawValue, f: impl FnMut(&str, &'a RawValue)) -> Option<()> {
    serde_json::Deserializer::from_str(value.get()).deserialize_any(Each(f)).ok()
}

struct Each<F>(F);

impl<'a, F: FnMut(&str, &'a RawValue)> Visitor<'a> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            (self.0)(&key, value);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element()? {
            (self.0)("", item);
        }
        Ok(())
    }
}

/// The nesting of objects and lists.
#[derive(Debug)]
struct Json(Lists);

impl Nesting for Json {
    const OVERHEAD: usize = 64;

    fn add_record(&self, list: &mut Vec<u8>, record: &[u8]) {
        if !list.is_empty() {
            list.push(b',');
        }
        list.extend_from_slice(record);
    }

    fn add(&self, list: &mut Vec<u8>, level: Level, rest: &[u8], inner: &[u8]) {
        let [_, scopes, records] = self.0;
        let name = match level {
            Level::Resource => scopes,
            Level::Scope => records,
        };
        let comma = if list.is_empty() { "" } else { "," };
        for bytes in [comma.as_bytes(), b"{", rest, b"\"", name.as_bytes(), b"\":[", inner, b"]}"] {
            list.extend_from_slice(bytes);
        }
    }

    fn finish(&self, resources: Vec<u8>) -> Vec<u8> {
        [b"{\"", self.0[0].as_bytes(), b"\":[", &resources, b"]}"].concat()
    }
}
