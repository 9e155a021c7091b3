//! Check-ins of cron monitors through the facade.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanBuilder, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use opentelemetry_sentry::{
    Sentry, SentryBuilder, SentrySampler, TraceLifecycle,
    exporter::{
        DropReason,
        testing::{CheckIn, LocalIngest},
    },
};
use tracing_subscriber::prelude::*;

use crate::support::{PATIENCE, exporter_to, pair, processor_to, reported, sentry_to_ingest};

const LIFECYCLES: [TraceLifecycle; 2] = [TraceLifecycle::Transactions, TraceLifecycle::Stream];

fn tracer(sentry: &Sentry) -> SdkTracer {
    sentry.tracer_provider().tracer("test")
}

fn job(name: &'static str, slug: &'static str) -> SpanBuilder {
    SpanBuilder::from_name(name).with_attributes([KeyValue::new("sentry.monitor.slug", slug)])
}

/// Waits for the check-in of a start, which leaves while the job runs.
fn started(ingest: &LocalIngest) -> CheckIn {
    ingest.wait_until(PATIENCE, |_| !ingest.check_ins().is_empty()).expect("a start");
    ingest.check_ins().remove(0)
}

/// Slug and status of each check-in.
fn outline(ingest: &LocalIngest) -> Vec<(String, String)> {
    ingest.check_ins().into_iter().map(|check_in| (check_in.slug, check_in.status)).collect()
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(slug, status)| (slug.to_owned(), status.to_owned())).into()
}

/// Runs a job and checks what arrived: a start while it ran, then an end.
fn check_job(builder: SentryBuilder, ingest: &LocalIngest) {
    let sentry = builder.with_environment("e2e").build().expect("a valid setup");
    let start = SystemTime::now() - Duration::from_secs(90);
    let attributes = [
        KeyValue::new("sentry.monitor.slug", "nightly"),
        KeyValue::new("sentry.monitor.schedule", "0 3 * * *"),
        KeyValue::new("sentry.monitor.max_runtime", 10),
    ];
    let builder = SpanBuilder::from_name("work").with_attributes(attributes).with_start_time(start);
    let mut span = tracer(&sentry).build_with_context(builder, &Context::new());
    let first = started(ingest);
    assert_eq!((first.slug.as_str(), first.status.as_str(), first.duration), ("nightly", "in_progress", None));
    assert_eq!((first.environment.as_str(), &first.trace_id), ("e2e", &span.span_context().trace_id().to_string()));
    assert_eq!(first.config["schedule"]["value"], "0 3 * * *");
    assert_eq!(first.config["max_runtime"], 10);
    span.end_with_timestamp(start + Duration::from_millis(1500));
    sentry.flush(PATIENCE).expect("everything arrives");
    let [_, second] = &ingest.check_ins()[..] else { panic!("{:?}", outline(ingest)) };
    assert_eq!((second.status.as_str(), second.duration), ("ok", Some(1.5)));
    assert_eq!((&second.id, &second.config, &second.trace_id), (&first.id, &first.config, &first.trace_id));
    let stats = sentry.stats();
    assert_eq!((stats.check_ins_received, stats.check_ins_sent, stats.check_ins_pending), (2, 2, 0), "{stats}");
}

#[test]
fn a_job_checks_in_whether_its_trace_is_sampled_or_not() {
    for lifecycle in LIFECYCLES {
        for rate in [1.0, 0.0] {
            let (ingest, builder) = sentry_to_ingest();
            check_job(builder.with_lifecycle(lifecycle).with_traces_sample_rate(rate), &ingest);
            let spans = ingest.transactions().len() + ingest.spans().len();
            assert_eq!(spans, rate as usize, "{lifecycle:?}, {rate}");
        }
    }
}

