//! Propagator, sampler and SDK, and with the feature `exporter` also an exporter without a thread.

use std::collections::HashMap;

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};
use opentelemetry_sentry_propagator::SentryPropagator;
use opentelemetry_sentry_sampler::SentrySampler;
use wasm_bindgen::prelude::*;

/// Continues a trace: returns what goes on.
#[wasm_bindgen]
pub fn pass_on(sentry_trace: String, baggage: String) -> Result<String, JsError> {
    let sampler = SentrySampler::builder().with_rate(1.0).build()?;
    let (builder, sent) = processors(SdkTracerProvider::builder().with_sampler(sampler))?;
    let provider = builder.build();
    let propagator = SentryPropagator::new();
    let mut headers = HashMap::from([("sentry-trace".to_owned(), sentry_trace), ("baggage".to_owned(), baggage)]);
    let cx = propagator.extract(&headers);
    let cx = cx.with_span(provider.tracer("sizes").start_with_context("request", &cx));
    propagator.inject_context(&cx, &mut headers);
    cx.span().end();
    Ok(format!("{headers:?}, {} sent", sent()))
}

#[cfg(not(feature = "exporter"))]
fn processors(provider: TracerProviderBuilder) -> Result<(TracerProviderBuilder, impl FnOnce() -> usize), JsError> {
    Ok((provider, || 0))
}

#[cfg(feature = "exporter")]
fn processors(provider: TracerProviderBuilder) -> Result<(TracerProviderBuilder, impl FnOnce() -> usize), JsError> {
    use opentelemetry_sentry_exporter::{SentryExporter, SentrySpanProcessor, Take};

    let (exporter, delivery) =
        SentryExporter::builder().with_dsn("https://public@sentry.example.com/1").build_driven()?;
    let provider = provider.with_span_processor(SentrySpanProcessor::from(exporter));
    Ok((provider, move || delivery.take(Take::Everything).len()))
}
