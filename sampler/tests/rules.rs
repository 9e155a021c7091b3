//! Rules, limits, the handle, and requests that are never sampled.

use std::error::Error;

use opentelemetry::{
    Context, KeyValue, TraceId, Value,
    trace::{SpanKind, TraceContextExt},
};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};
use opentelemetry_sentry_protocol::{__shared::not_sampled, Incoming, InvalidSampleRate, RemoteTrace, SampleRate};
use opentelemetry_sentry_sampler::{InvalidLimit, Rule, SentrySampler};

/// A root span, as a middleware starts it.
struct Root {
    kind: SpanKind,
    attributes: Vec<KeyValue>,
    cx: Context,
}

impl Root {
    fn request(attributes: &[(&'static str, &str)]) -> Self {
        let attributes = attributes.iter().map(|(key, value)| KeyValue::new(*key, (*value).to_owned())).collect();
        Self { kind: SpanKind::Server, attributes, cx: Context::new().with_value(RemoteTrace::default()) }
    }

    /// The same root with a parent that has decided.
    fn decided(mut self, sampled: bool) -> Self {
        let incoming = Incoming::from_sentry(T, Some(sampled), None);
        self.cx = Context::new().with_value(RemoteTrace::new(Some(incoming), ""));
        self
    }

    fn is_sampled(&self, sampler: &SentrySampler) -> bool {
        let result = sampler.should_sample(Some(&self.cx), T, "GET", &self.kind, &self.attributes, &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    fn rate(&self) -> Option<f64> {
        let decision = RemoteTrace::from_context(&self.cx).and_then(|remote| remote.decision(T))?;
        decision.sample_rate.map(|rate| rate.get())
    }
}

/// Its random value is 0.003921.
const T: TraceId = TraceId::from_bytes([1; 16]);

fn route(route: &str) -> Root {
    Root::request(&[("http.request.method", "GET"), ("http.route", route), ("url.path", route)])
}

#[test]
fn sentrys_own_example_as_function_and_as_rules() {
    let function = SentrySampler::function(|context| match &*context.name {
        name if name.contains("health") => 0.05,
        name if name.contains("/api/") => 0.5,
        _ => 0.1,
    });
    let rules = SentrySampler::builder()
        .with_rule(Rule::sample(0.05).with_name("*health*"))
        .with_rule(Rule::sample(0.5).with_name("*/api/*"))
        .with_rate(0.1)
        .build()
        .unwrap();
    for sampler in [function, rules] {
        for (path, rate) in [("/api/health", 0.05), ("/api/users", 0.5), ("/", 0.1)] {
            let root = route(path);
            root.is_sampled(&sampler);
            assert_eq!(root.rate(), Some(rate), "{path}");
        }
    }
}

#[test]
fn each_condition_matches_or_not() {
    let client = Root { kind: SpanKind::Client, ..route("/") };
    let admin = Root::request(&[("http.request.method", "GET"), ("url.full", "https://h.io:8443/admin/x?y=/api")]);
    let number = Root { attributes: vec![KeyValue::new("code", 200)], ..route("/") };
    let cases = [
        (Rule::never().with_name("GET /?"), route("/a"), true),
        (Rule::never().with_name("GET /?"), route("/ab"), false),
        (Rule::never().with_op("http.*"), route("/a"), true),
        (Rule::never().with_op("db"), route("/a"), false),
        (Rule::never().with_kind(SpanKind::Client), client, true),
        (Rule::never().with_kind(SpanKind::Client), route("/"), false),
        (Rule::never().with_path_prefix("/admin/"), admin, true),
        (Rule::never().with_path_prefix("/admin/"), route("/administer"), false),
        (Rule::never().with_attribute("code", 200), number, true),
        (
            Rule::never().with_attribute("code", "200"),
            Root { attributes: vec![KeyValue::new("code", 200)], ..route("/") },
            false,
        ),
        (Rule::never().with_attribute("code", Value::I64(404)), route("/"), false),
        (Rule::never().with_name("GET /*").with_op("db"), route("/a"), false),
        (Rule::never(), route("/a"), true),
    ];
    for (rule, root, matches) in cases {
        let text = format!("{rule:?}");
        let sampler = SentrySampler::builder().with_rule(rule).with_rate(1.0).build().unwrap();
        assert_eq!(root.is_sampled(&sampler), !matches, "{text}");
    }
}

#[test]
fn health_checks_are_recognised_by_path_and_by_user_agent() {
    let sampler = SentrySampler::builder().with_rule(Rule::health_checks()).with_rate(1.0).build().unwrap();
    for path in ["/health", "/healthz", "/livez", "/readyz/", "/metrics"] {
        assert!(!Root::request(&[("http.request.method", "GET"), ("url.path", path)]).is_sampled(&sampler), "{path}");
        assert!(!Root::request(&[("http.method", "GET"), ("http.target", path)]).is_sampled(&sampler), "{path}");
    }
    for agent in ["kube-probe/1.30", "ELB-HealthChecker/2.0"] {
        assert!(!Root::request(&[("url.path", "/"), ("user_agent.original", agent)]).is_sampled(&sampler), "{agent}");
    }
    assert!(
        Root::request(&[("url.path", "/healthy-food"), ("user_agent.original", "Mozilla/5.0")]).is_sampled(&sampler)
    );
}

#[test]
fn who_decides_is_the_same_in_every_cell_of_rules_and_parents() {
    let never = Rule::never;
    let always = || Rule::sample(1.0);
    // The rules; whether the sampler is parent-based; its rate; and what becomes of a trace of its own, of one that
    // came in sampled, and of one that came in unsampled.
    let rows = [
        (vec![], true, 0.0, [false, true, false]),
        (vec![], true, 1.0, [true, true, false]),
        (vec![], false, 0.0, [false, false, false]),
        (vec![], false, 1.0, [true, true, true]),
        (vec![never()], true, 1.0, [false, true, false]),
        (vec![always()], true, 0.0, [true, true, false]),
        (vec![Rule::health_checks()], true, 1.0, [false, true, false]),
        (vec![never()], false, 1.0, [false, false, false]),
        (vec![always()], false, 0.0, [true, true, true]),
        (vec![never().overriding_parents()], true, 1.0, [false, false, false]),
        (vec![always().overriding_parents()], true, 0.0, [true, true, true]),
        (vec![Rule::inherit()], true, 1.0, [true, true, false]),
        (vec![Rule::inherit()], false, 1.0, [true, true, false]),
        (vec![Rule::inherit(), never().overriding_parents()], true, 1.0, [false, true, false]),
        (vec![Rule::inherit(), always().overriding_parents()], true, 0.0, [true, true, false]),
        (vec![never().with_name("another"), always()], true, 0.0, [true, true, false]),
        (vec![never(), always().overriding_parents()], true, 0.0, [false, true, true]),
        (vec![never().overriding_parents(), Rule::inherit()], true, 1.0, [false, false, false]),
    ];
    for (rules, parent_based, rate, expected) in rows {
        let row = format!("{rules:?}, parent-based {parent_based}, rate {rate}");
        let builder = SentrySampler::builder().with_parent_based(parent_based).with_rate(rate);
        let sampler = rules.into_iter().fold(builder, |builder, rule| builder.with_rule(rule)).build().unwrap();
        let root = || route("/health");
        let found = [root(), root().decided(true), root().decided(false)].map(|root| root.is_sampled(&sampler));
        assert_eq!(found, expected, "own, in yes, in no: {row}");
    }
}

#[test]
fn a_rule_that_inherits_without_a_parent_leaves_it_to_the_function() {
    let sampler = SentrySampler::builder().with_rule(Rule::inherit()).with_function(|_| 1.0).build().unwrap();
    assert!(route("/").is_sampled(&sampler));
    assert!(!route("/").decided(false).is_sampled(&sampler));
}

#[test]
fn a_sampler_that_is_not_parent_based_applies_its_own_rate() {
    let own = SentrySampler::builder().with_rate(0.0).with_parent_based(false).build().unwrap();
    let root = route("/").decided(true);
    assert!(!root.is_sampled(&own));
    assert_eq!(root.rate(), Some(0.0));
}

#[test]
fn head_and_options_are_sampled_only_if_configured() {
    for method in ["HEAD", "options"] {
        let root = || Root::request(&[("http.request.method", method), ("url.path", "/")]);
        let usual = SentrySampler::rate(1.0).unwrap();
        let dropped = root();
        assert!(!dropped.is_sampled(&usual));
        assert_eq!(dropped.rate(), Some(0.0));
        assert!(root().decided(true).is_sampled(&usual), "a trace must not be sampled in part");
        let wanted = SentrySampler::builder().with_rate(1.0).with_head_and_options(true).build().unwrap();
        assert!(root().is_sampled(&wanted));
    }
}

#[test]
fn requests_to_an_excluded_host_are_never_sampled_not_even_below_a_sampled_span() {
    let url = "https://o1.ingest.sentry.io/api/1/envelope/";
    let sampler = SentrySampler::builder().with_rate(1.0).without_requests_to(url).build().unwrap();
    let call = |url: &str| Root {
        kind: SpanKind::Client,
        ..Root::request(&[("http.request.method", "POST"), ("url.full", url)])
    };
    assert!(!call("https://O1.ingest.sentry.io:443/anything").is_sampled(&sampler));
    assert!(call("https://o2.ingest.sentry.io/").is_sampled(&sampler));
    let parent = opentelemetry::trace::SpanContext::new(
        T,
        opentelemetry::SpanId::from_bytes([1; 8]),
        opentelemetry::TraceFlags::SAMPLED,
        false,
        opentelemetry::trace::TraceState::default(),
    );
    let child = Root {
        cx: Context::new().with_span(opentelemetry::testing::trace::TestSpan(parent)),
        ..call("https://o1.ingest.sentry.io/")
    };
    assert!(!child.is_sampled(&sampler));

    let built = SentrySampler::rate(1.0).unwrap();
    let excluding = built.clone().excluding_requests_to(url);
    assert!(!call(url).is_sampled(&excluding));
    assert!(call(url).is_sampled(&built), "the sampler that it was made from is unchanged");
    built.handle().set_rate(Some(0.0)).unwrap();
    assert!(!call("https://o2.ingest.sentry.io/").is_sampled(&excluding), "they share the rate");
}

#[test]
fn the_handle_changes_rate_and_limit_at_run_time() {
    let sampler = SentrySampler::off();
    let handle = sampler.handle();
    assert!(!route("/").is_sampled(&sampler));
    handle.set_rate(Some(1.0)).unwrap();
    assert!(route("/").is_sampled(&sampler));
    handle.set_max_traces_per_second(Some(0.0)).unwrap();
    assert!(route("/").is_sampled(&sampler), "the first one fits into any bucket");
    assert!(!route("/").is_sampled(&sampler));
    handle.set_max_traces_per_second(None).unwrap();
    assert!(route("/").is_sampled(&sampler));
    assert!(handle.set_rate(Some(2.0)).is_err());
    assert!(handle.set_max_traces_per_second(Some(f64::INFINITY)).is_err());
    assert_eq!(handle.rate(), Some(1.0));
}

#[test]
fn a_trace_over_the_limit_is_rejected_by_the_rate_that_is_reported() {
    let sampler = SentrySampler::builder().with_rate(1.0).with_max_traces_per_second(0.001).build().unwrap();
    assert!(route("/").is_sampled(&sampler));
    let second = route("/");
    assert!(!second.is_sampled(&sampler));
    let rand = opentelemetry_sentry_protocol::SampleRand::from_trace_id(T).get();
    assert!(rand >= second.rate().unwrap());
    assert!(route("/").decided(true).is_sampled(&sampler), "traces that came in with a decision do not count");
}

#[test]
fn a_build_error_names_the_setting_and_the_value() {
    let error = |builder: opentelemetry_sentry_sampler::SentrySamplerBuilder| builder.build().unwrap_err().to_string();
    assert_eq!(
        error(SentrySampler::builder().with_rule(Rule::sample(7.0))),
        "with_rule: a sample rate must be a number from 0 to 1, found 7"
    );
    assert_eq!(
        error(SentrySampler::builder().with_max_traces_per_second(-1.0)),
        "with_max_traces_per_second: a limit must be a number of traces a second, found -1"
    );
}

#[test]
fn a_build_error_keeps_its_source() {
    let error = SentrySampler::builder().with_rate(7.0).build().unwrap_err();
    let source = error.source().expect("the reason").downcast_ref::<InvalidSampleRate>();
    assert_eq!(source, SampleRate::try_from(7.0).as_ref().err());
    let error = SentrySampler::builder().with_max_traces_per_second(f64::NAN).build().unwrap_err();
    assert!(error.source().is_some_and(|source| source.is::<InvalidLimit>()));
}

#[test]
fn with_record_all_sentry_still_gets_only_sampled_traces() {
    let sampler = SentrySampler::builder().with_rate(0.0).with_record_all(true).build().unwrap();
    let root = route("/");
    let result = sampler.should_sample(Some(&root.cx), T, "GET", &root.kind, &root.attributes, &[]);
    assert_eq!(result.decision, SamplingDecision::RecordAndSample);
    assert!(matches!(&result.attributes[..], [mark] if not_sampled::is_mark(mark)));
    let decision = RemoteTrace::from_context(&root.cx).unwrap().decision(T).unwrap();
    assert_eq!((decision.sampled, decision.recorded), (Some(false), true));
}

#[test]
fn without_sentrys_exporter_no_span_gets_its_attributes_and_the_decision_is_the_same() {
    for rate in [0.0, 0.5, 1.0] {
        let builder = || SentrySampler::builder().with_rate(rate).with_record_all(true);
        let [with, without] = [true, false].map(|on| {
            let sampler = builder().with_trace_header(on).build().unwrap();
            let root = route("/");
            let result = sampler.should_sample(Some(&root.cx), T, "GET", &root.kind, &root.attributes, &[]);
            (result, RemoteTrace::from_context(&root.cx).unwrap().decision(T).unwrap().clone())
        });
        assert!(!with.0.attributes.is_empty() && without.0.attributes.is_empty());
        assert_eq!((&with.0.decision, with.1), (&without.0.decision, without.1));
    }
}

#[test]
fn roots_that_are_not_sampled_are_counted_and_inherited_decisions_are_not() {
    let sampler = SentrySampler::rate(0.0).unwrap();
    route("/").is_sampled(&sampler);
    route("/").decided(false).is_sampled(&sampler);
    route("/").decided(true).is_sampled(&sampler);
    assert_eq!(sampler.decision_log().feedback().unsampled(opentelemetry_sentry_protocol::Unsampled::SampleRate), 1);
}

#[test]
fn a_hundred_thousand_traces_are_sampled_at_their_rate_and_equally_by_every_sampler() {
    let (one, other) = (SentrySampler::rate(0.25).unwrap(), SentrySampler::rate(0.25).unwrap());
    let total = 100_000_u32;
    let sampled = (0..total).filter(|number| {
        let id = u128::from(*number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1;
        let trace_id = TraceId::from_bytes(id.to_be_bytes());
        let sample = |sampler: &SentrySampler| {
            let result = sampler.should_sample(None, trace_id, "work", &SpanKind::Internal, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        };
        assert_eq!(sample(&one), sample(&other));
        sample(&one)
    });
    let share = sampled.count() as f64 / f64::from(total);
    assert!((share - 0.25).abs() < 0.0025, "{share}");
}
