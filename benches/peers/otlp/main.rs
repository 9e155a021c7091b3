//! `opentelemetry-otlp` over HTTP with gzip.

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
use opentelemetry_otlp::{Compression, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;

fn main() -> io::Result<()> {
    driver::run(|plan| {
        let exporter = SpanExporter::builder().with_http().with_endpoint(plan.url("", "/v1/traces"));
        let exporter = exporter.with_compression(Compression::Gzip).build().map_err(io::Error::other)?;
        let provider = SdkTracerProvider::builder().with_sampler(w3c::sampler(plan.sample_rate()?));
        let (provider, patience) = (provider.with_batch_exporter(exporter).build(), plan.patience()?);
        let tracer = provider.tracer("driver");
        Ok(Candidate {
            dispatch: stock::dispatch(&tracer),
            tracer,
            propagator: w3c::propagator(),
            // An error means lost spans, which the server does not count.
            end: move || drop(provider.shutdown_with_timeout(patience)),
        })
    })
}
