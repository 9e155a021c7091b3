//! Which traces are continued, and what happens to those that are not.

use std::{collections::HashMap, error::Error};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    baggage::{BaggageExt, KeyValueMetadata},
    propagation::{Extractor, TextMapCompositePropagator, TextMapPropagator},
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sdk::propagation::BaggagePropagator;
use opentelemetry_sentry_propagator::SentryPropagator;
use opentelemetry_sentry_protocol::{Baggage, InvalidDsn, RemoteTrace};
use opentelemetry_sentry_vectors::each;
use serde::Deserialize;

const T: &str = "771a43a4192642f0b136d5159a501700";
const P: &str = "b0e6f15b45c36b12";
const W3C: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn strict_continuation() {
    #[derive(Deserialize)]
    struct Case {
        baggage_org: Option<String>,
        sdk_org: Option<u64>,
        strict: bool,
        continues: bool,
    }
    each("strict_continuation", |case: &Case| {
        let builder = SentryPropagator::builder().with_strict_trace_continuation(case.strict);
        let builder = case.sdk_org.into_iter().fold(builder, |builder, id| builder.with_org_id(id));
        let org = case.baggage_org.as_ref().map(|org| Baggage::encode_member("sentry-org_id", org, ""));
        let headers = Headers::new(&[("sentry-trace", &format!("{T}-{P}-1"))]).with("baggage", org.as_deref());
        let cx = builder.build().unwrap().extract_with_context(&Context::new(), &headers);
        assert_eq!(cx.span().span_context().is_valid(), case.continues);
    });
}

#[test]
fn a_rejected_trace_does_not_come_back_by_traceparent() {
    let propagator = SentryPropagator::builder().with_org_id(1).build().unwrap();
    let headers = Headers::new(&[
        ("sentry-trace", &format!("{T}-{P}-1")),
        ("traceparent", &format!("00-{T}-{P}-01")),
        ("baggage", "sentry-org_id=2,a=1"),
    ]);
    let cx = propagator.extract_with_context(&Context::new(), &headers);
    assert!(!cx.span().span_context().is_valid());
    assert_eq!(RemoteTrace::from_context(&cx).unwrap().foreign().collect::<Vec<_>>(), ["a=1"]);
}

#[test]
fn a_rejected_trace_does_not_stay_where_another_propagator_put_it() {
    let propagator = SentryPropagator::builder().with_org_id(1).build().unwrap();
    let headers = Headers::new(&[("sentry-trace", &format!("{T}-{P}-1")), ("baggage", "sentry-org_id=2")]);
    let cx = propagator.extract_with_context(&Context::new().with_remote_span_context(remote_span()), &headers);
    assert!(!cx.span().span_context().is_valid());
}

#[test]
fn the_first_valid_sentry_trace_line_wins() {
    let headers = Headers::new(&[("sentry-trace", "garbage"), ("sentry-trace", &format!("{T}-{P}-0"))]);
    let cx = SentryPropagator::new().extract_with_context(&Context::new(), &headers);
    assert_eq!(cx.span().span_context().trace_id().to_string(), T);
    assert!(!cx.span().span_context().is_sampled());
}

#[test]
fn traceparent_continues_only_alone_and_only_if_it_is_on() {
    let extract = |propagator: SentryPropagator, headers: &[(&str, &str)]| {
        propagator.extract_with_context(&Context::new(), &Headers::new(headers)).span().span_context().clone()
    };
    assert!(extract(SentryPropagator::new(), &[("traceparent", W3C)]).is_sampled());
    assert!(!extract(SentryPropagator::new(), &[("traceparent", W3C), ("traceparent", W3C)]).is_valid());
    let off = SentryPropagator::builder().with_traceparent(false).build().unwrap();
    assert!(!extract(off, &[("traceparent", W3C)]).is_valid());
}

#[test]
fn tracestate_passes_only_with_the_traceparent_that_it_belongs_to() {
    let hop = |sentry: &str, traceparent: &str| {
        let headers =
            [("sentry-trace", sentry), ("traceparent", traceparent), ("tracestate", "a=1"), ("tracestate", "b=2")];
        let cx = SentryPropagator::new().extract_with_context(&Context::new(), &Headers::new(&headers));
        inject(&SentryPropagator::new(), &cx).remove("tracestate")
    };
    assert_eq!(hop(&format!("{T}-{P}-1"), &format!("00-{T}-{P}-01")).as_deref(), Some("a=1,b=2"));
    assert_eq!(hop(&format!("{T}-{P}-1"), W3C), None);
    assert_eq!(hop(&format!("{T}-{P}-1"), "garbage"), None);
    assert_eq!(hop("garbage", W3C).as_deref(), Some("a=1,b=2"));
}

