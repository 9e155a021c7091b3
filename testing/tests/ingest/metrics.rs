//! Which containers of metrics are accepted.

use opentelemetry_sentry_testing::Metric;
use opentelemetry_sentry_vectors::each;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{post_envelope, start};

#[derive(Deserialize)]
struct Case {
    items: Vec<Value>,
    #[serde(default)]
    expected: Vec<Read>,
    error: Option<String>,
}

/// Name, type, value, unit and span id.
type Read = (String, String, f64, Option<String>, Option<String>);

#[test]
fn containers_are_read_as_the_vectors_say() {
    let ingest = start();
    each("metric_containers", |case: &Case| {
        ingest.clear();
        let response = post_envelope(&ingest, &[], body(&case.items, case.items.len()).as_bytes());
        let read = |Metric { name, metric_type, value, unit, span_id, .. }| (name, metric_type, value, unit, span_id);
        let answer = response.json().to_string();
        let found = ingest.metrics();
        let json: Vec<_> = found.iter().map(|metric| metric.json.clone()).collect();
        let found: Vec<_> = found.into_iter().map(read).collect();
        match &case.error {
            None => assert_eq!((response.status, &found, &json), (200, &case.expected, &case.items), "{answer}"),
            Some(part) => {
                assert_eq!((response.status, found.len()), (400, 0));
                assert!(answer.contains(part.as_str()), "{answer}");
            }
        }
    });
}

fn metric() -> Value {
    json!({
        "timestamp": 1.5,
        "trace_id": "771a43a4192642f0b136d5159a501700",
        "span_id": "aaaaaaaaaaaaaaaa",
        "name": "checkout.duration",
        "type": "distribution",
        "value": 12.5,
        "unit": "millisecond",
        "attributes": { "plan": { "type": "string", "value": "free" } },
    })
}

fn body(metrics: &[Value], count: usize) -> String {
    let content_type = "application/vnd.sentry.items.trace-metric+json";
    let header = json!({ "type": "trace_metric", "item_count": count, "content_type": content_type });
    format!("{{}}\n{header}\n{}", json!({ "version": 2, "items": metrics }))
}

#[test]
fn metrics_are_read_with_the_values_of_their_attributes() {
    let ingest = start();
    let mut orders = metric();
    let fields = orders.as_object_mut().unwrap();
    fields.remove("span_id");
    fields.remove("unit");
    (orders["name"], orders["type"], orders["value"]) = ("orders".into(), "counter".into(), 5.into());
    assert_eq!(post_envelope(&ingest, &[], body(&[metric(), orders], 2).as_bytes()).status, 200);
    assert_eq!((ingest.metrics().len(), ingest.captured().metrics.len()), (2, 2));
    let metric = ingest.metric("checkout.duration");
    assert_eq!(
        (metric.metric_type.as_str(), metric.value, metric.unit.as_deref()),
        ("distribution", 12.5, Some("millisecond"))
    );
    assert_eq!((metric.span_id.as_deref(), &metric.attributes["plan"]), (Some("aaaaaaaaaaaaaaaa"), &"free".into()));
    let orders = ingest.metric("orders");
    assert_eq!((orders.value, orders.unit, orders.span_id), (5.0, None, None));
}

#[test]
fn what_sentry_would_drop_in_silence_is_refused() {
    let ingest = start();
    let changed = |key: &str, value: Value| {
        let mut metric = metric();
        metric[key] = value;
        body(&[metric], 1)
    };
    let rate = |rate: Value| {
        changed("attributes", json!({ "sentry.client_sample_rate": { "type": "double", "value": rate } }))
    };
    let two = format!("{}\n{}", body(&[metric()], 1), body(&[metric()], 1).split_once('\n').unwrap().1);
    for (body, reason) in [
        (body(&[], 0), "1 to 1000"),
        (body(&vec![metric(); 1001], 1001), "1 to 1000"),
        (body(&[metric()], 2), "item_count"),
        (two, "at most one container"),
        (body(&[metric()], 1).replace("trace-metric+json", "metric+json"), "content type"),
        (body(&[metric()], 1).replace("\"version\":2", "\"version\":1"), "version 2"),
        (changed("timestamp", Value::Null), "required"),
        (changed("trace_id", Value::Null), "required"),
        (changed("name", Value::Null), "required"),
        (changed("type", Value::Null), "required"),
        (changed("value", Value::Null), "required"),
        (changed("timestamp", "now".into()), "numbers"),
        (changed("value", "12".into()), "numbers"),
        (changed("type", "histogram".into()), "distribution"),
        (changed("name", " ".into()), "blank"),
        (changed("name", 1.into()), "blank"),
        (changed("trace_id", "0".repeat(32).into()), "ids"),
        (changed("span_id", "1".into()), "ids"),
        (changed("attributes", json!({ "k": { "type": "integer", "value": "1" } })), "type"),
        (changed("attributes", json!({ "k": { "type": "string", "value": "x".repeat(1 << 20) } })), "1 MiB"),
        (rate(0.into()), "sample rate"),
        (rate(1.5.into()), "sample rate"),
    ] {
        let response = post_envelope(&ingest, &[], body.as_bytes());
        let answer = response.json().to_string();
        assert_eq!((response.status, ingest.metrics().len()), (400, 0), "{reason}: {answer}");
        assert!(answer.contains(reason), "{reason}: {answer}");
    }
    let accepted = [body(&vec![metric(); 1000], 1000), rate(1.into()), changed("unit", "percent".into())];
    for body in accepted {
        assert_eq!(post_envelope(&ingest, &[], body.as_bytes()).status, 200);
    }
}
