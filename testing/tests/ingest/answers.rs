//! How a test makes the ingest answer.

use std::time::Duration;

use opentelemetry_sentry_testing::{Answer, Gate};
use serde_json::json;

use crate::support::{Client, LONG, names, post_envelope, start, statuses, transaction};

#[test]
fn answers_are_given_in_order_and_then_the_default_one() {
    let ingest = start();
    ingest.answer_with(Answer::status(503));
    ingest.answer_next([Answer::status(429).with_header("Retry-After", "30"), Answer::ok().with_body("{\"x\":1}")]);
    ingest.answer_next([Answer::status(202)]);
    let mut client = Client::new(&ingest);
    let mut exchange = |body: &[u8]| {
        client.envelope(body);
        client.response().expect("a response")
    };

    let limited = exchange(&transaction("limited"));
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("30")));
    assert_eq!(limited.json(), json!({ "detail": "the test answers 429" }));
    assert_eq!(exchange(b"no envelope").status, 400, "takes no answer away");
    let accepted = exchange(&transaction("accepted"));
    assert_eq!((accepted.status, accepted.json()), (200, json!({ "x": 1 })));
    assert_eq!(exchange(&transaction("accepted too")).status, 202);
    assert_eq!(exchange(&transaction("down")).status, 503);
    assert_eq!(exchange(&transaction("still down")).status, 503);

    assert_eq!(names(&ingest), ["accepted", "accepted too"]);
    let wanted = [429, 400, 200, 202, 503, 503].map(Some);
    assert_eq!(statuses(&ingest), wanted);
}

#[test]
fn the_answer_to_an_envelope_without_an_event_id_has_no_id() {
    let ingest = start();
    assert_eq!(post_envelope(&ingest, &[], b"{}").json(), json!({}));
}

#[test]
fn a_delayed_answer_does_not_hold_up_other_connections() {
    // Nothing waits for it: the ingest is dropped first.
    const DELAY: Duration = Duration::from_secs(24 * 60 * 60);
    let ingest = start();
    ingest.answer_next([Answer::ok().with_delay(DELAY)]);
    let mut slow = Client::new(&ingest);
    slow.envelope(&transaction("slow"));
    ingest.wait_until(LONG, |_| ingest.requests().len() == 1).expect("it arrives");
    assert_eq!(post_envelope(&ingest, &[], &transaction("fast")).status, 200);
    assert_eq!(statuses(&ingest), [None, Some(200)]);
    drop(ingest);
    assert!(slow.response().is_none());
}

#[test]
fn a_short_delay_ends() {
    let ingest = start();
    ingest.answer_next([Answer::ok().with_delay(Duration::from_millis(1))]);
    assert_eq!(post_envelope(&ingest, &[], &transaction("slow")).status, 200);
    assert_eq!(names(&ingest), ["slow"]);
}

#[test]
fn an_answer_behind_a_gate_is_given_when_the_gate_opens() {
    let ingest = start();
    let gate = Gate::new();
    ingest.answer_next([Answer::ok().with_gate(&gate)]);
    let mut held = Client::new(&ingest);
    held.envelope(&transaction("held"));
    ingest.wait_until(LONG, |_| ingest.requests().len() == 1).expect("it arrives");
    assert_eq!(post_envelope(&ingest, &[], &transaction("other")).status, 200);
    assert_eq!(names(&ingest), ["other"], "the answer to the first one is held back");
    gate.open();
    assert_eq!(held.response().expect("a response").status, 200);
    assert_eq!(names(&ingest), ["held", "other"], "in order of arrival");
    ingest.answer_next([Answer::ok().with_gate(&gate)]);
    assert_eq!(post_envelope(&ingest, &[], &transaction("later")).status, 200, "a gate stays open");
}

#[test]
fn an_envelope_whose_client_left_before_the_answer_is_not_accepted() {
    let ingest = start();
    let gate = Gate::new();
    ingest.answer_next([Answer::ok().with_gate(&gate)]);
    let mut client = Client::new(&ingest);
    client.envelope(&transaction("left"));
    ingest.wait_until(LONG, |_| ingest.requests().len() == 1).expect("it arrives");
    drop(client);
    // The ingest sees the end of the connection before it sees this request, and looks at it before the gate.
    assert_eq!(post_envelope(&ingest, &[], &transaction("next")).status, 200);
    gate.open();
    assert_eq!(post_envelope(&ingest, &[], &transaction("last")).status, 200);
    assert_eq!(names(&ingest), ["next", "last"]);
    assert_eq!(statuses(&ingest), [None, Some(200), Some(200)]);
}

#[test]
fn a_connection_can_be_closed_without_an_answer() {
    let ingest = start();
    ingest.answer_next([Answer::close()]);
    let mut client = Client::new(&ingest);
    client.envelope(&transaction("closed"));
    assert!(client.response().is_none());
    assert_eq!(statuses(&ingest), [None]);
    assert_eq!(ingest.envelopes(), []);
}

#[test]
fn a_hanging_connection_is_closed_when_the_ingest_is_dropped() {
    let ingest = start();
    ingest.answer_with(Answer::hang());
    let mut client = Client::new(&ingest);
    client.envelope(&transaction("hangs"));
    ingest.wait_until(LONG, |_| statuses(&ingest) == [None]).expect("it arrives");
    drop(ingest);
    assert!(client.response().is_none());
}

#[test]
fn an_answer_that_is_not_http_becomes_a_500() {
    let answers = [
        (Answer::status(7), "a status below 200"),
        (Answer::status(1000), "invalid status code"),
        (Answer::ok().with_header("a b", "c"), "invalid HTTP header name"),
        (Answer::ok().with_header("a", "b\nc"), "failed to parse header value"),
    ];
    let ingest = start();
    for (answer, part) in answers {
        ingest.answer_with(answer);
        let response = post_envelope(&ingest, &[], b"{}");
        assert_eq!(response.status, 500);
        let error = response.header("x-sentry-error").expect("a reason");
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(ingest.envelopes(), []);
}
