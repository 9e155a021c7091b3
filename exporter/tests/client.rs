//! An HTTP client of the application that panics.

use std::{panic::panic_any, pin::Pin, time::Duration};

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sentry_exporter::{DropReason, FlushError, SentryExporter, SentrySpanProcessor};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a panic may carry.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Panics before it returns a future, or in the future.
#[derive(Debug)]
struct Broken {
    at_once: bool,
}

impl HttpClient for Broken {
    fn send_bytes<'a, 'b>(
        &'a self,
        _: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        if self.at_once {
            panic_any(PanicsOnDrop);
        }
        Box::pin(async { panic_any(PanicsOnDrop) })
    }
}

#[test]
fn a_client_whose_panic_panics_again_ends_only_its_request() {
    for at_once in [true, false] {
        let builder = SentryExporter::builder().with_dsn("http://public@127.0.0.1:1/1");
        let exporter = builder.with_http_client(Broken { at_once }).build().unwrap();
        let processor = SentrySpanProcessor::from(exporter);
        let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
        for count in 1..=2 {
            provider.tracer("test").start("work");
            assert_eq!(processor.flush(PATIENCE), Err(FlushError::Undelivered { spans: 1 }));
            assert_eq!(processor.stats().dropped[&DropReason::InternalSdkError].spans, count);
        }
    }
}
