//! Two span processors for a tracer provider: OpenTelemetry's batch processor and ours.

use std::{
    fs, future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, Request, Response};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
        SpanProcessor,
    },
};
use opentelemetry_sentry_exporter::{SentryExporter, SentryExporterBuilder, SentrySpanProcessor, TraceLifecycle};
use opentelemetry_sentry_sampler::SentrySampler;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use crate::client::{Answering, Client};

/// The queue of OpenTelemetry's batch processor in spans. Dropping a span is cheaper than keeping it, so the queue has
/// room for all spans that are made at a time.
pub const QUEUE: usize = 1 << 15;

/// A timeout that nothing reaches, not even under valgrind.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Where nothing is sent to: the HTTP clients answer, or do not.
const DSN: &str = "http://public@127.0.0.1:1/1";

/// A tracer provider with one of the processors.
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
    /// The names of both processors in commands and results.
    pub const NAMES: [&'static str; 2] = ["stock", "sentry"];

    /// The name of our processor with streamed spans.
    pub const STREAM: &'static str = "stream";

    /// The door with this name, which samples traces at this rate: OpenTelemetry's batch processor with an exporter that
    /// only counts, or ours with an HTTP client that accepts every request at once, which gets transactions or streamed
    /// spans.
    ///
    /// # Panics
    ///
    /// If the system cannot start a thread, or the rate is not in 0.0..=1.0.
    #[must_use]
    pub fn named(name: &str, rate: f64) -> Option<Self> {
        match name {
            "stock" => Some(Self::stock(rate)),
            "sentry" => Some(Self::sentry(rate, accepted())),
            Self::STREAM => Some(Self::sentry(rate, accepted().with_lifecycle(TraceLifecycle::Stream))),
            _ => None,
        }
    }

    fn stock(rate: f64) -> Self {
        let exported = Arc::new(AtomicU64::new(0));
        let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
        let processor = BatchSpanProcessor::builder(Counting(Arc::clone(&exported))).with_batch_config(config).build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(rate)));
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(processor).build();
        Self { provider, end: End::Stock(exported) }
    }

    /// Our processor with this exporter, and our sampler at this rate.
    ///
    /// # Panics
    ///
    /// If the exporter cannot be built, or the rate is not in 0.0..=1.0.
    #[must_use]
    pub fn sentry(rate: f64, exporter: SentryExporterBuilder) -> Self {
        let sampler = SentrySampler::rate(rate).expect("a rate is in 0.0..=1.0").excluding_requests_to(DSN);
        let processor = sentry(exporter.with_decision_log(sampler.decision_log()));
        let provider =
            SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(processor.clone()).build();
        Self { provider, end: End::Sentry(processor) }
    }

    /// A tracer of this provider.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("bench")
    }

    /// A subscriber that turns spans of `tracing` into spans of this provider.
    #[must_use]
    pub fn dispatch(&self) -> Dispatch {
        let layer = tracing_opentelemetry::layer().with_tracer(self.tracer());
        Dispatch::new(tracing_subscriber::registry().with(layer))
    }

    /// Waits until all spans have been exported, and returns the number of spans exported so far.
    pub fn drain(&self) -> u64 {
        match &self.end {
            End::Stock(exported) => {
                // A flush returns an error after five seconds.
                while self.provider.force_flush().is_err() {}
                exported.load(Ordering::Relaxed)
            }
            End::Sentry(processor) => {
                // An error means lost spans, which the number does not include.
                let _ = processor.flush(PATIENCE);
                processor.stats().spans_sent
            }
        }
    }
}

/// Builds our processor.
///
/// # Panics
///
/// If the exporter cannot be built.
#[must_use]
pub fn sentry(exporter: SentryExporterBuilder) -> SentrySpanProcessor {
    exporter.build().expect("a valid setup and a thread").into()
}

/// A builder of an exporter whose requests are all accepted at once.
pub fn accepted() -> SentryExporterBuilder {
    SentryExporter::builder().with_dsn(DSN).with_http_client(Client(accept))
}

/// The same, with the sizes of all requests' bodies, as they are sent.
pub fn weighed() -> (SentryExporterBuilder, Arc<AtomicU64>) {
    let bytes = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&bytes);
    let weigh = move |request: Request<Bytes>| {
        sum.fetch_add(request.body().len() as u64, Ordering::Relaxed);
        accept(request)
    };
    let exporter = SentryExporter::builder().with_dsn(DSN).with_http_client(Client(weigh));
    (exporter, bytes)
}

/// A builder of an exporter whose requests are never answered.
pub fn unanswered() -> SentryExporterBuilder {
    let never = |_: Request<Bytes>| -> Answering { Box::pin(future::pending()) };
    SentryExporter::builder().with_dsn(DSN).with_http_client(Client(never))
}

/// The resident memory of this process in bytes.
///
/// # Panics
///
/// On systems other than Linux.
#[must_use]
pub fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kib.expect("a number of kB") << 10
}

/// A tracer provider that samples everything and has one processor.
pub fn provider(processor: impl SpanProcessor + 'static) -> SdkTracerProvider {
    SdkTracerProvider::builder().with_span_processor(processor).build()
}

/// An exporter that only counts spans.
#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn accept(_: Request<Bytes>) -> Answering {
    Box::pin(async { Ok(Response::new(Bytes::from_static(b"{}"))) })
}
