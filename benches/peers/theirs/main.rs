//! The driver with `sentry` and `sentry-opentelemetry`, set up as their documentation says.

#[path = "../driver.rs"]
mod driver;
#[expect(dead_code, reason = "the driver makes spans through the API only")]
#[path = "../../service.rs"]
mod service;

use std::io;

use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use sentry::{
    ClientOptions,
    integrations::opentelemetry::{SentryPropagator, SentrySpanProcessor},
};

fn main() -> io::Result<()> {
    driver::run(|dsn| {
        let options = ClientOptions::new().traces_sample_rate(1.0).shutdown_timeout(driver::SHUTDOWN);
        let guard = sentry::init((dsn, options));
        global::set_text_map_propagator(SentryPropagator::new());
        let provider = SdkTracerProvider::builder().with_span_processor(SentrySpanProcessor::new()).build();
        let tracer = provider.tracer("driver");
        global::set_tracer_provider(provider);
        Ok((tracer, move || drop(guard)))
    })
}
