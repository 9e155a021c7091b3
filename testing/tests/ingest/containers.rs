//! Which containers of streamed spans are accepted.

use opentelemetry_sentry_vectors::each;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{post_envelope, start};

#[derive(Deserialize)]
struct Case {
    trace: Value,
    containers: Vec<Container>,
    transaction: Option<Value>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Container {
    item_count: usize,
    spans: Vec<Value>,
}

impl Case {
    fn body(&self) -> String {
        let mut headers = if self.trace.is_null() { json!({}) } else { json!({ "trace": self.trace }) };
        let transaction = self.transaction.as_ref().map(|event| format!("\n{{\"type\":\"transaction\"}}\n{event}"));
        if transaction.is_some() {
            headers["event_id"] = "0".repeat(32).into();
        }
        let items = self.containers.iter().map(|Container { item_count, spans }| {
            let content_type = "application/vnd.sentry.items.span.v2+json";
            let header = json!({ "type": "span", "item_count": item_count, "content_type": content_type });
            format!("\n{header}\n{}", json!({ "version": 2, "items": spans }))
        });
        transaction.into_iter().chain(items).fold(headers.to_string(), |body, item| body + &item)
    }
}

#[test]
fn containers_are_checked_as_the_vectors_say() {
    let ingest = start();
    each("span_containers", |case: &Case| {
        ingest.clear();
        let response = post_envelope(&ingest, &[], case.body().as_bytes());
        let all: Vec<_> = case.containers.iter().flat_map(|container| container.spans.clone()).collect();
        match &case.error {
            None => {
                assert_eq!(response.status, 200, "{}", response.json());
                assert_eq!(ingest.spans(), all);
            }
            Some(part) => {
                assert_eq!((response.status, ingest.spans()), (400, Vec::new()));
                let answer = response.json().to_string();
                assert!(answer.contains(part.as_str()), "{answer}");
            }
        }
    });
}

#[test]
fn a_container_needs_its_content_type_and_version() {
    let trace = json!({ "trace": { "trace_id": "1", "public_key": "public" } });
    let kind = "application/vnd.sentry.items.span.v2+json";
    let bodies = [
        format!("{trace}\n{{\"type\":\"span\",\"item_count\":1}}\n{{}}"),
        format!("{trace}\n{{\"type\":\"span\",\"item_count\":1,\"content_type\":\"{kind}\"}}\n{{\"items\":[]}}"),
        format!("{trace}\n{{\"type\":\"span\",\"item_count\":1,\"content_type\":\"{kind}\"}}\n{{\"version\":2}}"),
        format!("{trace}\n{{\"type\":\"span\",\"item_count\":1,\"content_type\":\"{kind}\"}}\n{{"),
    ];
    let ingest = start();
    let reasons = ["content type", "version 2", "list of items", "JSON"];
    for (body, reason) in bodies.iter().zip(reasons) {
        let response = post_envelope(&ingest, &[], body.as_bytes());
        assert_eq!(response.status, 400, "{body}");
        assert!(response.json().to_string().contains(reason), "{reason}: {}", response.json());
    }
}
