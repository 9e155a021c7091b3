//! Options of the exporter that are set through the facade.

use std::collections::HashMap;

use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sentry::{
    Sentry, SentryBuilder,
    exporter::{DropReason, testing::LocalIngest},
    protocol::{Baggage, DynamicSamplingContext, Service},
};

use crate::support::{PATIENCE, dropped, end_spans, sentry_to_ingest};

/// Sends a transaction; returns the dynamic sampling context of its headers, and checks that the envelope has the same.
fn sent(builder: SentryBuilder, ingest: &LocalIngest) -> DynamicSamplingContext {
    let sentry = builder.with_traces_sample_rate(1.0).build().expect("a valid set-up");
    let cx = Context::new().with_span(sentry.tracer_provider().tracer("test").start("work"));
    let mut headers = HashMap::new();
    sentry.propagator().inject_context(&cx, &mut headers);
    cx.span().end();
    sentry.flush(PATIENCE).expect("it arrives");

    let dsc = Baggage::parse([headers["baggage"].as_str()]).into_dsc().expect("members of Sentry");
    let envelopes = ingest.envelopes();
    let trace = envelopes[0].trace().expect("a trace header");
    for key in ["release", "environment", "public_key", "org_id"] {
        let in_envelope = trace.get(key).map(|value| value.as_str().expect("a text"));
        assert_eq!(in_envelope, dsc.get(key).as_deref(), "{key}");
    }
    dsc
}

#[test]
fn a_sender_that_is_set_inside_holds_for_headers_and_envelopes() {
    let ingest = LocalIngest::start().unwrap();
    let builder = Sentry::builder().with_exporter(|exporter| {
        exporter.with_dsn(ingest.dsn()).with_release("shop@2").with_environment("inside").with_server_name("host-2")
    });
    let dsc = sent(builder, &ingest);
    assert_eq!(dsc.get("release").as_deref(), Some("shop@2"));
    assert_eq!(dsc.get("environment").as_deref(), Some("inside"));
    assert_eq!(dsc.get("public_key").as_deref(), Some("public"));
    assert_eq!(ingest.transactions()[0]["server_name"], "host-2");
}

#[test]
fn of_two_calls_for_one_setting_the_last_counts() {
    let ingest = LocalIngest::start().unwrap();
    let inside_last = Sentry::builder()
        .with_dsn("http://public@127.0.0.1:1/1")
        .with_release("outside")
        .with_exporter(|exporter| exporter.with_dsn(ingest.dsn()).with_release("inside"));
    assert_eq!(sent(inside_last, &ingest).get("release").as_deref(), Some("inside"));

    let ingest = LocalIngest::start().unwrap();
    let outside_last = Sentry::builder()
        .with_exporter(|exporter| exporter.with_dsn("http://public@127.0.0.1:1/1").with_release("inside"))
        .with_dsn(ingest.dsn())
        .with_release("outside");
    assert_eq!(sent(outside_last, &ingest).get("release").as_deref(), Some("outside"));
}

#[test]
fn a_service_takes_the_place_of_dsn_release_and_environment() {
    let ingest = LocalIngest::start().unwrap();
    let service = Service::new(Some(ingest.dsn().parse().unwrap())).with_release(Some("whole@1".to_owned()));
    let builder = Sentry::builder()
        .with_exporter(|exporter| exporter.with_service(service))
        .with_dsn("http://public@127.0.0.1:1/1")
        .with_release("part@1")
        .with_environment("part")
        .with_org_id(7);
    let dsc = sent(builder, &ingest);
    assert_eq!(dsc.get("release").as_deref(), Some("whole@1"));
    assert_eq!(dsc.get("environment").as_deref(), Some("production"));
    assert_eq!(dsc.get("org_id").as_deref(), Some("7"), "the organisation is the facade's setting");
}

#[test]
fn what_is_wrong_inside_is_an_error_that_names_the_setting() {
    let error = |builder: SentryBuilder| builder.build().unwrap_err().to_string();
    let dsn = error(Sentry::builder().with_exporter(|exporter| exporter.with_dsn("nonsense")));
    assert!(dsn.starts_with("with_dsn: "), "{dsn}");
    let tag = error(Sentry::builder().with_dsn("").with_exporter(|exporter| exporter.with_tag("", "x")));
    assert!(tag.starts_with("with_tag: "), "{tag}");
}

#[test]
fn limits_reach_the_engine_and_the_decision_log_stays_the_sampler() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_queue_limit(1)).build().unwrap();
    end_spans(&sentry, 3);
    assert!(sentry.flush(PATIENCE).is_err());
    assert_eq!(dropped(&sentry.stats()), [(DropReason::QueueOverflow, 3)].into());

    let (_ingest, builder) = sentry_to_ingest();
    let builder = builder.with_exporter(|exporter| exporter.with_decision_log(Default::default()));
    let sentry = builder.with_traces_sample_rate(0.0).build().unwrap();
    end_spans(&sentry, 2);
    assert_eq!(dropped(&sentry.stats()), [(DropReason::SampleRate, 2)].into(), "the log is the sampler's");
}
