//! Which bytes are an envelope.

use opentelemetry_sentry_testing::Envelope;
use opentelemetry_sentry_vectors::each;
use serde::Deserialize;
use serde_json::json;

use crate::support::{ID, post_envelope, start};

#[derive(Deserialize)]
struct Case {
    bytes: String,
    items: Option<usize>,
    payloads: Option<Vec<String>>,
    error: Option<String>,
}

#[test]
fn envelopes_are_parsed_as_the_vectors_say() {
    each("envelope_framing", |case: &Case| match (Envelope::parse(case.bytes.as_bytes()), &case.error) {
        (Ok(envelope), None) => {
            assert_eq!(Some(envelope.items().len()), case.items);
            let payloads = envelope.items().iter().map(|item| item.payload());
            let wanted = case.payloads.iter().flatten();
            assert!(payloads.eq(wanted.map(String::as_bytes)), "{envelope:?}");
        }
        (Err(error), Some(part)) => {
            let message = error.to_string();
            assert!(message.contains(part), "{message}");
        }
        (Ok(envelope), Some(_)) => panic!("{envelope:?}"),
        (Err(error), None) => panic!("{error}"),
    });
}

#[test]
fn an_envelope_that_does_not_parse_is_refused_over_http_with_the_same_reason() {
    let ingest = start();
    each("envelope_framing", |case: &Case| {
        let Some(part) = &case.error else { return };
        let response = post_envelope(&ingest, &[], case.bytes.as_bytes());
        assert_eq!(response.status, 400);
        let header = response.header("x-sentry-error").expect("a reason");
        assert!(header.contains(part), "{header}");
        let body = response.json();
        assert_eq!(body["detail"], "bad envelope");
        let cause = body["causes"][0].as_str().expect("a cause");
        assert!(cause.contains(part), "{cause}");
    });
    assert_eq!(ingest.envelopes(), []);
}

#[test]
fn accessors_return_what_the_envelope_says() {
    let bytes =
        format!("{{\"event_id\":\"{ID}\",\"x\":1,\"trace\":{{\"trace_id\":\"t\"}}}}\n{{\"type\":\"a\",\"y\":2}}\n[3]");
    let envelope = Envelope::parse(bytes.as_bytes()).expect("an envelope");
    assert_eq!(envelope.event_id(), Some(ID));
    assert_eq!(envelope.headers()["x"], 1);
    assert_eq!(envelope.trace().expect("a trace")["trace_id"], "t");
    let item = &envelope.items()[0];
    assert_eq!((item.item_type(), &item.headers()["y"]), ("a", &json!(2)));
    assert_eq!(item.json().expect("JSON"), json!([3]));
}
