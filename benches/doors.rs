//! Two ways out of a tracer provider: OpenTelemetry's batch processor and ours.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanExporter, SpanProcessor,
    },
};
use opentelemetry_sentry_exporter::{SentryExporter, SentryExporterBuilder, SentrySpanProcessor};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

/// The spans that OpenTelemetry's batch processor may hold. Dropping is cheaper than keeping, so it must never have
/// to; this is room for more than is made at a time.
pub const QUEUE: usize = 1 << 15;

/// Longer than anything takes, also when it runs under valgrind.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A tracer provider and what its spans go through.
#[derive(Debug)]
pub struct Door {
    provider: SdkTracerProvider,
    end: End,
}

#[derive(Debug)]
enum End {
    Stock(Arc<AtomicU64>),
    Sentry(SentrySpanProcessor),
}

impl Door {
    /// The names of both in commands and results.
    pub const NAMES: [&'static str; 2] = ["stock", "sentry"];

    /// The door of this name: OpenTelemetry's batch processor with an exporter that does nothing, or ours with an HTTP
    /// client that says yes at once.
    ///
    /// # Panics
    ///
    /// If the system has no thread to give.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "stock" => Some(Self::stock()),
            "sentry" => Some(Self::sentry()),
            _ => None,
        }
    }

    fn stock() -> Self {
        let exported = Arc::new(AtomicU64::new(0));
        let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
        let processor = BatchSpanProcessor::builder(Counting(Arc::clone(&exported))).with_batch_config(config).build();
        Self { provider: provider(processor), end: End::Stock(exported) }
    }

    fn sentry() -> Self {
        let processor = sentry(accepted());
        Self { provider: provider(processor.clone()), end: End::Sentry(processor) }
    }

    /// Makes its spans.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("bench")
    }

    /// Makes its spans from those of `tracing`.
    #[must_use]
    pub fn dispatch(&self) -> Dispatch {
        let layer = tracing_opentelemetry::layer().with_tracer(self.tracer());
        Dispatch::new(tracing_subscriber::registry().with(layer))
    }

    /// Waits until everything has left, and returns how many spans did so far.
    pub fn drain(&self) -> u64 {
        match &self.end {
            End::Stock(exported) => {
                // It waits for five seconds and not more, and says so with an error.
                while self.provider.force_flush().is_err() {}
                exported.load(Ordering::Relaxed)
            }
            End::Sentry(processor) => {
                // What was lost is in the number.
                let _ = processor.flush(PATIENCE);
                processor.stats().spans_sent
            }
        }
    }
}

/// Our processor.
///
/// # Panics
///
/// If the exporter cannot be built.
#[must_use]
pub fn sentry(exporter: SentryExporterBuilder) -> SentrySpanProcessor {
    exporter.build().expect("a valid setup and a thread").into()
}

/// An exporter whose every request is answered with yes at once.
pub fn accepted() -> SentryExporterBuilder {
    SentryExporter::builder().with_dsn("http://public@127.0.0.1:1/1").with_http_client(Accepting)
}

/// A tracer provider that records everything, for one processor.
pub fn provider(processor: impl SpanProcessor + 'static) -> SdkTracerProvider {
    SdkTracerProvider::builder().with_span_processor(processor).build()
}

/// An exporter that does nothing but count.
#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[derive(Debug)]
struct Accepting;

impl HttpClient for Accepting {
    fn send_bytes<'a, 'b>(
        &'a self,
        _request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { Ok(Response::new(Bytes::from_static(b"{}"))) })
    }
}
