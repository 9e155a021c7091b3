//! The wire cases of `tests/vectors/*.json` that are about attributes; their README describes the shapes.

use std::collections::BTreeMap;

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::SpanKind};
use opentelemetry_sentry_semantics::describe;
use opentelemetry_sentry_vectors::each;
use serde::Deserialize;

#[test]
fn describe_spans() {
    #[derive(Deserialize)]
    struct Case {
        kind: String,
        attributes: BTreeMap<String, Attribute>,
        op: Option<String>,
        description: String,
        source: String,
    }
    each("describe", |case: &Case| {
        let attributes = case.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.to_value()));
        let attributes: Vec<_> = attributes.collect();
        let description = describe("orig", &kind(&case.kind), &attributes);
        assert_eq!(description.op.as_deref(), case.op.as_deref());
        assert_eq!(description.name, case.description);
        assert_eq!(description.source.as_str(), case.source);
    });
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Attribute {
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
}

impl Attribute {
    fn to_value(&self) -> Value {
        match self {
            Self::Flag(flag) => (*flag).into(),
            Self::Text(text) => text.clone().into(),
            Self::Texts(texts) => {
                Value::Array(Array::String(texts.iter().map(|text| StringValue::from(text.clone())).collect()))
            }
        }
    }
}

fn kind(word: &str) -> SpanKind {
    match word {
        "client" => SpanKind::Client,
        "server" => SpanKind::Server,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        "internal" => SpanKind::Internal,
        other => panic!("no kind: {other}"),
    }
}