#[test]
fn a_job_checks_in_without_tracing_below_an_unsampled_root_and_where_all_traces_are_recorded() {
    let ingest = LocalIngest::start().expect("a free port");
    check_job(Sentry::builder().with_dsn(ingest.dsn()), &ingest);
    assert_eq!(ingest.transactions().len(), 0);

    let (ingest, builder) = sentry_to_ingest();
    let sampler = SentrySampler::builder().with_rate(0.0).with_record_all(true).build().expect("a valid sampler");
    check_job(builder.with_sampler(sampler), &ingest);
    assert_eq!(ingest.transactions().len(), 0);
}

#[test]
fn each_job_below_a_scheduler_checks_in_whatever_becomes_of_the_scheduler() {
    for lifecycle in LIFECYCLES {
        for rate in [1.0, 0.0] {
            let (ingest, builder) = sentry_to_ingest();
            let builder = builder.with_lifecycle(lifecycle).with_traces_sample_rate(rate);
            let sentry = builder.build().expect("a valid setup");
            let tracer = tracer(&sentry);
            let scheduler = Context::new().with_span(tracer.start_with_context("scheduler", &Context::new()));
            for slug in ["a", "b", "a"] {
                let mut job = tracer.build_with_context(job("job", slug), &scheduler);
                // The spans of the job.
                let cx = Context::new().with_remote_span_context(job.span_context().clone());
                tracer.start_with_context("step", &cx).end();
                job.end();
            }
            sentry.flush(PATIENCE).expect("everything arrives");
            let check_ins = ingest.check_ins();
            let of = |slug: &str, status: &str| {
                check_ins.iter().filter(|one| (one.slug.as_str(), one.status.as_str()) == (slug, status)).count()
            };
            let counts = (of("a", "in_progress"), of("a", "ok"), of("b", "in_progress"), of("b", "ok"));
            assert_eq!(counts, (2, 2, 1, 1), "{lifecycle:?}, {rate}: {check_ins:?}");
            for end in check_ins.iter().filter(|one| one.status == "ok") {
                let place = |status: &str| check_ins.iter().position(|one| one.id == end.id && one.status == status);
                assert!(place("in_progress") < place("ok"));
            }
            drop(scheduler);
        }
    }
}

#[test]
fn the_outcome_of_a_function_of_tracing_is_that_of_its_job() {
    #[tracing::instrument(err, fields(sentry.monitor.slug = "fails", sentry.monitor.schedule = "@hourly"))]
    fn fails() -> Result<(), std::io::Error> {
        Err(std::io::Error::other("disk full"))
    }
    #[tracing::instrument(fields(sentry.monitor.slug = "panics"))]
    fn panics() {
        panic!("the job's own")
    }
    #[tracing::instrument(fields(sentry.monitor.slug = "works", sentry.monitor.schedule.value = 5, sentry.monitor.schedule.unit = "minutes"))]
    fn works() {}

    for rate in [1.0, 0.0] {
        let (ingest, builder) = sentry_to_ingest();
        let sentry = builder.with_traces_sample_rate(rate).build().expect("a valid setup");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(sentry.tracing_layer()), || {
            assert!(fails().is_err());
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
            works();
        });
        sentry.flush(PATIENCE).expect("everything arrives");
        let mut ends = outline(&ingest);
        ends.retain(|(_, status)| status != "in_progress");
        ends.sort();
        assert_eq!(ends, pairs([("fails", "error"), ("panics", "error"), ("works", "ok")]), "{rate}");
        let config = |slug: &str| ingest.check_ins().into_iter().find(|one| one.slug == slug).expect("one").config;
        assert_eq!(config("fails")["schedule"]["value"], "@hourly");
        assert_eq!(config("works")["schedule"]["unit"], "minute");
        assert_eq!(sentry.stats().check_ins_sent, 6);
    }
}

#[test]
fn a_monitor_that_is_known_after_the_start_alone_gets_one_check_in_at_the_end() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    let mut span = tracer(&sentry).start_with_context("work", &Context::new());
    span.set_attribute(KeyValue::new("sentry.monitor.slug", "late"));
    span.end();
    sentry.flush(PATIENCE).expect("everything arrives");
    assert_eq!(outline(&ingest), pairs([("late", "ok")]));
}

