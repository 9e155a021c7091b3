//! `sentry`, `sentry-opentelemetry` and the layer of `sentry-tracing` for logs, set up as their documentation says.

#[path = "../driver.rs"]
mod driver;
#[path = "../../headers.rs"]
mod headers;
#[expect(dead_code, reason = "other benches make the trace in parts")]
#[path = "../../service.rs"]
mod service;
#[path = "../stock.rs"]
mod stock;

use std::io;

use driver::Candidate;
use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use sentry::{
    ClientOptions,
    integrations::{
        opentelemetry::{SentryPropagator, SentrySpanProcessor},
        tracing::LogLayer,
    },
};
use tracing::{Dispatch, level_filters::LevelFilter};
use tracing_subscriber::{Layer, layer::SubscriberExt};

fn main() -> io::Result<()> {
    driver::run(|plan| {
        let options =
            ClientOptions::new().traces_sample_rate(plan.sample_rate()? as f32).shutdown_timeout(plan.patience()?);
        let guard = sentry::init((plan.url("public@", "/1"), options));
        global::set_text_map_propagator(SentryPropagator::new());
        let provider = SdkTracerProvider::builder().with_span_processor(SentrySpanProcessor::new()).build();
        let tracer = provider.tracer("driver");
        global::set_tracer_provider(provider);
        Ok(Candidate {
            dispatch: match plan.text("work", "") == "logs" {
                true => {
                    let layer = LogLayer::new().with_filter(LevelFilter::INFO);
                    Dispatch::new(tracing_subscriber::registry().with(layer))
                }
                false => stock::dispatch(&tracer),
            },
            tracer,
            propagator: Box::new(SentryPropagator::new()),
            end: move || drop(guard),
        })
    })
}
