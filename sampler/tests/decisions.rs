//! The decisions of `tests/vectors/sampling.json`, and those about child spans and by failing functions.

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use opentelemetry_sentry_protocol::{
    __shared::monitored, Decision, DynamicSamplingContext, Incoming, RemoteTrace, SampleRand, Service,
};
use opentelemetry_sentry_sampler::SentrySampler;
use opentelemetry_sentry_semantics::semconv;
use opentelemetry_sentry_vectors::each;
use proptest::prelude::*;
use serde::Deserialize;

const T: TraceId = TraceId::from_bytes([0x77; 16]);
const P: SpanId = SpanId::from_bytes([0xb0; 8]);

#[test]
fn sampling() {
    #[derive(Deserialize)]
    struct Case {
        sampler: Option<Function>,
        parent_sampled: Option<bool>,
        parent_rate: Option<f64>,
        rate: Option<f64>,
        rand: f64,
        sampled: Option<bool>,
        sample_rate_out: Option<String>,
    }
    each("sampling", |case: &Case| {
        let sampler = case.rate.into_iter().fold(SentrySampler::builder(), |builder, rate| builder.with_rate(rate));
        let sampler = match case.sampler.clone() {
            Some(function) => sampler.with_function(move |context| function.call(context)),
            None => sampler,
        };
        let cx = incoming(case.parent_sampled, case.parent_rate, case.rand);
        let result = sample(&sampler.build().unwrap(), &cx);
        assert_eq!(result.decision == SamplingDecision::RecordAndSample, case.sampled == Some(true));
        let decision = decision(&cx);
        match case.sampled {
            // Not recorded: the decision that came in is passed on.
            None => assert_eq!(decision.sampled, case.parent_sampled),
            sampled => assert_eq!(decision.sampled, sampled),
        }
        let rate = decision.frozen.as_ref().and_then(|dsc| dsc.get("sample_rate")).map(|rate| rate.into_owned());
        let came_in = case.parent_rate.map(|rate| rate.to_string());
        let expected = case.sample_rate_out.clone();
        assert_eq!(rate, if expected.as_deref() == Some("unchanged") { came_in } else { expected });
    });
}

#[test]
fn a_child_follows_its_local_parent_at_any_rate() {
    for (sampled, rate) in [(true, 0.0), (false, 1.0)] {
        let flags = TraceFlags::default().with_sampled(sampled);
        let state = TraceState::from_key_value([("a", "1")]).unwrap();
        let parent = SpanContext::new(T, P, flags, false, state.clone());
        let cx = Context::new().with_span(opentelemetry::testing::trace::TestSpan(parent));
        let result = sample(&SentrySampler::rate(rate).unwrap(), &cx);
        assert_eq!(result.decision == SamplingDecision::RecordAndSample, sampled);
        assert_eq!(result.attributes, []);
        assert_eq!(result.trace_state, state);
    }
}

#[test]
fn a_function_that_panics_or_returns_no_rate_samples_nothing() {
    let panics = SentrySampler::function(|_| panic!("the application's own"));
    for sampler in [panics, SentrySampler::function(|_| f64::NAN), SentrySampler::function(|_| 1.5)] {
        let cx = incoming(Some(true), Some(0.5), 0.1);
        assert_eq!(sample(&sampler, &cx).decision, SamplingDecision::Drop);
        assert_eq!(decision(&cx).sampled, Some(false));
    }
}

#[test]
fn a_decision_made_here_is_written_into_a_frozen_context() {
    let cx = incoming(Some(true), Some(0.9), 0.5);
    sample(&SentrySampler::function(|_| 0.25), &cx);
    let frozen = decision(&cx).frozen.clone().unwrap();
    assert_eq!(
        frozen.to_string(),
        "sentry-sample_rand=0.5,sentry-release=up,sentry-sampled=false,sentry-sample_rate=0.25"
    );
}

#[test]
fn one_request_is_decided_once() {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&calls);
    let sampler = SentrySampler::function(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        1.0
    });
    let cx = incoming(None, None, 0.5);
    assert_eq!(sample(&sampler, &cx).attributes, sample(&sampler, &cx).attributes);
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn a_second_trace_under_the_same_context_gets_its_own_decision() {
    let cx = Context::new().with_value(RemoteTrace::default());
    let sampler = SentrySampler::function(|context| if context.name == "first" { 1.0 } else { 0.0 });
    let start = |trace_id, name| sampler.should_sample(Some(&cx), trace_id, name, &SpanKind::Internal, &[], &[]);
    let second = TraceId::from_bytes([2; 16]);
    assert_eq!(start(T, "first").decision, SamplingDecision::RecordAndSample);
    assert_eq!(start(second, "second").decision, SamplingDecision::Drop);
    assert_eq!(decision(&cx).transaction.as_deref(), Some("first"));
    assert_eq!(sampler.decision_log().get(second).unwrap().transaction.as_deref(), Some("second"));
    assert_eq!(sampler.decision_log().get(T), None);
}

#[test]
fn only_sampled_roots_carry_attributes_for_the_exporter() {
    let rate = |rate| SentrySampler::rate(rate).unwrap();
    let keys = |result: SamplingResult| result.attributes.iter().map(|a| a.key.as_str().to_owned()).collect::<Vec<_>>();
    let new = Context::new();
    assert_eq!(keys(sample(&rate(1.0), &new)), [semconv::SENTRY_SAMPLE_RATE, semconv::DSC_TRANSACTION]);
    assert_eq!(keys(sample(&rate(0.0), &new)), [] as [&str; 0]);
    assert_eq!(keys(sample(&rate(0.0), &incoming(Some(true), None, 0.5))), [semconv::DSC_FROZEN]);
}

