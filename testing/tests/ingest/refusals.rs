//! What the ingest refuses, and with which status.

use serde_json::json;

use crate::support::{AUTH, ID, PATH, TYPE, post, post_envelope, start, statuses};

#[test]
fn a_request_needs_the_credentials_of_the_dsn() {
    let sentry = |text: &str| format!("X-Sentry-Auth: {text}");
    let cases = [
        (403, PATH, "", "expected X-Sentry-Auth"),
        (403, PATH, "Sentry sentry_version=7, sentry_key=other", "unknown sentry_key"),
        (403, PATH, "Sentry sentry_version=7, sentry_client=a/1", "expected a sentry_key"),
        (403, PATH, "Sentry sentry_version=6, sentry_key=public", "expected sentry_version 7"),
        (403, PATH, "Sentry sentry_key=public", "expected sentry_version 7"),
        (403, PATH, "Bearer sentry_version=7, sentry_key=public", "to start with `Sentry `"),
        (403, PATH, "Sentry sentry_version=7 sentry_key=public", "expected a sentry_key"),
        (403, PATH, "Sentry public", "of the form name=value"),
        (403, "/api/1/envelope/?sentry_key=public", "", "expected sentry_version 7"),
        (403, "/api/1/envelope/?sentry_key=p&sentry_version=7", "", "unknown sentry_key"),
        (200, PATH, "sENTRY sentry_key=public,sentry_secret=s,sentry_version=7", ""),
        (200, "/api/1/envelope/?sentry_version=7&sentry_key=public&sentry_client=a%2F1", "", ""),
    ];
    let ingest = start();
    for (status, path, auth, reason) in cases {
        let auth = sentry(auth);
        let headers = if auth.ends_with(": ") { vec![TYPE] } else { vec![&auth, TYPE] };
        let response = post(&ingest, &format!("POST {path}"), &headers, b"{}");
        assert_eq!(response.status, status, "{path} {auth}");
        let error = response.header("x-sentry-error").unwrap_or_default();
        assert!(error.contains(reason), "{path} {auth}: {error}");
    }
    assert_eq!(ingest.envelopes().len(), 2);
}

#[test]
fn a_dsn_in_the_envelope_is_a_credential_and_must_name_the_project() {
    let ingest = start();
    let cases = [
        (200, "http://public@tunnel.example:9000/1"),
        (200, "https://public:secret@o1.ingest.sentry.io/1"),
        (400, "http://public@localhost/2"),
        (400, "http://other@localhost/1"),
        (400, "nonsense"),
    ];
    for (status, dsn) in cases {
        let body = json!({ "dsn": dsn }).to_string();
        for headers in [vec![TYPE], vec![AUTH, TYPE]] {
            let response = post(&ingest, &format!("POST {PATH}"), &headers, body.as_bytes());
            assert_eq!(response.status, status, "{dsn} {headers:?}");
        }
    }
}

#[test]
fn a_request_needs_the_right_path_and_method_and_no_wrong_content_type() {
    let cases = [
        (404, "POST /api/1/envelope", AUTH, TYPE),
        (404, "POST /api/2/envelope/", AUTH, TYPE),
        (404, "POST /api/1/store/", AUTH, TYPE),
        (405, "PUT /api/1/envelope/", AUTH, TYPE),
        (405, "GET /stream", AUTH, TYPE),
        (405, "OPTIONS /api/1/envelope/", "Origin: http://localhost", "Access-Control-Request-Method: POST"),
        (415, "POST /api/1/envelope/", AUTH, "Content-Type: application/json"),
        (200, "POST /api/1/envelope/", AUTH, "Accept: */*"),
        (200, "POST /api/1/envelope/", AUTH, "content-type: Application/X-Sentry-Envelope; a=b"),
        (200, "POST /api/1/envelope/", AUTH, "Content-Type: text/plain;charset=UTF-8"), // from a page
    ];
    let ingest = start();
    for (status, line, auth, content_type) in cases {
        let response = post(&ingest, line, &[auth, content_type], b"{}");
        assert_eq!(response.status, status, "{line} {content_type}");
        assert_eq!(response.header("x-sentry-error").is_some(), status != 200, "{line}");
        assert_eq!(response.header("access-control-allow-origin"), Some("*"), "a page may read each answer");
        let exposed = response.header("access-control-expose-headers").unwrap_or_default();
        assert!(exposed.contains("x-sentry-rate-limits"), "{exposed}");
    }
    let wanted: Vec<_> = cases.iter().map(|case| Some(case.0)).collect();
    assert_eq!(statuses(&ingest), wanted);
    assert_eq!(ingest.envelopes().len(), 3);
}

#[test]
fn an_envelope_has_at_most_one_event_and_an_id_for_it() {
    let id = format!("{{\"event_id\":\"{ID}\"}}");
    let event = "{\"type\":\"event\"}\n{}\n";
    let transaction = "{\"type\":\"transaction\"}\n{}\n";
    let attachment = "{\"type\":\"attachment\"}\n?\n";
    let log = "{\"type\":\"log\"}\n{}\n";
    let cases = [
        (200, format!("{id}\n{event}{attachment}{attachment}{log}")),
        (200, format!("{{}}\n{log}{log}")),
        (400, format!("{id}\n{event}{event}")),
        (400, format!("{id}\n{transaction}{transaction}")),
        (400, format!("{id}\n{event}{transaction}")),
        (400, format!("{{}}\n{event}")),
        (400, format!("{{}}\n{transaction}")),
        (400, format!("{{}}\n{attachment}")),
        (400, format!("{id}\n{{\"type\":\"transaction\"}}\n[]")),
        (400, format!("{id}\n{{\"type\":\"transaction\"}}\n{{")),
    ];
    let ingest = start();
    for (status, body) in cases {
        let response = post_envelope(&ingest, &[], body.as_bytes());
        assert_eq!(response.status, status, "{body}");
    }
}

#[test]
fn an_item_beyond_the_limit_of_its_type_is_refused() {
    const MIB: usize = 1024 * 1024;
    let ingest = start();
    let cases = [
        (200, "transaction", MIB),
        (413, "transaction", MIB + 1),
        (413, "event", MIB + 1),
        (200, "attachment", MIB + 1),
        (413, "client_report", 100 * 1024 + 1),
    ];
    for (status, item_type, size) in cases {
        let payload = format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
        assert_eq!(payload.len(), size);
        let body = format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"{item_type}\"}}\n{payload}");
        let response = post_envelope(&ingest, &[], body.as_bytes());
        assert_eq!(response.status, status, "{item_type} of {size}");
    }
}
