//! The event as structs that have every value already and only have to be written.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

/// A transaction.
#[derive(Deserialize, Serialize)]
pub(crate) struct Event {
    r#type: Text,
    event_id: Text,
    platform: Text,
    sdk: Sdk,
    release: Text,
    environment: Text,
    server_name: Text,
    transaction: Text,
    transaction_info: Info,
    start_timestamp: f64,
    timestamp: f64,
    contexts: Contexts,
    request: Request,
    spans: Vec<Span>,
}

#[derive(Deserialize, Serialize)]
struct Sdk {
    name: Text,
    version: Text,
}

#[derive(Deserialize, Serialize)]
struct Info {
    source: Text,
}

/// The contexts that depend on the resource only are serialised once for all events, as the exporter does it.
#[derive(Deserialize, Serialize)]
struct Contexts {
    trace: Trace,
    otel: Box<RawValue>,
    os: Box<RawValue>,
    response: Response,
}

#[derive(Deserialize, Serialize)]
struct Trace {
    trace_id: Text,
    span_id: Text,
    op: Text,
    status: Text,
    origin: Text,
    data: Data,
}

#[derive(Deserialize, Serialize)]
struct Response {
    status_code: i64,
}

#[derive(Deserialize, Serialize)]
struct Request {
    method: Text,
    url: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<Data>,
}

#[derive(Deserialize, Serialize)]
struct Span {
    trace_id: Text,
    span_id: Text,
    parent_span_id: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<Text>,
    status: Text,
    origin: Text,
    data: Data,
    description: Text,
    start_timestamp: f64,
    timestamp: f64,
}

/// Keys and values in their order.
struct Data(Vec<(Text, Plain)>);

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Plain {
    Flag(bool),
    Number(i64),
    Float(f64),
    Text(Text),
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> de::Visitor<'de> for InOrder {
    type Value = Data;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Data(entries))
    }
}

/// A text that lives as long as the program.
#[derive(Serialize)]
struct Text(&'static str);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.leak()))
    }
}
