//! This project.

#[path = "../driver.rs"]
mod driver;
#[path = "../../headers.rs"]
mod headers;
#[expect(dead_code, reason = "other benches make the trace in parts")]
#[path = "../../service.rs"]
mod service;

use std::io;

use driver::Candidate;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sentry::{Sentry, TraceLifecycle, exporter::Encoding};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

fn main() -> io::Result<()> {
    driver::run(|plan| {
        let encoding = if plan.text("encoding", "gzip") == "zstd" { Encoding::Zstd } else { Encoding::Gzip };
        let is_stream = plan.text("lifecycle", "transactions") == "stream";
        let lifecycle = if is_stream { TraceLifecycle::Stream } else { TraceLifecycle::Transactions };
        let is_of_logs = plan.text("work", "") == "logs";
        let builder =
            Sentry::builder().with_dsn(plan.url("public@", "/1")).with_traces_sample_rate(plan.sample_rate()?);
        let builder = builder.with_lifecycle(lifecycle).with_exporter(|exporter| exporter.with_encoding(encoding));
        let builder = builder.with_logs(is_of_logs);
        let (sentry, patience) = (builder.build().map_err(io::Error::other)?, plan.patience()?);
        Ok(Candidate {
            tracer: sentry.tracer_provider().tracer("driver"),
            dispatch: match is_of_logs {
                true => Dispatch::new(tracing_subscriber::registry().with(sentry.log_layer())),
                false => Dispatch::new(tracing_subscriber::registry().with(sentry.tracing_layer())),
            },
            propagator: Box::new(sentry.propagator().clone()),
            end: move || {
                let processor = sentry.span_processor().clone();
                // An error means lost spans, which the statistics have.
                let _ = sentry.shutdown(patience);
                eprintln!("{}", processor.stats());
            },
        })
    })
}
