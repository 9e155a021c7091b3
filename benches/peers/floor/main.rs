//! The SDK with its batch processor and an exporter that does nothing.

#[expect(dead_code, reason = "the floor sends nothing")]
#[path = "../driver.rs"]
mod driver;
#[path = "../../headers.rs"]
mod headers;
#[expect(dead_code, reason = "other benches make the trace in parts")]
#[path = "../../service.rs"]
mod service;
#[path = "../stock.rs"]
mod stock;
#[path = "../w3c.rs"]
mod w3c;

use std::io;

use driver::Candidate;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};

#[derive(Debug)]
struct Nothing;

impl SpanExporter for Nothing {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

fn main() -> io::Result<()> {
    driver::run(|plan| {
        let provider = SdkTracerProvider::builder().with_sampler(w3c::sampler(plan.sample_rate()?));
        let (provider, patience) = (provider.with_batch_exporter(Nothing).build(), plan.patience()?);
        let tracer = provider.tracer("driver");
        Ok(Candidate {
            dispatch: stock::dispatch(&tracer),
            tracer,
            propagator: w3c::propagator(),
            // Nothing can fail that matters here.
            end: move || drop(provider.shutdown_with_timeout(patience)),
        })
    })
}
