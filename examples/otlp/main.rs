//! A service that sends by OTLP: `cargo run --example otlp`.
//!
//! `opentelemetry-otlp` writes the spans and logs. Sentry's propagator and sampler make one trace of them with all other
//! services, and `SentryOtlpClient` delivers them and counts what is lost. Without `SENTRY_DSN` a local ingest receives them,
//! and the program prints what has arrived.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::{collections::HashMap, env, error::Error, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    logs::{LogRecord, Logger, LoggerProvider, Severity},
    propagation::TextMapPropagator,
    trace::{FutureExt as _, Span, SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{LogExporter, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::SdkLoggerProvider,
    trace::{SdkTracerProvider, SpanData, SpanProcessor},
};
use opentelemetry_sentry::{
    Sentry, SentryOtlpClient, SentryPropagator, SentrySampler, Stats, exporter::testing::LocalIngest,
};

/// Everything that `main` sets up.
struct Telemetry {
    sentry: Sentry,
    spans: SdkTracerProvider,
    logs: SdkLoggerProvider,
}

impl Telemetry {
    fn new(dsn: &str, rate: f64) -> Result<Self, Box<dyn Error>> {
        let sampler = SentrySampler::builder().with_rate(rate).with_trace_header(false).build()?;
        let sentry = Sentry::builder().with_dsn(dsn).with_release(RELEASE).with_sampler(sampler.clone()).build()?;
        let client = SentryOtlpClient::from(sentry.span_processor());
        let resource = Resource::builder()
            .with_service_name("shop")
            .with_attribute(KeyValue::new("deployment.environment.name", "demo"))
            .build();
        let spans = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(sampler)
            .with_span_processor(Release)
            .with_batch_exporter(SpanExporter::builder().with_http().with_http_client(client.clone()).build()?)
            .build();
        let logs = SdkLoggerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(LogExporter::builder().with_http().with_http_client(client).build()?)
            .build();
        Ok(Self { sentry, spans, logs })
    }

    const fn propagator(&self) -> &SentryPropagator {
        self.sentry.propagator()
    }

    /// First the providers, which hand their last batches to the client. Returns what became of all spans and logs.
    fn shutdown(self) -> Stats {
        let processor = self.sentry.span_processor().clone();
        self.logs.shutdown().unwrap_or_else(|error| eprintln!("logs: {error}"));
        self.spans.shutdown().unwrap_or_else(|error| eprintln!("spans: {error}"));
        self.sentry.shutdown(Duration::from_secs(2)).unwrap_or_else(|error| eprintln!("Sentry: {error}"));
        processor.stats()
    }
}

const RELEASE: &str = concat!("shop@", env!("CARGO_PKG_VERSION"));

/// Sentry takes the release of a span by OTLP from an attribute of the span, and not from the resource.
#[derive(Debug)]
struct Release;

impl SpanProcessor for Release {
    fn on_start(&self, span: &mut opentelemetry_sdk::trace::Span, _: &Context) {
        span.set_attribute(KeyValue::new("sentry.release", RELEASE));
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Answers a request: continues its trace, logs a line and calls another service. Returns the headers of that call.
async fn checkout(telemetry: &Telemetry, headers: &HashMap<String, String>) -> HashMap<String, String> {
    let tracer = telemetry.spans.tracer("shop");
    let caller = telemetry.propagator().extract(headers);
    let request = tracer.span_builder("POST /checkout").with_kind(SpanKind::Server);
    let request = caller.with_span(request.start_with_context(&tracer, &caller));
    async {
        let logger = telemetry.logs.logger("shop");
        let mut line = logger.create_log_record();
        line.set_severity_number(Severity::Info);
        line.set_body("order placed".into());
        logger.emit(line);
        let call = tracer.span_builder("POST").with_kind(SpanKind::Client).start(&tracer);
        let call = Context::current_with_span(call);
        let mut outgoing = HashMap::new();
        telemetry.propagator().inject_context(&call, &mut outgoing);
        call.span().end();
        outgoing
    }
    .with_context(request)
    .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ingest = LocalIngest::start()?;
    let dsn = env::var("SENTRY_DSN").unwrap_or_else(|_| ingest.dsn());
    let telemetry = Telemetry::new(&dsn, 1.0)?;
    let headers = HashMap::from([("sentry-trace".to_owned(), BROWSER.to_owned())]);
    let outgoing = checkout(&telemetry, &headers).await;
    println!("the next service gets sentry-trace: {}", outgoing["sentry-trace"]);
    println!("{}", telemetry.shutdown());
    for span in ingest.otlp_spans() {
        println!("span {} {}: {}, parent {:?}", span.trace_id, span.span_id, span.name, span.parent_span_id);
    }
    for log in ingest.otlp_logs() {
        println!("log  {} {}: {}", log.trace_id.unwrap_or_default(), log.span_id.unwrap_or_default(), log.body);
    }
    Ok(())
}

/// What a browser sends.
const BROWSER: &str = "771a43a4192642f0b136d5159a501700-1234567890abcdef-1";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_trace_of_the_browser_arrives_by_otlp_and_goes_on() {
        let ingest = LocalIngest::start().unwrap();
        let telemetry = Telemetry::new(&ingest.dsn(), 1.0).unwrap();
        let headers = HashMap::from([("sentry-trace".to_owned(), BROWSER.to_owned())]);
        let outgoing = checkout(&telemetry, &headers).await;
        let stats = telemetry.shutdown();
        assert_eq!((stats.spans_sent, stats.logs_sent, stats.transactions_sent), (2, 1, 0), "{stats}");
        let [request, call] = ["POST /checkout", "POST"].map(|name| ingest.otlp_span(name));
        let log = ingest.otlp_log("order placed");
        let trace_id = BROWSER.split('-').next().unwrap();
        assert_eq!([&request.trace_id, &call.trace_id, log.trace_id.as_ref().unwrap()], [trace_id; 3]);
        assert_eq!(
            (request.parent_span_id.as_deref(), request.has_remote_parent),
            (Some("1234567890abcdef"), Some(true))
        );
        assert_eq!(
            (call.parent_span_id.as_ref(), log.span_id.as_ref()),
            (Some(&request.span_id), Some(&request.span_id))
        );
        assert_eq!(outgoing["sentry-trace"], format!("{trace_id}-{}-1", call.span_id));
        assert_eq!(request.attributes.keys().collect::<Vec<_>>(), ["sentry.release"]);
    }

    #[tokio::test]
    async fn a_trace_that_the_browser_has_dropped_sends_nothing_but_the_log() {
        let ingest = LocalIngest::start().unwrap();
        let telemetry = Telemetry::new(&ingest.dsn(), 1.0).unwrap();
        let dropped = "771a43a4192642f0b136d5159a501700-1234567890abcdef-0";
        let headers = HashMap::from([("sentry-trace".to_owned(), dropped.to_owned())]);
        let outgoing = checkout(&telemetry, &headers).await;
        assert!(outgoing["sentry-trace"].ends_with("-0"), "{outgoing:?}");
        telemetry.shutdown();
        assert_eq!((ingest.otlp_spans().len(), ingest.otlp_logs().len(), ingest.envelopes().len()), (0, 1, 0));
    }
}