proptest! {
    /// For any incoming trace and any source of the rate, random value, rate and decision in the outgoing context agree.
    #[test]
    fn every_outgoing_context_agrees_with_its_decision(
        id in 1..u128::MAX,
        rate in 0.0..=1.0,
        flag in any::<Option<bool>>(),
        parent_rate in prop::option::of(0.0..=1.0),
        rand in prop::option::of(0.0..1.0),
        continued in any::<bool>(),
        by_function in any::<bool>(),
        limit in prop::option::of(0.0..3.0),
    ) {
        let trace_id = TraceId::from_bytes(id.to_be_bytes());
        let text = |value: Option<f64>| value.map(|value: f64| value.to_string()).unwrap_or_default();
        let (parent_rate, rand) = (text(parent_rate), text(rand));
        let entries = [("sample_rand", &*rand), ("sample_rate", &*parent_rate), ("release", "up")];
        let dsc = DynamicSamplingContext::from_entries(entries);
        let incoming = continued.then(|| Incoming::from_sentry(trace_id, flag, Some(dsc)));
        let cx = Context::new().with_value(RemoteTrace::new(incoming, ""));
        let sampler = SentrySampler::builder().with_rate(rate);
        let sampler = if by_function { sampler.with_function(move |_| rate) } else { sampler };
        let sampler = limit.into_iter().fold(sampler, |sampler, limit| sampler.with_max_traces_per_second(limit));
        let sampler = sampler.build().expect("a rate");
        let result = sampler.should_sample(Some(&cx), trace_id, "work", &SpanKind::Internal, &[], &[]);

        let remote = RemoteTrace::from_context(&cx).expect("was put there");
        let decision = remote.decision(trace_id).expect("was made");
        let rand = remote.incoming(trace_id).map_or(SampleRand::from_trace_id(trace_id), |incoming| incoming.sample_rand);
        let dsc = decision.frozen.clone().unwrap_or_else(|| Service::default().dsc(trace_id, rand, decision));
        prop_assert_eq!(result.decision == SamplingDecision::RecordAndSample, decision.sampled == Some(true));
        prop_assert_eq!(dsc.sample_rand(), Some(rand));
        if decision.sample_rate.is_some() {
            prop_assert_eq!(dsc.sample_rate(), decision.sample_rate);
            prop_assert_eq!(dsc.sample_rate().map(|rate| rand.is_below(rate)), decision.sampled);
        } else {
            prop_assert!(continued && !by_function, "only an inherited decision has no rate");
            prop_assert_eq!(decision.sampled, flag);
        }
        prop_assert!(dsc.sampled().is_none_or(|said| Some(said) == decision.sampled));
    }
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Function {
    Returns(Number),
    InheritOr(f64),
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(f64),
    Text(String),
}

impl Function {
    fn call(&self, context: &opentelemetry_sentry_sampler::SamplingContext<'_>) -> f64 {
        match self {
            Self::Returns(Number::Number(rate)) => *rate,
            Self::Returns(Number::Text(text)) => text.parse().expect("NaN or inf"),
            Self::InheritOr(fallback) => context.inherit_or_sample_with(*fallback),
        }
    }
}

/// A context into which a propagator has extracted a trace.
fn incoming(sampled: Option<bool>, rate: Option<f64>, rand: f64) -> Context {
    let rate = rate.map(|rate| rate.to_string()).unwrap_or_default();
    let flag = sampled.map(|sampled| sampled.to_string()).unwrap_or_default();
    let rand = format!("{rand}");
    let entries = [("sample_rand", &*rand), ("release", "up"), ("sampled", &*flag), ("sample_rate", &*rate)];
    let incoming = Incoming::from_sentry(T, sampled, Some(DynamicSamplingContext::from_entries(entries)));
    let flags = TraceFlags::default().with_sampled(sampled == Some(true));
    Context::new()
        .with_remote_span_context(SpanContext::new(T, P, flags, true, TraceState::default()))
        .with_value(RemoteTrace::new(Some(incoming), ""))
}

fn sample(sampler: &SentrySampler, cx: &Context) -> SamplingResult {
    sampler.should_sample(Some(cx), T, "GET /", &SpanKind::Server, &[], &[])
}

fn decision(cx: &Context) -> &Decision {
    RemoteTrace::from_context(cx).and_then(|remote| remote.decision(T)).expect("a decision")
}

#[test]
fn a_job_of_a_cron_monitor_is_recorded_whether_it_is_sampled_or_not() {
    let job = [KeyValue::new(semconv::SENTRY_MONITOR_SLUG, "nightly")];
    let local = |sampled: bool| {
        let flags = TraceFlags::default().with_sampled(sampled);
        let parent = SpanContext::new(T, P, flags, false, TraceState::default());
        Context::new().with_span(opentelemetry::testing::trace::TestSpan(parent))
    };
    // A root decides once for its context.
    let root = || incoming(None, None, 0.1);
    for (cx, rate, expected) in [
        (root(), 0.0, SamplingDecision::RecordOnly),
        (root(), 1.0, SamplingDecision::RecordAndSample),
        (local(false), 1.0, SamplingDecision::RecordOnly),
        (local(true), 0.0, SamplingDecision::RecordAndSample),
    ] {
        let sampler = SentrySampler::rate(rate).unwrap();
        monitored::clear();
        let result = sampler.should_sample(Some(&cx), T, "work", &SpanKind::Internal, &job, &[]);
        assert_eq!((result.decision, monitored::is_marked(T)), (expected, true), "{rate}");
        // Any other span is dropped.
        monitored::clear();
        let result = sampler.should_sample(Some(&cx), T, "work", &SpanKind::Internal, &[], &[]);
        assert_ne!(result.decision, SamplingDecision::RecordOnly);
        assert!(!monitored::is_marked(T));
    }
}
