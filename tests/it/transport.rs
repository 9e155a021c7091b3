//! Rate limits, retries, client reports and the spool directory.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
use opentelemetry_sentry::{
    FlushError,
    exporter::{
        DropReason,
        testing::{Answer, LocalIngest},
    },
};
use serde_json::{Value, json};

use crate::support::{PATIENCE, dropped, end_spans, eventually, pair, reported, sentry_at, sentry_to_ingest};

/// The timeout of what cannot succeed, as the server gives no answer.
const SHORT: Duration = Duration::from_secs(1);

#[test]
fn a_request_without_an_answer_is_sent_again() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::close(), Answer::close()]);
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!((ingest.requests().len(), ingest.transactions().len()), (3, 1));
}

#[test]
fn a_flush_waits_for_the_end_of_an_outage() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next(vec![Answer::close(); 8]);
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 3);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!((ingest.transactions().len(), sentry.stats().spans_dropped()), (3, 0));
}

#[test]
fn nothing_is_sent_while_a_rate_limit_lasts_and_the_loss_is_reported_later() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::status(429).with_header("x-sentry-rate-limits", "60:transaction:key")]);
    let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
    end_spans(&sentry, 1);
    assert!(sentry.flush(PATIENCE).is_err());
    end_spans(&sentry, 2);
    assert!(sentry.flush(PATIENCE).is_err());
    assert_eq!(ingest.requests().len(), 1, "nothing is sent while the limit lasts");
    let expected = BTreeMap::from([(DropReason::RateLimited, 1), (DropReason::RateLimitBackoff, 2)]);
    assert_eq!(dropped(&sentry.stats()), expected);
    sentry.shutdown(PATIENCE).unwrap_or_default();
    // The server itself counts what it answered with 429.
    let expected = BTreeMap::from([pair("ratelimit_backoff", "transaction", 2), pair("ratelimit_backoff", "span", 2)]);
    assert_eq!(reported(&ingest.envelopes()), expected);
}

#[test]
fn a_limit_applies_with_any_status_and_to_its_category_only() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::ok().with_header("x-sentry-rate-limits", "60:error:org")]);
    let sentry = builder.with_exceptions_as_errors(true).build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    let mut span = sentry.tracer_provider().tracer("test").start("work");
    span.record_error(&io::Error::other("lost"));
    drop(span);
    assert_eq!(sentry.flush(PATIENCE), Ok(()), "its span was sent");
    assert_eq!(ingest.transactions().len(), 2);
    assert_eq!(sentry.stats().dropped[&DropReason::RateLimitBackoff].errors, 1);
}

#[test]
fn losses_are_reported_with_the_next_envelope_and_again_if_that_is_lost() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_ignore_transactions(["ignored"])).build().unwrap();
    sentry.tracer_provider().tracer("test").start("ignored");
    assert_eq!(sentry.flush(PATIENCE), Ok(()), "an ignored transaction is not a loss");
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
fn a_shutdown_reports_the_last_losses() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_traces_sample_rate(0.0).build().unwrap();
    end_spans(&sentry, 3);
    sentry.shutdown(PATIENCE).unwrap();
    let expected = BTreeMap::from([pair("sample_rate", "transaction", 3), pair("sample_rate", "span", 3)]);
    assert_eq!(reported(&ingest.envelopes()), expected);
    assert_eq!(ingest.envelopes()[0].headers().get("event_id"), None);
}

#[test]
fn undelivered_spans_are_kept_on_disk_and_sent_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_with(Answer::close());
    let processor = {
        let sentry = builder.with_spool_dir(dir.path()).build().unwrap();
        end_spans(&sentry, 3);
        let is_kept = |spans| sentry.flush(SHORT) == Err(FlushError::KeptOnDisk { spans });
        eventually("not delivered, and not lost", || is_kept(3));
        end_spans(&sentry, 2);
        eventually("all are on disk", || is_kept(5));
        let processor = sentry.span_processor().clone();
        let result = sentry.shutdown(SHORT);
        // The worker may get no CPU to answer in time.
        let answers = [FlushError::KeptOnDisk { spans: 5 }, FlushError::Timeout(SHORT)].map(Err);
        assert!(answers.contains(&result), "{result:?}");
        processor
    };
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_spooled, stats.spans_sent), (5, 5, 0));
    assert_eq!(dropped(&stats), BTreeMap::new());

    ingest.answer_with(Answer::ok());
    let next = sentry_at(ingest.dsn()).with_spool_dir(dir.path()).build().unwrap();
    ingest.wait_for(5, PATIENCE).unwrap();
    eventually("the exporter sees all answers", || next.stats().spans_sent == 5);
    let envelopes = ingest.envelopes();
    assert_eq!(envelopes.len(), 5);
    assert!(envelopes.iter().all(|envelope| envelope.trace().is_some() && envelope.headers().contains_key("sent_at")));
    let names: Vec<Value> = ingest.transactions().iter().map(|event| event["transaction"].clone()).collect();
    assert_eq!(names, vec![json!("work"); 5]);
    next.shutdown(PATIENCE).unwrap();
    assert_eq!(left_in(dir.path()), 0);
}

/// Segments in the folders of a directory.
fn left_in(dir: &Path) -> usize {
    let folders = fs::read_dir(dir).expect("a directory").map(|folder| folder.expect("a folder").path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    files
        .filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|kind| kind == "segment")))
        .count()
}

#[test]
fn with_an_unusable_spool_directory_undelivered_spans_wait_in_memory() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ingest = LocalIngest::start().unwrap();
    ingest.answer_with(Answer::close());
    let sentry = sentry_at(ingest.dsn()).with_spool_dir(file.path().join("below")).build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(SHORT), Err(FlushError::Timeout(SHORT)));
    ingest.answer_with(Answer::ok());
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!((ingest.transactions().len(), sentry.stats().spans_dropped()), (2, 0));
}