#[test]
fn an_ignored_job_checks_in() {
    for lifecycle in LIFECYCLES {
        let (ingest, builder) = sentry_to_ingest();
        let ignoring = builder.with_exporter(|exporter| exporter.with_ignore_spans(["work"]));
        check_job(ignoring.with_lifecycle(lifecycle), &ingest);
        assert_eq!(ingest.transactions().len() + ingest.spans().len(), 0, "{lifecycle:?}");
    }
}

#[test]
fn a_job_that_runs_at_the_shutdown_has_no_end() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    let tracer = tracer(&sentry);
    let span = tracer.build_with_context(job("work", "nightly"), &Context::new());
    sentry.shutdown(PATIENCE).expect("everything arrives");
    drop(span);
    assert_eq!(outline(&ingest), pairs([("nightly", "in_progress")]));
}

#[test]
fn a_slug_of_which_nothing_is_left_is_refused_with_a_count() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    tracer(&sentry).build_with_context(job("work", "/// 1"), &Context::new()).end();
    assert!(sentry.flush(PATIENCE).is_err(), "check-ins were lost");
    let stats = sentry.stats();
    assert_eq!((stats.check_ins_received, stats.dropped[&DropReason::Invalid].check_ins), (2, 2));
    sentry.shutdown(PATIENCE).expect("the loss was reported before");
    let (key, count) = pair("invalid", "monitor", 2);
    assert_eq!(reported(&ingest.envelopes()).get(&key), Some(&count));
    assert_eq!((ingest.check_ins(), ingest.transactions().len()), (Vec::new(), 1));
}

#[test]
fn a_job_checks_in_under_another_sampler_and_behind_another_processor() {
    let ingest = LocalIngest::start().expect("a free port");
    let processor = processor_to(&ingest);
    let provider =
        SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_span_processor(processor.clone()).build();
    let mut span = provider.tracer("test").build_with_context(job("work", "nightly"), &Context::new());
    started(&ingest);
    span.end();
    processor.flush(PATIENCE).expect("everything arrives");
    assert_eq!(outline(&ingest), pairs([("nightly", "in_progress"), ("nightly", "ok")]));

    let ingest = LocalIngest::start().expect("a free port");
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter_to(&ingest)).build();
    provider.tracer("test").build_with_context(job("work", "nightly"), &Context::new()).end();
    // An exporter sees no start.
    assert_eq!(started(&ingest).status, "ok");
    assert_eq!(ingest.check_ins().len(), 1);
}

#[test]
fn two_processors_of_a_provider_both_check_in() {
    let ingests = [(); 2].map(|()| LocalIngest::start().expect("a free port"));
    let processors = [&ingests[0], &ingests[1]].map(processor_to);
    let [first, second] = processors.clone();
    let provider = SdkTracerProvider::builder()
        .with_sampler(SentrySampler::rate(0.0).expect("a rate"))
        .with_span_processor(first)
        .with_span_processor(second)
        .build();
    let mut span = provider.tracer("test").build_with_context(job("work", "nightly"), &Context::new());
    ingests.iter().for_each(|ingest| drop(started(ingest)));
    span.end();
    for (processor, ingest) in processors.iter().zip(&ingests) {
        processor.flush(PATIENCE).expect("everything arrives");
        assert_eq!(outline(ingest), pairs([("nightly", "in_progress"), ("nightly", "ok")]));
    }
}

#[test]
fn a_capture_has_the_check_ins() {
    crate::support::run_alone("check_ins::captured", &[]);
}

#[test]
#[ignore = "takes the globals; the test before runs it in a process of its own"]
fn captured() {
    let sent = opentelemetry_sentry::testing::capture(|| {
        tracing::info_span!("work", sentry.monitor.slug = "nightly").in_scope(|| ());
    });
    let statuses: Vec<_> = sent.check_ins.iter().map(|check_in| check_in.status.as_str()).collect();
    assert_eq!(statuses, ["in_progress", "ok"]);
    assert_eq!(sent.transaction("work").trace_id, sent.check_ins[0].trace_id);
}
