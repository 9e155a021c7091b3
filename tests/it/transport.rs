//! Limits, retries, client reports and the directory for what could not be delivered.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sentry::{
    FlushError, Sentry,
    exporter::{
        DropReason,
        testing::{Answer, LocalIngest},
    },
};
use serde_json::{Value, json};

use crate::support::{PATIENCE, dropped, end_spans, pair, reported, sentry_to_ingest};

#[test]
fn what_gets_no_answer_is_sent_again() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::close(), Answer::close()]);
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!((ingest.requests().len(), ingest.transactions().len()), (3, 1));
}

#[test]
fn three_times_without_an_answer_are_enough() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::close(), Answer::close(), Answer::close()]);
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 1 }));
    assert_eq!(dropped(&sentry.stats()), BTreeMap::from([(DropReason::NetworkError, 1)]));
}

#[test]
fn a_server_that_says_too_many_is_left_alone_and_told_later() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::status(429).with_header("x-sentry-rate-limits", "60:transaction:key")]);
    let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
    end_spans(&sentry, 1);
    assert!(sentry.flush(PATIENCE).is_err());
    end_spans(&sentry, 2);
    assert!(sentry.flush(PATIENCE).is_err());
    assert_eq!(ingest.requests().len(), 1, "nothing is sent in vain");
    let expected = BTreeMap::from([(DropReason::RateLimited, 1), (DropReason::RateLimitBackoff, 2)]);
    assert_eq!(dropped(&sentry.stats()), expected);
    sentry.shutdown(PATIENCE).unwrap_or_default();
    // The server counts what it answered 429 to.
    let expected = BTreeMap::from([pair("ratelimit_backoff", "transaction", 2), pair("ratelimit_backoff", "span", 2)]);
    assert_eq!(reported(&ingest.envelopes()), expected);
}

#[test]
fn a_limit_counts_whatever_the_status_and_for_its_category_alone() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::ok().with_header("x-sentry-rate-limits", "60:error:org")]);
    let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    let mut span = sentry.tracer_provider().tracer("test").start("work");
    opentelemetry::trace::Span::record_error(&mut span, &std::io::Error::other("lost"));
    drop(span);
    assert_eq!(sentry.flush(PATIENCE), Ok(()), "its span was sent");
    assert_eq!(ingest.transactions().len(), 2);
    assert_eq!(sentry.stats().dropped[&DropReason::RateLimitBackoff].errors, 1);
}

#[test]
fn losses_ride_on_the_next_envelope_and_again_if_that_is_lost() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_ignore_transactions(["ignored"])).build().unwrap();
    sentry.tracer_provider().tracer("test").start("ignored");
    assert_eq!(sentry.flush(PATIENCE), Ok(()), "nothing is lost that was to be ignored");
    ingest.answer_next([Answer::status(500)]);
    end_spans(&sentry, 1);
    assert!(sentry.flush(PATIENCE).is_err());
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    let expected = BTreeMap::from([
        pair("ignored", "transaction", 1),
        pair("ignored", "span", 1),
        pair("send_error", "transaction", 1),
        pair("send_error", "span", 1),
    ]);
    assert_eq!(reported(&ingest.envelopes()), expected);
    end_spans(&sentry, 1);
    sentry.flush(PATIENCE).unwrap();
    assert_eq!(reported(&ingest.envelopes()), expected, "once");
}

#[test]
fn a_shutdown_tells_of_the_last_losses() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_traces_sample_rate(0.0).build().unwrap();
    end_spans(&sentry, 3);
    sentry.shutdown(PATIENCE).unwrap();
    let expected = BTreeMap::from([pair("sample_rate", "transaction", 3), pair("sample_rate", "span", 3)]);
    assert_eq!(reported(&ingest.envelopes()), expected);
    assert_eq!(ingest.envelopes()[0].headers().get("event_id"), None);
}

#[test]
fn what_could_not_be_delivered_is_kept_and_sent_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_with(Answer::close());
    let processor = {
        let sentry = builder.with_spool_dir(dir.path()).build().unwrap();
        end_spans(&sentry, 3);
        assert_eq!(sentry.flush(PATIENCE), Ok(()), "what is kept is not lost");
        end_spans(&sentry, 2);
        let processor = sentry.span_processor().clone();
        sentry.shutdown(Duration::from_secs(2)).unwrap();
        processor
    };
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_spooled, stats.spans_sent), (5, 5, 0));
    assert_eq!(dropped(&stats), BTreeMap::new());

    ingest.answer_with(Answer::ok());
    let next = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).with_spool_dir(dir.path());
    let next = next.build().unwrap();
    ingest.wait_for(5, PATIENCE).unwrap();
    next.flush(PATIENCE).unwrap();
    let stats = next.stats();
    let envelopes = ingest.envelopes();
    assert_eq!(envelopes.len(), 5);
    assert!(envelopes.iter().all(|envelope| envelope.trace().is_some() && envelope.headers().contains_key("sent_at")));
    let names: Vec<Value> = ingest.transactions().iter().map(|event| event["transaction"].clone()).collect();
    assert_eq!(names, vec![json!("work"); 5]);
    next.shutdown(PATIENCE).unwrap();
    assert!(stats.spans_received >= 4, "the answer to the last one may still be on its way");
    assert_eq!(left_in(dir.path()), 0);
}

/// Envelopes in the folders of a directory.
fn left_in(dir: &std::path::Path) -> usize {
    let folders = std::fs::read_dir(dir).expect("a directory").map(|folder| folder.expect("a folder").path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).expect("a folder"));
    files
        .filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|kind| kind == "envelope")))
        .count()
}

#[test]
fn a_directory_that_is_none_costs_nothing_but_the_spans() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ingest = LocalIngest::start().unwrap();
    ingest.answer_with(Answer::close());
    let builder = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0);
    let sentry = builder.with_spool_dir(file.path().join("below")).build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 1 }));
    assert_eq!(dropped(&sentry.stats()), BTreeMap::from([(DropReason::NetworkError, 1)]));
    ingest.answer_with(Answer::ok());
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
}
