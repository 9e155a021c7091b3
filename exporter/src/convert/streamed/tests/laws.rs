//! Relay takes every span, whatever the application recorded.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::{Array, KeyValue, Value as Otel};
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{plain_span, sender};
use crate::{
    convert::streamed::StreamedSpan,
    json,
    trace::{EndedSpan, TraceLifecycle},
};

/// Keys that have rules of their own, beside arbitrary ones.
const KEYS: [&str; 18] = [
    "http.request.method",
    "http.method",
    "http.target",
    "url.path",
    "http.host",
    "net.peer.name",
    "server.address",
    "db.system",
    "db.statement",
    "sentry.op",
    "sentry.origin",
    "sentry.segment.id",
    "sentry.release",
    "sentry.environment",
    "service.name",
    "http.status_code",
    "gen_ai.prompt",
    "sentry.kind",
];

fn value() -> impl Strategy<Value = Otel> {
    prop_oneof![
        any::<bool>().prop_map(Otel::Bool),
        any::<i64>().prop_map(Otel::I64),
        any::<f64>().prop_map(Otel::F64),
        Just(Otel::F64(f64::NAN)),
        ".{0,12}".prop_map(|text: String| Otel::String(text.into())),
        prop::collection::vec(any::<f64>(), 0..4).prop_map(|values| Otel::Array(Array::F64(values))),
        prop::collection::vec(any::<i64>(), 0..4).prop_map(|values| Otel::Array(Array::I64(values))),
        prop::collection::vec(".{0,4}", 0..4)
            .prop_map(|texts| Otel::Array(Array::String(texts.into_iter().map(Into::into).collect()))),
    ]
}

fn any_span() -> impl Strategy<Value = SpanData> {
    let key = prop_oneof![prop::sample::select(&KEYS[..]).prop_map(str::to_owned), "[a-z.]{0,6}"];
    let attributes = prop::collection::vec((key, value()), 0..12);
    (attributes, ".{0,20}", 0..3_u64, any::<u32>(), any::<u32>()).prop_map(|(attributes, name, parent, start, end)| {
        let mut span = plain_span(7, parent);
        span.name = name.into();
        span.attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        span.start_time = UNIX_EPOCH + Duration::from_secs(start.into());
        span.end_time = UNIX_EPOCH + Duration::from_secs(end.into());
        span
    })
}

/// An object whose keys are all different; `serde_json` would keep the last of equal ones.
struct Unique(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Unique;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Unique, M::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Unique(all))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Whether Relay keeps an attribute: its value has the type that it claims.
fn is_valid(attribute: &Value) -> bool {
    let value = &attribute["value"];
    match attribute["type"].as_str() {
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("double") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.as_array().is_some_and(|values| values.iter().all(|value| !value.is_array())),
        _ => false,
    }
}

#[derive(Deserialize)]
struct Attributes {
    attributes: Unique,
}

proptest! {
    #[test]
    fn every_span_is_one_that_relay_takes(span in any_span(), is_beside: bool) {
        let (lifecycle, word) =
            if is_beside { (TraceLifecycle::Transactions, "static") } else { (TraceLifecycle::Stream, "stream") };
        let sender = sender();
        let span = EndedSpan::from(span);
        let streamed = StreamedSpan { sender: &sender, span: &span, segment: None, lifecycle };
        let text = serde_json::to_string(&streamed).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        for field in ["trace_id", "span_id", "name", "status", "start_timestamp", "end_timestamp", "is_segment"] {
            prop_assert!(!json[field].is_null(), "{} is missing in {}", field, text);
        }
        prop_assert!(matches!(json["status"].as_str(), Some("ok" | "error")));
        prop_assert!(json["start_timestamp"].as_f64() <= json["end_timestamp"].as_f64());
        let Unique(attributes) = serde_json::from_str::<Attributes>(&text).unwrap().attributes;
        let names: BTreeSet<_> = attributes.iter().map(|(key, _)| key).collect();
        prop_assert_eq!(names.len(), attributes.len(), "a key occurs twice in {}", text);
        for (key, attribute) in &attributes {
            prop_assert!(is_valid(attribute), "{}: {}", key, attribute);
        }
        prop_assert_eq!(&json["attributes"]["sentry.trace_lifecycle"]["value"], word);
        prop_assert!(json["is_segment"] == false || !is_beside);
        // What is copied is what would be written.
        prop_assert_eq!(String::from_utf8(json::to_vec(&streamed)).unwrap(), text);
    }
}
