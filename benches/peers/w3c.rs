//! What the candidates without Sentry share: OpenTelemetry's own sampler and propagators.

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::Sampler,
};

/// A sampler for the traces that begin here.
pub fn sampler(rate: f64) -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(rate)))
}

/// The propagators for `traceparent` and `baggage`.
pub fn propagator() -> Box<dyn TextMapPropagator> {
    let propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>> =
        vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())];
    Box::new(TextMapCompositePropagator::new(propagators))
}
