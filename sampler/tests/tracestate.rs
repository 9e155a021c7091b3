//! The `tracestate` of local roots: `tests/vectors/tracestate.json`, its limits, and its law.

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use opentelemetry_sentry_protocol::{DynamicSamplingContext, Incoming, OtState, RemoteTrace, SampleRand};
use opentelemetry_sentry_sampler::{SentrySampler, SentrySamplerBuilder};
use opentelemetry_sentry_vectors::each;
use proptest::prelude::*;
use serde::Deserialize;

const T: TraceId = TraceId::from_bytes(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());

#[derive(Deserialize)]
struct Sampler {
    rate: Option<f64>,
    #[serde(default = "yes")]
    parent_based: bool,
    #[serde(default)]
    record_all: bool,
    #[serde(default)]
    adds: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Sentry {
    flag: Option<bool>,
    rand: String,
    rate: String,
}

#[test]
fn tracestate() {
    #[derive(Deserialize)]
    struct Case {
        state: Option<String>,
        flag: Option<bool>,
        sentry: Option<Sentry>,
        sampler: Sampler,
        expected: String,
    }
    each("tracestate", |case: &Case| {
        let Sampler { rate, parent_based, record_all, adds } = case.sampler;
        let sampler = SentrySampler::builder().with_parent_based(parent_based).with_record_all(record_all);
        let sampler = rate.into_iter().fold(sampler, SentrySamplerBuilder::with_rate).with_tracestate(adds);
        let state = state(case.state.as_deref().unwrap_or_default());
        let ot = OtState::read(state.get("ot").unwrap_or_default());
        let incoming = match (&case.sentry, case.flag) {
            (Some(Sentry { flag, rand, rate }), _) => {
                let entries = [("sample_rand", &**rand), ("sample_rate", &**rate), ("release", "up")];
                Some(Incoming::from_sentry(T, *flag, Some(DynamicSamplingContext::from_entries(entries))))
            }
            (None, Some(flag)) => Some(Incoming::from_w3c(T, Some(flag)).with_ot_state(ot)),
            (None, None) => None,
        };
        let result = sample(&sampler.build().unwrap(), &context(incoming, state));
        assert_eq!(result.trace_state.header(), case.expected);
    });
}

#[test]
fn children_have_the_state_of_their_local_root() {
    let sampler = SentrySampler::builder().with_rate(1.0).with_tracestate(true).build().unwrap();
    let root = sample(&sampler, &Context::new());
    let span = SpanContext::new(T, SpanId::from(1), TraceFlags::SAMPLED, false, root.trace_state.clone());
    let cx = Context::new().with_span(opentelemetry::testing::trace::TestSpan(span));
    assert_eq!(sample(&sampler, &cx).trace_state, root.trace_state);
    assert!(root.trace_state.get("ot").is_some());
}

#[test]
fn all_local_roots_of_a_request_have_one_state() {
    let sampler =
        SentrySampler::builder().with_rate(0.9).with_parent_based(false).with_tracestate(true).build().unwrap();
    let cx = context(Some(Incoming::from_w3c(T, Some(true))), state("a=1"));
    let (first, second) = (sample(&sampler, &cx), sample(&sampler, &cx));
    assert_eq!(first.trace_state, second.trace_state);
    assert!(first.trace_state.get("ot").is_some());
}

#[test]
fn what_has_no_room_is_not_added_and_nothing_else_is_removed() {
    let sampler =
        SentrySampler::builder().with_rate(1.0).with_parent_based(false).with_tracestate(true).build().unwrap();
    let stays = |text: &str| {
        let result = sample(&sampler, &context(Some(Incoming::from_w3c(T, Some(true))), state(text)));
        (result.trace_state.header() == text, result.trace_state.header())
    };
    let members = |number| (0..number).map(|key| format!("k{key}=v")).collect::<Vec<_>>().join(",");
    assert!(stays(&members(32)).0);
    let (is_same, header) = stays(&members(31));
    assert!(!is_same && header.starts_with("ot=th:0;rv:") && header.ends_with(&members(31)), "{header}");
    // `ot=th:0;rv:` and 14 digits, and a comma: 26 characters.
    let long = |length: usize| format!("a={},b={}", "x".repeat(250), "y".repeat(length - 255));
    assert!(stays(&long(512 - 26 + 1)).0);
    let (is_same, header) = stays(&long(512 - 26));
    assert!(!is_same && header.len() == 512, "{}", header.len());
    // One that came in loses its threshold, rather than to keep an untrue one.
    let full = format!("ot=rv:c0000000000000,{}", long(512 - 21));
    assert!(stays(&full).0, "a threshold has no room");
}

proptest! {
    /// Whatever came in and whatever is decided, a threshold says that the trace is sampled exactly if it is.
    #[test]
    fn a_threshold_that_goes_out_agrees_with_the_decision(
        id in 1..u128::MAX,
        rate in 0.0..=1.0,
        flag in any::<bool>(),
        ot in "(th:[0-9a-f]{1,14})?;?(rv:[0-9a-f]{14})?(;k:v)?",
        rand in prop::option::of(0.0..1.0),
        parent_based in any::<bool>(),
        adds in any::<bool>(),
    ) {
        let trace_id = TraceId::from_bytes(id.to_be_bytes());
        let rand_text = rand.map(|rand: f64| rand.to_string()).unwrap_or_default();
        let incoming = match rand {
            Some(_) => {
                let dsc = DynamicSamplingContext::from_entries([("sample_rand", &*rand_text), ("release", "up")]);
                Incoming::from_sentry(trace_id, Some(flag), Some(dsc))
            }
            None => Incoming::from_w3c(trace_id, Some(flag)).with_ot_state(OtState::read(&ot)),
        };
        let came_in = state(&if ot.is_empty() { String::new() } else { format!("a=1,ot={ot}") });
        let flags = TraceFlags::default().with_sampled(flag);
        let cx = Context::new()
            .with_remote_span_context(SpanContext::new(trace_id, SpanId::from(1), flags, true, came_in))
            .with_value(RemoteTrace::new(Some(incoming.clone()), ""));
        let sampler = SentrySampler::builder().with_rate(rate).with_parent_based(parent_based).with_tracestate(adds);
        let result = sampler.build().unwrap().should_sample(Some(&cx), trace_id, "x", &SpanKind::Server, &[], &[]);
        let is_sampled = result.decision == SamplingDecision::RecordAndSample;
        let value = result.trace_state.get("ot").unwrap_or_default();
        let sent = OtState::read(value);
        if let Some(threshold) = sent.threshold() {
            prop_assert_eq!(threshold.keeps(sent.decided_by(trace_id).unwrap()), is_sampled, "{} to {}", ot, value);
        }
        let came_in = OtState::read(&ot);
        prop_assert!(came_in.randomness().is_none() || sent.randomness() == came_in.randomness(), "{} to {}", ot, value);
        prop_assert_eq!(value.contains("k:v"), ot.contains("k:v"));
        // Without Sentry upstream the random value is that of the state, and so is the decision.
        if let (None, Some(randomness)) = (rand, came_in.decided_by(trace_id)) {
            let rate = rate.to_string().parse().unwrap();
            let keeps = opentelemetry_sentry_protocol::Threshold::of(rate).is_some_and(|threshold| threshold.keeps(randomness));
            prop_assert_eq!(incoming.sample_rand.is_below(rate), keeps);
            prop_assert!(parent_based || keeps == is_sampled);
            prop_assert!(parent_based || !keeps || sent.threshold().is_some(), "{} to {}", ot, value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever came in, in whatever number: the other members stay as they are, unless nothing changes there is one `ot`, and
    /// the next service with the same sampler passes it on as it came.
    #[test]
    fn other_members_stay_and_a_second_service_changes_nothing(
        members in prop::collection::vec(("(ot|[a-c])", "(th:[0-9a-fA-F]{0,15};?)?(rv:[0-9a-f]{13,15})?(;k:[!-+]{0,250})?"), 0..40),
        rate in prop::sample::select(vec![0.0, 0.25, 0.5, 1.0]),
        flag: bool,
        adds: bool,
    ) {
        let text = |(key, value): &(String, String)| format!("{key}={}", if value.is_empty() { "k:v" } else { &value[..value.len().min(256)] });
        let came_in = state(&members.iter().map(text).collect::<Vec<_>>().join(","));
        let sampler = SentrySampler::builder().with_rate(rate).with_parent_based(false).with_tracestate(adds).build().unwrap();
        let pass = |state: TraceState| {
            let ot = state.get("ot").unwrap_or_default().to_owned();
            sample(&sampler, &context(Some(Incoming::from_w3c(T, Some(flag)).with_ot_state(OtState::read(&ot))), state)).trace_state
        };
        let sent = pass(came_in.clone());
        let others = |state: &TraceState| -> Vec<_> {
            state.into_iter().filter(|(key, _)| *key != "ot").map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        prop_assert_eq!(others(&sent), others(&came_in));
        prop_assert!(sent == came_in || sent.into_iter().filter(|(key, _)| *key == "ot").count() <= 1, "{}", sent.header());
        prop_assert_eq!(pass(sent.clone()), sent);
    }
}

#[test]
fn a_rate_that_is_known_from_upstream_is_the_rate_of_the_context() {
    let sampler = SentrySampler::builder().with_rate(1.0).build().unwrap();
    let incoming = Incoming::from_w3c(T, Some(true)).with_ot_state(OtState::read("th:c;rv:c0000000000000"));
    let cx = context(Some(incoming), state("ot=th:c;rv:c0000000000000"));
    sample(&sampler, &cx);
    let decision = RemoteTrace::from_context(&cx).unwrap().decision(T).unwrap();
    assert_eq!((decision.sampled, decision.sample_rate.map(|rate| rate.get())), (Some(true), Some(0.25)));
    assert!(SampleRand::from_trace_id(T).get() > 0.5, "it is not that of the trace id");
}

fn state(text: &str) -> TraceState {
    let members = text.split(',').filter(|member| !member.is_empty());
    let pairs = members.map(|member| member.split_once('=').expect("a pair"));
    TraceState::from_key_value(pairs).expect("a valid state")
}

/// A context into which a propagator has extracted a trace, or found none.
fn context(incoming: Option<Incoming>, state: TraceState) -> Context {
    let cx = match &incoming {
        Some(incoming) => {
            let flags = TraceFlags::default().with_sampled(incoming.sampled == Some(true));
            Context::new().with_remote_span_context(SpanContext::new(T, SpanId::from(1), flags, true, state))
        }
        None => Context::new(),
    };
    cx.with_value(RemoteTrace::new(incoming, ""))
}

fn sample(sampler: &SentrySampler, cx: &Context) -> SamplingResult {
    sampler.should_sample(Some(cx), T, "GET /", &SpanKind::Server, &[], &[])
}
