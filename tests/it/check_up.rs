//! The problems of a set-up that `check` finds.

use std::time::Duration;

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use opentelemetry_sentry::{Problem, Sentry, exporter::testing::Answer};

use crate::support::{PATIENCE, processor_to, sentry_to_ingest};

#[test]
fn a_set_up_that_works_has_only_the_problems_of_what_is_not_installed() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    assert_eq!(sentry.span_processor().check(PATIENCE), [Problem::NoSpans]);
    sentry.tracer_provider().tracer("test").start("work");
    sentry.flush(PATIENCE).unwrap();
    assert_eq!(sentry.span_processor().check(PATIENCE), []);
    // Nothing is installed in this process.
    assert_eq!(sentry.check(), [Problem::NoPropagator]);
    assert_eq!(ingest.transactions().len(), 1, "a check sends no transaction");
}

#[test]
fn a_check_reports_what_the_server_answers() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    sentry.tracer_provider().tracer("test").start("work");
    sentry.flush(PATIENCE).unwrap();
    let ask = |answer: Answer| {
        ingest.answer_next([answer]);
        sentry.span_processor().check(PATIENCE).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let refused = ask(Answer::status(403).with_header("x-sentry-error", "project disabled"));
    assert_eq!(refused, ["Sentry refuses what this DSN sends, with status 403: project disabled."]);
    assert!(
        ask(Answer::ok().with_header("date", "Sun, 06 Nov 1994 08:49:37 GMT"))[0].contains("ahead of the server's")
    );
    let unreachable = ask(Answer::close());
    assert!(unreachable[0].starts_with("Sentry cannot be reached: "), "{unreachable:?}");
}

#[test]
fn a_check_reports_another_sampler_and_a_missing_dsn() {
    let (ingest, _) = sentry_to_ingest();
    let processor = processor_to(&ingest);
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_span_processor(processor.clone());
    provider.build().tracer("test").start("work");
    assert_eq!(processor.check(PATIENCE), [Problem::OtherSampler]);
    let nowhere = Sentry::builder().with_dsn("").build().unwrap();
    assert_eq!(nowhere.check(), [Problem::NoDsn, Problem::TracingOff, Problem::NoPropagator]);
}

#[test]
fn only_one_check_at_a_time_asks_a_server_that_does_not_answer() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_with(Answer::hang());
    let sentry = builder.build().unwrap();
    let short = Duration::from_millis(5);
    let first = sentry.span_processor().check(short);
    assert!(first[0].to_string().contains("no answer within"), "{first:?}");
    for _ in 0..20 {
        let next = sentry.span_processor().check(PATIENCE);
        assert!(next[0].to_string().contains("an earlier check"), "{next:?}");
    }
}
