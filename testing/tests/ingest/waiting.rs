//! Waiting for envelopes, forgetting them, and Spotlight.

use std::{thread, time::Duration};

use opentelemetry_sentry_testing::{Answer, Envelope};

use crate::support::{ID, LONG, NONE, TYPE, names, post, post_envelope, start, transaction};

#[test]
fn a_wait_that_times_out_reports_what_was_wanted_and_what_arrived() {
    let ingest = start();
    post_envelope(&ingest, &[], &transaction("one"));
    assert_eq!(ingest.wait_for(1, NONE).expect("it is there").len(), 1);

    let timeout = Duration::from_millis(1);
    let error = ingest.wait_for(3, timeout).expect_err("only one came");
    assert_eq!(error.to_string(), "wanted 3 envelopes, accepted 1 within 1ms");
    let error = ingest.wait_until(timeout, |_| false).expect_err("never");
    let wanted = "the condition did not hold with 1 accepted envelopes within 1ms";
    assert_eq!(error.to_string(), wanted);

    post_envelope(&ingest, &["Content-Encoding: snappy"], b"{}");
    let error = ingest.wait_for(2, timeout).expect_err("it was refused");
    let wanted = "wanted 2 envelopes, accepted 1 within 1ms; refused 1, the last one because of \
                  unknown content encoding: expected gzip, deflate, br or zstd, found \"snappy\"";
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn a_wait_ends_when_the_envelope_arrives() {
    let ingest = start();
    thread::scope(|scope| {
        let count = scope.spawn(|| ingest.wait_for(2, LONG));
        let condition = scope.spawn(|| {
            let last = |envelopes: &[Envelope]| envelopes.len() == 2;
            ingest.wait_until(LONG, last)
        });
        for name in ["one", "two"] {
            post_envelope(&ingest, &[], &transaction(name));
        }
        for waiting in [count, condition] {
            let envelopes = waiting.join().expect("no panic").expect("in time");
            assert_eq!(envelopes.len(), 2);
        }
    });
}

#[test]
fn clear_forgets_requests_but_not_answers() {
    let ingest = start();
    ingest.answer_with(Answer::status(202));
    post_envelope(&ingest, &[], &transaction("old"));
    ingest.clear();
    assert!(ingest.envelopes().is_empty() && ingest.requests().is_empty());
    ingest.wait_for(1, NONE).expect_err("it was forgotten");
    assert_eq!(post_envelope(&ingest, &[], &transaction("new")).status, 202);
    assert_eq!(names(&ingest), ["new"]);
}

#[test]
fn envelopes_to_spotlight_are_always_accepted_and_kept_separately() {
    let ingest = start();
    ingest.answer_with(Answer::status(503));
    let url = format!("http://{}/stream", ingest.address());
    assert_eq!(ingest.spotlight_url(), url);
    let response = post(&ingest, "POST /stream", &[TYPE], &transaction("seen"));
    assert_eq!(response.status, 200);
    let response = post(&ingest, "POST /stream", &[], b"no envelope");
    assert_eq!(response.status, 200);

    assert_eq!(ingest.spotlight().len(), 1);
    assert_eq!(ingest.spotlight()[0].event_id(), Some(ID));
    assert_eq!(ingest.envelopes(), []);
    let refusals = ingest.requests();
    let refusals: Vec<_> = refusals.iter().map(|r| r.refusal().is_some()).collect();
    assert_eq!(refusals, [false, true]);
}
