//! `SentryPropagator` together with the SDK's propagators, in both orders. Its documentation says which order to use.

use std::collections::HashMap;

use opentelemetry::{
    Context,
    baggage::BaggageExt,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::TraceContextExt,
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sentry::SentryPropagator;

const T: &str = "771a43a4192642f0b136d5159a501700";
const S: &str = "7c7c2e6c5e1c4b0a";

/// Extracts a request whose two trace headers disagree; returns its context and the outgoing headers.
fn hop(propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>>) -> (Context, HashMap<String, String>) {
    let propagator = TextMapCompositePropagator::new(propagators);
    let incoming = HashMap::from(
        [
            ("sentry-trace", format!("{T}-{S}-1")),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".to_owned()),
            ("baggage", "sentry-release=a,sentry-sample_rand=0.5,tenant=a%2Cb;p=1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let cx = propagator.extract_with_context(&Context::new(), &incoming);
    let mut outgoing = HashMap::new();
    propagator.inject_context(&cx, &mut outgoing);
    (cx, outgoing)
}

fn sentry() -> Box<dyn TextMapPropagator + Send + Sync> {
    Box::new(SentryPropagator::new())
}

#[test]
fn after_the_w3c_propagator_sentrys_trace_wins() {
    let (cx, outgoing) = hop(vec![Box::new(TraceContextPropagator::new()), sentry()]);
    assert_eq!(cx.span().span_context().trace_id().to_string(), T);
    assert_eq!(outgoing["sentry-trace"], format!("{T}-{S}-1"));
    assert_eq!(outgoing["traceparent"], format!("00-{T}-{S}-01"));
}

#[test]
fn before_the_w3c_propagator_the_w3c_trace_wins() {
    let (cx, outgoing) = hop(vec![sentry(), Box::new(TraceContextPropagator::new())]);
    assert_eq!(cx.span().span_context().trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(outgoing["sentry-trace"], "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0");
    assert_eq!(outgoing["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
}

#[test]
fn after_the_baggage_propagator_the_header_is_kept_and_entries_can_be_read() {
    let (cx, outgoing) = hop(vec![Box::new(BaggagePropagator::new()), sentry()]);
    assert_eq!(cx.baggage().get("tenant").map(ToString::to_string).as_deref(), Some("a,b"));
    assert_eq!(outgoing["baggage"], "sentry-release=a,sentry-sample_rand=0.5,tenant=a%2Cb;p=1");
}

#[test]
fn before_the_baggage_propagator_the_header_is_rewritten() {
    let (_, outgoing) = hop(vec![sentry(), Box::new(BaggagePropagator::new())]);
    let mut members: Vec<_> = outgoing["baggage"].split(',').collect();
    members.sort_unstable();
    // The baggage propagator writes the members that it extracted, in any order and encoded again.
    assert_eq!(members, ["sentry-release=a", "sentry-sample_rand=0.5", "tenant=a%2Cb;p=1"]);
}

#[test]
fn before_the_baggage_propagator_our_sampling_context_is_lost() {
    let propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>> = vec![sentry(), Box::new(BaggagePropagator::new())];
    let propagator = TextMapCompositePropagator::new(propagators);
    let headers = [("baggage", "a=1".to_owned()), ("traceparent", format!("00-{T}-{S}-01"))];
    let headers: HashMap<_, _> = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let cx = propagator.extract_with_context(&Context::new(), &headers);
    let mut outgoing = HashMap::new();
    propagator.inject_context(&cx, &mut outgoing);
    assert_eq!(outgoing["baggage"], "a=1", "the last one to write wins");
}
