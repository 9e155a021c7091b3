//! A job that continues the trace of its caller. WASI has no HTTP client, so it leaves its requests as files.

use std::{env, error::Error, fs};

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sentry::{Sentry, SentryPropagator, Take};

fn main() -> Result<(), Box<dyn Error>> {
    let sentry = Sentry::builder().with_release("command@1.0.0").build_driven()?; // the rest is in the environment
    let tracer = sentry.tracer_provider().tracer("command");
    let caller = SentryPropagator::new().extract_from_env();
    let _attached = caller.attach();
    tracer.in_span("job", |_| {
        for step in ["read", "compute", "write"] {
            tracer.in_span(step, |_| {});
        }
    });
    let folder = env::args().nth(1).ok_or("usage: command FOLDER")?;
    for (number, outgoing) in sentry.take(Take::Everything).into_iter().enumerate() {
        let request = outgoing.request();
        let target = request.uri().path_and_query().ok_or("a request has no path")?;
        let mut bytes =
            format!("{} {target} HTTP/1.1\r\nhost: ingest\r\nconnection: close\r\n", request.method()).into_bytes();
        for (name, value) in request.headers() {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        bytes.extend(format!("content-length: {}\r\n\r\n", request.body().len()).into_bytes());
        bytes.extend(request.body());
        fs::write(format!("{folder}/{number}"), bytes)?;
        outgoing.answered(http::StatusCode::OK, &http::HeaderMap::new());
    }
    let stats = sentry.stats();
    println!("{} received, {} sent, {} waiting", stats.spans_received, stats.spans_sent, stats.spans_pending);
    Ok(())
}
