//! The part of a check that only the facade can do: a look at the global propagator.

use std::collections::HashMap;

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    baggage::BaggageExt,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sentry_exporter::Problem;

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
    let cx = propagator.extract_with_context(&Context::new(), &headers);
    cx.span().span_context().trace_id().to_string() != theirs
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
