//! Which check-ins of cron monitors are accepted.

use serde_json::{Value, json};

use crate::support::{post_envelope, start};

fn check_in() -> Value {
    json!({
        "check_in_id": "a460c25ff2554577b920fcfacae4e5eb",
        "monitor_slug": "nightly",
        "status": "ok",
        "environment": "production",
        "duration": 1.5,
        "monitor_config": {
            "schedule": { "type": "interval", "value": 2, "unit": "hour" }, "max_runtime": 10, "timezone": "Europe/Vienna"
        },
        "contexts": { "trace": { "trace_id": "771a43a4192642f0b136d5159a501700" } },
    })
}

fn body(check_in: &Value) -> String {
    format!("{{}}\n{{\"type\":\"check_in\"}}\n{check_in}")
}

#[test]
fn a_check_in_is_read() {
    let ingest = start();
    assert_eq!(post_envelope(&ingest, &[], body(&check_in()).as_bytes()).status, 200);
    let minimal =
        json!({ "check_in_id": "a460c25f-f255-4577-b920-fcfacae4e5eb", "monitor_slug": "m", "status": "error" });
    assert_eq!(post_envelope(&ingest, &[], body(&minimal).as_bytes()).status, 200);
    let [first, second] = &ingest.check_ins()[..] else { panic!("two check-ins") };
    assert_eq!((first.slug.as_str(), first.status.as_str(), first.duration), ("nightly", "ok", Some(1.5)));
    assert_eq!((first.id.as_str(), first.environment.as_str()), ("a460c25ff2554577b920fcfacae4e5eb", "production"));
    assert_eq!((&first.config["schedule"]["value"], first.trace_id.len()), (&json!(2), 32));
    assert_eq!((second.slug.as_str(), second.duration, &second.config), ("m", None, &Value::Null));
    assert_eq!(ingest.captured().check_ins, ingest.check_ins());
}

#[test]
fn what_sentry_would_refuse_or_change_is_refused() {
    let ingest = start();
    let config = |key: &str, value: Value| {
        let mut config = check_in()["monitor_config"].clone();
        config[key] = value;
        config
    };
    for (key, value, reason) in [
        ("check_in_id", "1".into(), "UUID"),
        ("check_in_id", Value::Null, "UUID"),
        ("monitor_slug", Value::Null, "slug"),
        ("monitor_slug", "".into(), "slug"),
        ("monitor_slug", "12".into(), "slug"),
        ("monitor_slug", "Nightly".into(), "slug"),
        ("monitor_slug", "x".repeat(51).into(), "slug"),
        ("status", "missed".into(), "status"),
        ("status", Value::Null, "status"),
        ("environment", "x".repeat(65).into(), "environment"),
        ("duration", (-1).into(), "duration"),
        ("duration", "1".into(), "duration"),
        ("contexts", json!({ "trace": { "trace_id": "1" } }), "trace"),
        ("monitor_config", json!({}), "schedule"),
        ("monitor_config", config("schedule", json!({ "type": "crontab" })), "schedule"),
        ("monitor_config", config("schedule", json!({ "type": "interval", "value": 0, "unit": "day" })), "schedule"),
        ("monitor_config", config("schedule", json!({ "type": "interval", "value": 1, "unit": "days" })), "schedule"),
        ("monitor_config", config("schedule", json!({ "type": "other", "value": 1 })), "schedule"),
        ("monitor_config", config("max_runtime", "10".into()), "numbers"),
        ("monitor_config", config("timezone", 1.into()), "time zone"),
    ] {
        let mut check_in = check_in();
        check_in[key] = value;
        let response = post_envelope(&ingest, &[], body(&check_in).as_bytes());
        let answer = response.json().to_string();
        assert_eq!((response.status, ingest.check_ins().len()), (400, 0), "{key}, {reason}: {answer}");
        assert!(answer.contains(reason), "{key}, {reason}: {answer}");
    }
}
