//! Which containers of logs are accepted.

use serde_json::{Value, json};

use crate::support::{post_envelope, start};

fn log() -> Value {
    json!({
        "timestamp": 1.5,
        "trace_id": "771a43a4192642f0b136d5159a501700",
        "span_id": "aaaaaaaaaaaaaaaa",
        "level": "info",
        "severity_number": 9,
        "body": "order placed",
        "attributes": { "order.items": { "type": "integer", "value": 3 } },
    })
}

fn body(logs: &[Value], count: usize) -> String {
    let content_type = "application/vnd.sentry.items.log+json";
    let header = json!({ "type": "log", "item_count": count, "content_type": content_type });
    format!("{{}}\n{header}\n{}", json!({ "version": 2, "items": logs }))
}

#[test]
fn logs_are_read_with_the_values_of_their_attributes() {
    let ingest = start();
    let mut outside = log();
    outside.as_object_mut().unwrap().remove("span_id");
    outside["body"] = "outside".into();
    assert_eq!(post_envelope(&ingest, &[], body(&[log(), outside], 2).as_bytes()).status, 200);
    assert_eq!(ingest.logs().len(), 2);
    let log = ingest.log("placed");
    assert_eq!((log.level.as_str(), log.severity_number, &log.body[..]), ("info", Some(9), "order placed"));
    assert_eq!(log.attributes["order.items"], 3);
    assert_eq!(log.span_id.as_deref(), Some("aaaaaaaaaaaaaaaa"));
    assert_eq!(ingest.log("outside").span_id, None);
}

#[test]
fn what_sentry_would_drop_in_silence_is_refused() {
    let ingest = start();
    let changed = |key: &str, value: Value| {
        let mut log = log();
        log[key] = value;
        body(&[log], 1)
    };
    for (body, reason) in [
        (body(&[], 0), "1 to 100"),
        (body(&vec![log(); 101], 101), "1 to 100"),
        (body(&[log()], 2), "item_count"),
        (changed("body", Value::Null), "required"),
        (changed("trace_id", Value::Null), "required"),
        (changed("timestamp", Value::Null), "required"),
        (changed("level", Value::Null), "required"),
        (changed("timestamp", "now".into()), "number"),
        (changed("body", 1.into()), "text"),
        (changed("level", "warning".into()), "levels"),
        (changed("trace_id", "0".repeat(32).into()), "ids"),
        (changed("span_id", "1".into()), "ids"),
        (changed("attributes", json!({ "k": { "type": "integer", "value": "1" } })), "type"),
        (changed("attributes", json!({ "k": { "type": "object", "value": {} } })), "type"),
    ] {
        let response = post_envelope(&ingest, &[], body.as_bytes());
        let answer = response.json().to_string();
        assert_eq!((response.status, ingest.logs().len()), (400, 0), "{reason}: {answer}");
        assert!(answer.contains(reason), "{reason}: {answer}");
    }
    assert_eq!(post_envelope(&ingest, &[], body(&vec![log(); 100], 100).as_bytes()).status, 200);
}