#[test]
fn the_randomness_of_a_tracestate_is_the_random_value_of_the_trace() {
    let hop = |headers: &[(&str, &str)]| {
        let cx = SentryPropagator::new().extract_with_context(&Context::new(), &Headers::new(headers));
        let sent = inject(&SentryPropagator::new(), &cx);
        let baggage = sent.get("baggage").cloned().unwrap_or_default();
        let rand = baggage.split(',').find_map(|member| member.strip_prefix("sentry-sample_rand=")).map(str::to_owned);
        (rand, sent.get("tracestate").cloned())
    };
    let state = "a=1,ot=k:v;rv:bfffffffffffff;th:8000,b=2";
    let (sentry, traceparent) = (format!("{T}-{P}-1"), format!("00-{T}-{P}-01"));
    let passed = |rand: &str| (Some(rand.to_owned()), Some(state.to_owned()));
    assert_eq!(hop(&[("traceparent", &traceparent), ("tracestate", state)]), passed("0.250000"));
    let both = [("sentry-trace", &*sentry), ("traceparent", &traceparent), ("tracestate", state)];
    assert_eq!(hop(&[&both[..], &[("baggage", "sentry-release=a")]].concat()), passed("0.250000"));
    assert_eq!(hop(&[&both[..], &[("baggage", "sentry-sample_rand=0.7,sentry-release=a")]].concat()), passed("0.7"));
    // The state of another trace says nothing about this one.
    let (rand, other) =
        hop(&[("sentry-trace", &sentry), ("traceparent", W3C), ("tracestate", state), ("baggage", "sentry-release=a")]);
    assert_eq!(other, None);
    assert_ne!(rand.as_deref(), Some("0.250000"));
}

#[test]
fn only_visible_ascii_goes_out() {
    for state in ["k=v\r\nX-Injected: 1", "k=\u{e9}", "k=\0", "k=a\tb"] {
        let headers = [("traceparent", W3C), ("tracestate", state), ("baggage", "a=\t\u{e9},b=1\r\nc,d=2")];
        let cx = SentryPropagator::new().extract_with_context(&Context::new(), &Headers::new(&headers));
        let sent = inject(&SentryPropagator::new(), &cx);
        assert_eq!(sent.get("tracestate"), None, "{state:?}");
        assert!(sent.values().all(|value| value.bytes().all(|byte| byte.is_ascii_graphic())), "{sent:?}");
        assert!(sent["baggage"].ends_with(",d=2"));
    }
}

#[test]
fn a_huge_header_is_read_only_in_part() {
    let hostile = format!("kept=1,{}", "sentry-%61=1,sentry-%62=1,z=1,".repeat(50_000));
    let cx = SentryPropagator::new().extract_with_context(&Context::new(), &Headers::new(&[("baggage", &hostile)]));
    assert_eq!(inject(&SentryPropagator::new(), &cx)["baggage"], "kept=1,z=1");
}

#[test]
fn without_headers_an_active_trace_goes_on() {
    let propagator = SentryPropagator::new();
    let active = propagator.extract_with_context(
        &Context::new(),
        &Headers::new(&[("sentry-trace", &format!("{T}-{P}-1")), ("baggage", "sentry-release=a,old=1")]),
    );
    let inner = propagator.extract_with_context(&active, &Headers::new(&[("baggage", "new=2")]));
    assert_eq!(inject(&propagator, &inner)["baggage"].rsplit(',').next(), Some("new=2"));
    assert!(inject(&propagator, &inner)["baggage"].contains("sentry-release=a"));
    assert_eq!(inject(&propagator, &inner)["sentry-trace"], format!("{T}-{P}-1"));
}

#[test]
fn what_came_in_is_read_as_the_baggage_of_the_context() {
    let propagator = SentryPropagator::new();
    let came_in = "kept=%c3%a9 ; p=1;q ,other=a%2Cb,sentry-release=a";
    for trace in [Some(format!("{T}-{P}-1")), None] {
        let headers = Headers::new(&[("baggage", came_in)]).with("sentry-trace", trace.as_deref());
        let cx = propagator.extract_with_context(&Context::new(), &headers);
        let mut entries: Vec<_> =
            cx.baggage().iter().map(|(key, (value, _))| (key.as_str().to_owned(), value.to_string())).collect();
        entries.sort();
        assert_eq!(entries, [("kept".into(), "é".into()), ("other".into(), "a,b".into())]);
        assert_eq!(cx.baggage().get_with_metadata("kept").unwrap().1.as_str(), "p=1;q");
        // What the application leaves alone goes out byte for byte.
        assert!(inject(&propagator, &cx)["baggage"].ends_with("kept=%c3%a9 ; p=1;q,other=a%2Cb"));
        let changed = [KeyValueMetadata::new("other", "2", ""), KeyValueMetadata::new("kept", "é", "p=2")];
        let sent = inject(&propagator, &cx.with_baggage(changed));
        assert!(sent["baggage"].ends_with("kept=%C3%A9;p=2,other=2"), "{sent:?}");
    }
}

