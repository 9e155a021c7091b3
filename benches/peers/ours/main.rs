//! The driver with this project.

#[path = "../driver.rs"]
mod driver;
#[expect(dead_code, reason = "the driver makes spans through the API only")]
#[path = "../../service.rs"]
mod service;

use std::io;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sentry::Sentry;

fn main() -> io::Result<()> {
    driver::run(|dsn| {
        let sentry = Sentry::builder().with_dsn(dsn).with_traces_sample_rate(1.0).build().map_err(io::Error::other)?;
        let tracer = sentry.tracer_provider().tracer("driver");
        let end = move || {
            let processor = sentry.span_processor().clone();
            // An error means lost spans, which the statistics have.
            let _ = sentry.shutdown(driver::SHUTDOWN);
            eprintln!("{}", processor.stats());
        };
        Ok((tracer, end))
    })
}
