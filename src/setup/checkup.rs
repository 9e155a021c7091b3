//! The part of a check that only the facade can do: a look at the global propagator and tracer provider.

use std::{collections::HashMap, sync::Arc};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    baggage::BaggageExt,
    propagation::TextMapPropagator,
    trace::{SpanBuilder, SpanContext, TraceContextExt, TraceState, Tracer},
};
use opentelemetry_sentry_exporter::Problem;
use opentelemetry_sentry_protocol::{__shared::Probe, DecisionLog};

/// Injects a trace with a propagator that should be Sentry's, and returns what is wrong with the headers.
pub(super) fn propagator_problem(propagator: &dyn TextMapPropagator) -> Option<Problem> {
    let span = SpanContext::new(
        TraceId::from_bytes([1; 16]),
        SpanId::from_bytes([1; 8]),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    // With OpenTelemetry baggage, so that every propagator that can write `baggage` does.
    let cx = Context::new().with_remote_span_context(span).with_baggage([KeyValue::new("check", "up")]);
    let mut headers = HashMap::new();
    propagator.inject_context(&cx, &mut headers);
    let has = |header: &str, text: &str| headers.get(header).is_some_and(|value: &String| value.contains(text));
    if !has("sentry-trace", "") {
        Some(Problem::NoPropagator)
    } else if !has("baggage", "sentry-") {
        Some(Problem::BaggageOverwritten)
    } else if !follows_sentry_trace(propagator) {
        Some(Problem::TraceOverwritten)
    } else {
        None
    }
}

/// Whether a request with two traces continues the one of `sentry-trace`.
fn follows_sentry_trace(propagator: &dyn TextMapPropagator) -> bool {
    let (ours, theirs) = ("1".repeat(32), "2".repeat(32));
    let headers = HashMap::from([
        ("sentry-trace".to_owned(), format!("{ours}-{}-1", "1".repeat(16))),
        ("traceparent".to_owned(), format!("00-{theirs}-{}-01", "2".repeat(16))),
    ]);
    // Suppressed, so that Sentry's propagator does not count it as a request.
    let cx = propagator.extract_with_context(&Context::new().with_telemetry_suppressed(), &headers);
    cx.span().span_context().trace_id().to_string() != theirs
}

/// Whether this tracer comes from the provider whose sampler has this log. The sampler knows the probe and makes no span of
/// it. Other providers see a span whose parent is not sampled, which most samplers follow.
pub(super) fn is_ours(tracer: &impl Tracer, decisions: &Arc<DecisionLog>) -> bool {
    let (trace_id, span_id) = (TraceId::from_bytes([1; 16]), SpanId::from_bytes([1; 8]));
    let parent = SpanContext::new(trace_id, span_id, TraceFlags::default(), true, TraceState::default());
    let probe = Probe::new(decisions);
    let cx = Context::new().with_remote_span_context(parent).with_value(probe.clone());
    drop(tracer.build_with_context(SpanBuilder::from_name(Probe::NAME), &cx));
    probe.is_found()
}

#[cfg(test)]
mod tests {
    use opentelemetry::propagation::TextMapCompositePropagator;
    use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
    use opentelemetry_sentry_propagator::SentryPropagator;

    use super::*;

    #[test]
    fn a_propagator_that_overwrites_our_headers_is_found() {
        let both = |first: Box<dyn TextMapPropagator + Send + Sync>, second| {
            propagator_problem(&TextMapCompositePropagator::new(vec![first, second]))
        };
        let (ours, baggage) = (|| Box::new(SentryPropagator::new()), || Box::new(BaggagePropagator::new()));
        assert_eq!(propagator_problem(&SentryPropagator::new()), None);
        assert_eq!(propagator_problem(&TraceContextPropagator::new()), Some(Problem::NoPropagator));
        assert_eq!(both(ours(), baggage()), Some(Problem::BaggageOverwritten));
        assert_eq!(both(baggage(), ours()), None, "ours writes last, and merges everything");
        let traceparent = || Box::new(TraceContextPropagator::new());
        assert_eq!(both(ours(), traceparent()), Some(Problem::TraceOverwritten));
        assert_eq!(both(traceparent(), ours()), None, "ours reads last");
    }
}