#[test]
fn the_baggage_of_an_outer_request_goes_out_with_no_inner_one() {
    let propagator = SentryPropagator::new();
    let outer = propagator.extract_with_context(&Context::new(), &Headers::new(&[("baggage", "old=1,both=1")]));
    let own = ["old", "both", "mine"].map(|key| KeyValue::new(key, "1"));
    let outer = outer.with_baggage(own);
    for trace in [Some(format!("{T}-{P}-1")), None] {
        let headers = Headers::new(&[("baggage", "both=2")]).with("sentry-trace", trace.as_deref());
        let inner = propagator.extract_with_context(&outer, &headers);
        assert!(inject(&propagator, &inner)["baggage"].ends_with("both=2,mine=1"));
        assert!(inner.baggage().get("old").is_none());
    }
}

#[test]
fn opentelemetrys_own_propagator_before_ours_changes_nothing() {
    let headers =
        Headers::new(&[("sentry-trace", &format!("{T}-{P}-1")), ("baggage", "kept=%c3%a9 ; p=1 ; q,sentry-release=a")]);
    let both =
        TextMapCompositePropagator::new(vec![Box::new(BaggagePropagator::new()), Box::new(SentryPropagator::new())]);
    let cx = both.extract_with_context(&Context::new(), &headers);
    assert!(inject(&both, &cx)["baggage"].ends_with(",kept=%c3%a9 ; p=1 ; q"));
}

#[test]
fn the_baggage_of_the_context_is_merged() {
    let propagator = SentryPropagator::new();
    let came_in = Headers::new(&[("baggage", "kept=%c3%a9;p=1,changed=1,sentry-release=a")]);
    let cx = propagator.extract_with_context(&Context::new(), &came_in).with_baggage([
        KeyValue::new("kept", "é"),
        KeyValue::new("changed", "2, or 3"),
        KeyValue::new("added", "4"),
        KeyValue::new("sentry-release", "not ours"),
    ]);
    assert_eq!(inject(&propagator, &cx)["baggage"], "kept=%c3%a9;p=1,changed=2%2C%20or%203,added=4");
}

/// Some senders escape keys, others do not.
#[test]
fn members_with_the_same_key_in_two_spellings_go_out_as_they_came_in() {
    let propagator = SentryPropagator::new();
    for came_in in ["a%62=1,ab=2", "ab=1,a%62=2", "a%62=1;p=1,c=3,ab=1;p=2"] {
        let cx = propagator.extract_with_context(&Context::new(), &Headers::new(&[("baggage", came_in)]));
        assert_eq!(inject(&propagator, &cx)["baggage"], came_in);
    }
    let cx = propagator.extract_with_context(&Context::new(), &Headers::new(&[("baggage", "a%62=1,c=3,ab=2")]));
    assert_eq!(cx.baggage().get("ab"), Some(&"2".into()));
    let sent = inject(&propagator, &cx.with_baggage([KeyValue::new("ab", "1")]));
    assert_eq!(sent["baggage"], "c=3,ab=1");
}

#[test]
fn the_key_of_a_changed_member_stays_as_it_came_in() {
    let propagator = SentryPropagator::new();
    let cx = propagator.extract_with_context(&Context::new(), &Headers::new(&[("baggage", "a$b=1;p,%63 =2")]));
    let sent = inject(&propagator, &cx.with_baggage([KeyValue::new("a$b", "3"), KeyValue::new("c", "4")]));
    assert_eq!(sent["baggage"], "a$b=3,%63=4");
}

#[test]
fn a_suppressed_context_sends_nothing() {
    let headers = Headers::new(&[("sentry-trace", &format!("{T}-{P}-1")), ("baggage", "a=1")]);
    let cx = SentryPropagator::new().extract_with_context(&Context::new(), &headers);
    assert_eq!(inject(&SentryPropagator::new(), &cx.with_telemetry_suppressed()), HashMap::new());
}

#[test]
fn a_build_error_keeps_its_source() {
    let error = SentryPropagator::builder().with_dsn("https://key:hidden@h.io/x").build().unwrap_err();
    let source = error.source().expect("the reason");
    assert!(source.is::<InvalidDsn>());
    assert_eq!(error.to_string(), format!("with_dsn: {source}"));
    assert!(!format!("{error} {error:?}").contains("hidden"));
}

fn inject(propagator: &dyn TextMapPropagator, cx: &Context) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    propagator.inject_context(cx, &mut headers);
    headers
}

fn remote_span() -> SpanContext {
    let (trace_id, span_id) = (TraceId::from_hex(T).expect("hex"), SpanId::from_hex(P).expect("hex"));
    SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default())
}

/// Headers with several lines of a name, as a request has them.
struct Headers(Vec<(String, String)>);

impl Headers {
    fn new(lines: &[(&str, &str)]) -> Self {
        Self(lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn with(mut self, name: &str, value: Option<&str>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let all: Vec<_> = self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect();
        (!all.is_empty()).then_some(all)
    }
}
