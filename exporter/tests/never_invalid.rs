//! Whatever spans are exported, nothing is sent that Sentry would refuse, and every span is accounted for.

#[path = "support/any.rs"]
mod any;
#[path = "support/judge.rs"]
mod judge;
mod support;

use opentelemetry::{
    KeyValue, TraceFlags, TraceId,
    trace::{SpanContext, TraceState},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use opentelemetry_sentry_exporter::TraceLifecycle;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};

use crate::{
    any::{RESOURCE_KEYS, any_attribute, any_span, any_text},
    judge::faults,
    support::{Pipeline, span},
};

/// How many traces are generated.
const CASES: u32 = 250;

#[test]
fn no_spans_lead_to_an_event_that_sentry_refuses() {
    let pipeline = Pipeline::start(|builder| builder.with_release("shop@1.2.3").with_server_name("hostile"));
    let config = Config { cases: CASES, max_shrink_iters: 500, failure_persistence: None, ..Config::default() };
    let all_arrive = |spans: Vec<SpanData>| {
        let trace_id = pipeline.new_trace();
        check(&pipeline, spans.into_iter().map(|span| within(span, trace_id)).collect())
    };
    TestRunner::new(config).run(&vec(any_span(), 1..7), all_arrive).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_resource_leads_to_an_event_that_sentry_refuses() {
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let all_arrive = |(resource, release, environment): (Vec<KeyValue>, Option<String>, Option<String>)| {
        let mut pipeline = Pipeline::start(|mut builder| {
            builder = builder.with_server_name("hostile");
            builder = if let Some(release) = release { builder.with_release(release) } else { builder };
            if let Some(environment) = environment { builder.with_environment(environment) } else { builder }
        });
        pipeline.exporter.set_resource(&Resource::builder_empty().with_attributes(resource).build());
        check(&pipeline, vec![span(pipeline.new_trace(), 1, 0)])
    };
    let strategy =
        (vec(any_attribute(RESOURCE_KEYS), 0..12), prop::option::of(any_text()), prop::option::of(any_text()));
    TestRunner::new(config).run(&strategy, all_arrive).unwrap_or_else(|error| panic!("{error}"));
}

/// The ingest refuses what Sentry would refuse, or drop in silence.
#[test]
fn no_spans_lead_to_a_container_that_sentry_refuses() {
    let pipeline = Pipeline::start(|builder| {
        builder.with_server_name("hostile").with_lifecycle(TraceLifecycle::Stream).with_attribute("tenant", "acme")
    });
    let config = Config { cases: CASES, max_shrink_iters: 500, failure_persistence: None, ..Config::default() };
    let all_arrive = |spans: Vec<SpanData>| {
        let (before, count) = (pipeline.exporter.stats(), spans.len() as u64);
        let traces = [pipeline.new_trace(), pipeline.new_trace()];
        let spans = spans.into_iter().enumerate().map(|(number, span)| within(span, traces[number % 2])).collect();
        pipeline.send(spans);
        let requests = pipeline.ingest.requests();
        let refusals: Vec<_> = requests.iter().filter_map(|request| request.refusal()).collect();
        prop_assert!(refusals.is_empty(), "{:?}", refusals);
        let stats = pipeline.exporter.stats();
        prop_assert_eq!(stats.spans_received, before.spans_received + count, "{}", stats);
        prop_assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped(), "{}", stats);
        let arrived = pipeline.ingest.spans().len() as u64;
        prop_assert_eq!(arrived, stats.spans_sent - before.spans_sent, "{}", stats);
        Ok(())
    };
    TestRunner::new(config).run(&vec(any_span(), 1..12), all_arrive).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_trace_of_many_large_spans_is_sent_in_parts_that_sentry_accepts() {
    let pipeline = Pipeline::start(|builder| builder);
    let trace_id = pipeline.new_trace();
    let mut spans: Vec<_> = (1..2500).rev().map(|id| span(trace_id, id, id - 1)).collect();
    for large in &mut spans {
        large.attributes.push(KeyValue::new("text", "é".repeat(500)));
    }
    let sent = spans.len() as u64;
    check(&pipeline, spans).unwrap();
    assert_eq!(pipeline.exporter.stats().spans_sent, sent, "{}", pipeline.exporter.stats());
}

/// Exports spans and checks the envelopes that arrive.
fn check(pipeline: &Pipeline, spans: Vec<SpanData>) -> TestCaseResult {
    let before = pipeline.exporter.stats();
    let count = spans.len() as u64;
    let envelopes = pipeline.send(spans);
    let requests = pipeline.ingest.requests();
    let refusals: Vec<_> = requests.iter().filter_map(|request| request.refusal()).collect();
    prop_assert!(refusals.is_empty(), "{:?}", refusals);
    for envelope in envelopes {
        let faults = faults(&envelope);
        prop_assert!(faults.is_empty(), "{:#?}", faults);
    }
    let stats = pipeline.exporter.stats();
    prop_assert_eq!(stats.spans_received, before.spans_received + count, "{}", stats);
    prop_assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped(), "{}", stats);
    Ok(())
}

/// Moves a span to this trace, unless its trace id is invalid.
fn within(mut span: SpanData, trace_id: TraceId) -> SpanData {
    if span.span_context.trace_id() != TraceId::INVALID {
        let id = span.span_context.span_id();
        span.span_context = SpanContext::new(trace_id, id, TraceFlags::SAMPLED, false, TraceState::default());
    }
    span
}
