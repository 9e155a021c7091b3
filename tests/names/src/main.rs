//! Uses every public name that code outside of the project relies on. It checks that they compile.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use opentelemetry::{
    Context, SpanId, TraceId, global,
    logs::{LogRecord, Logger, LoggerProvider, Severity},
    metrics::MeterProvider,
    propagation::TextMapPropagator,
    trace::Tracer,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::{
    Resource,
    logs::{LogProcessor, SdkLoggerProvider},
    trace::{SdkTracerProvider, SpanExporter, SpanProcessor},
};
use opentelemetry_sentry::{
    Delivery, DrivenSentry, EventLayer, FlushError, LogEvent, LogFilter, LogLayer, MetricEvent, Outgoing, Problem, SamplingContext, Sentry,
    SentryBuilder, SentryExporter, SentryLogProcessor, SentryMeterProvider, SentryMetricExporter, SentryOtlpClient, SentryPropagator,
    SentrySampler, SentrySpanProcessor, SetupError, SpanEvent, SpanFilter, Stats, Take, TraceLifecycle, TransactionEvent,
    exporter::{
        DropReason, Dropped, Encoding, ExporterBuildError, SentryExporterBuilder, Trimmed,
        testing::{self, Captured, LocalIngest, Log, Metric, StreamedSpan, Transaction},
    },
    propagator::{PropagationTargets, SentryPropagatorBuilder, meta_tags, server_timing},
    protocol::{
        Baggage, Dsn, DynamicSamplingContext, SampleRand, SampleRate, SentryTrace, Service as Sender, TraceParent,
    },
    sampler::{InvalidSampleRate, Rule, SamplerHandle, SentrySamplerBuilder},
    sentry_sdk::{SharedTransport, TraceIntegration},
    testing::capture,
    web::{
        ActionOutcome, ClientLayer, RequestBuilderExt, ServerAction, ServerBody, ServerFuture, ServerLayer,
        ServerTiming, ServerTimingLayer, TRACE_HEADERS, TracedClient, TracedServer, Tunnel, TunnelBuildError,
        TunnelBuilder, deferred, server_action,
    },
};
use tower_layer::Layer;
use tower_service::Service;
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ingest = LocalIngest::start()?;
    let sentry = facade(&ingest)?;
    let layer: opentelemetry_sentry::TracingLayer<_> = sentry.tracing_layer();
    let subscriber = tracing_subscriber::registry().with(layer);
    drop(subscriber);
    let _provider: &SdkTracerProvider = sentry.tracer_provider();
    let propagator: SentryPropagator = sentry.propagator().clone();
    let cx = propagator.extract_with_context(&Context::new(), &HashMap::new());
    let mut headers = HashMap::new();
    let targets: PropagationTargets = PropagationTargets::builder().with_text("api").with_regex("^http").build()?;
    assert!(targets.matches("http://api/"));
    propagator.inject_context(&cx, &mut targets.injector("http://api/", &mut headers));
    let _page: (String, Option<String>) = (meta_tags(&cx), server_timing(&cx));
    let _problems: Vec<Problem> = sentry.check();
    let stats: Stats = sentry.stats();
    let _dropped: Option<&Dropped> = stats.dropped.get(&DropReason::NetworkError);
    assert_eq!(stats.spans_received, stats.spans_sent + stats.transactions_sent + stats.envelopes_in_flight);
    let _trimmed: Trimmed = stats.trimmed;
    let flushed: Result<(), FlushError> = sentry.flush(Duration::from_secs(2));
    flushed?;
    sentry.shutdown(Duration::from_secs(2))?;
    protocol()?;
    parts(&ingest)?;
    logs()?;
    metrics()?;
    web(&ingest)?;
    without_a_thread(&ingest)?;
    sentry_sdk(&ingest)?;
    captured();
    Ok(())
}

fn captured() {
    let sent: Captured = capture(|| global::tracer("names").in_span("work", |_| ()));
    let work: &Transaction = sent.transaction("work");
    let _spans: &Vec<testing::Span> = &work.spans;
    let _errors: &Vec<testing::ErrorEvent> = &sent.errors;
    let _check_ins: &Vec<testing::CheckIn> = &sent.check_ins;
}

fn facade(ingest: &LocalIngest) -> Result<Sentry, SetupError> {
    let builder: SentryBuilder = Sentry::builder()
        .with_dsn(ingest.dsn())
        .with_release("shop@1.2.3")
        .with_environment("test")
        .with_server_name("host-1")
        .with_traces_sample_rate(1.0)
        .with_traces_sampler(|context: &SamplingContext<'_>| context.inherit_or_sample_with(0.5))
        .with_org_id(1)
        .with_strict_trace_continuation(false)
        .with_before_send_transaction(|event: TransactionEvent| (event.name != "ping").then_some(event))
        .with_exceptions_as_errors(true)
        .with_logs(true)
        .with_logs_from_span_events(false)
        .with_before_send_log(|log: LogEvent| (log.target() != "noise").then_some(log))
        .with_spotlight(ingest.spotlight_url())
        .with_lifecycle(TraceLifecycle::Transactions)
        .with_attribute("tenant", "acme")
        .with_resource(Resource::builder().build())
        .with_exporter(|exporter| every_option(exporter, ingest));
    builder.install()
}

/// Every option of the exporter, as the closure of `with_exporter` sets them.
fn every_option(exporter: SentryExporterBuilder, ingest: &LocalIngest) -> SentryExporterBuilder {
    // These change the file system, or need a file: that they are there is enough.
    let _: fn(SentryBuilder, &'static str) -> SentryBuilder = SentryBuilder::with_spool_dir;
    let _: fn(SentryExporterBuilder, &'static str) -> SentryExporterBuilder = SentryExporterBuilder::with_spool_dir;
    let _: fn(SentryExporterBuilder, Vec<u8>) -> SentryExporterBuilder = SentryExporterBuilder::with_root_certificate;
    let _: fn(SentryExporterBuilder, NoNetwork) -> SentryExporterBuilder = SentryExporterBuilder::with_http_client;
    exporter
        .with_dsn(ingest.dsn())
        .with_release("shop@1.2.3")
        .with_environment("test")
        .with_server_name("host-1")
        .with_service(Sender::new(ingest.dsn().parse().ok()))
        .with_spotlight(ingest.spotlight_url())
        .with_lifecycle(TraceLifecycle::Transactions)
        .with_attribute("tenant", "acme")
        .with_decision_log(Arc::default())
        .with_tag("team", "shop")
        .with_tag_attributes(["tenant"])
        .with_scrubber(|_, _| None)
        .with_default_scrubbing(true)
        .with_before_send_transaction(Some)
        .with_before_send_span(|span: &mut SpanEvent| span.description.truncate(100))
        .with_ignore_transactions(["GET /health"])
        .with_ignore_spans([SpanFilter::new().with_op("cache.*")])
        .with_ignore_logs([LogFilter::new().with_target("hyper").with_level_below("warn"), LogFilter::from("sqlx")])
        .with_before_send_log(|mut log: LogEvent| {
            let _ids: (Option<TraceId>, Option<SpanId>) = (log.trace_id(), log.span_id());
            log.level = "warn".to_owned();
            log.attributes.insert("hooked".to_owned(), true.into());
            (!log.body.is_empty()).then_some(log)
        })
        .with_logs_from_span_events(false)
        .with_log_limit(1000)
        .with_exceptions_as_errors(true)
        .with_late_span_grace(Duration::from_millis(10))
        .with_trace_limit(1000)
        .with_buffer_limit(16 << 20)
        .with_queue_limit(8 << 20)
        .with_encoding(Encoding::default())
        .with_backpressure(true)
        .with_internal_metrics(&opentelemetry::global::meter("shop"))
}

fn protocol() -> Result<(), Box<dyn std::error::Error>> {
    let trace = SentryTrace::new(TraceId::from_bytes([1; 16]), SpanId::from_bytes([2; 8]), Some(true));
    assert_eq!(trace.to_string().parse::<SentryTrace>()?, trace);
    let parent = TraceParent::new(trace.trace_id(), trace.span_id(), true);
    assert_eq!(parent.to_string().parse::<TraceParent>()?, parent);
    let baggage: Baggage = "a=1,sentry-release=x".parse()?;
    let dsc: &DynamicSamplingContext = baggage.dsc().ok_or("no context")?;
    assert_eq!(dsc.get("release").as_deref(), Some("x"));
    let dsn: Dsn = "https://public@o1.ingest.sentry.io/1".parse()?;
    assert_eq!(
        (dsn.org_id(), dsn.envelope_url().is_empty(), (dsn.otlp_traces_url() + &dsn.otlp_logs_url()).is_empty()),
        (Some(1), false, false)
    );
    let (_rate, _rand): (SampleRate, SampleRand) = ("0.25".parse()?, "0.5".parse()?);
    Ok(())
}

fn parts(ingest: &LocalIngest) -> Result<(), Box<dyn std::error::Error>> {
    let propagator: SentryPropagatorBuilder = SentryPropagator::builder();
    let _propagator: SentryPropagator = propagator
        .with_dsn(ingest.dsn())
        .with_release("a")
        .with_environment("b")
        .with_org_id(1)
        .with_strict_trace_continuation(true)
        .with_traceparent(true)
        .with_undecided_traceparent(false)
        .build()?;
    let _new = SentryPropagator::new();
    let rate: Result<SentrySampler, InvalidSampleRate> = SentrySampler::rate(0.5);
    let _function = SentrySampler::function(|_| 1.0);
    let sampler: SentrySamplerBuilder = SentrySampler::builder()
        .with_rate(0.5)
        .with_function(|_| 1.0)
        .with_rule(Rule::health_checks())
        .with_max_traces_per_second(100)
        .with_head_and_options(true)
        .with_record_all(false);
    let _handle: SamplerHandle = SentrySampler::off().handle();
    let provider = SdkTracerProvider::builder().with_sampler(sampler.with_parent_based(true).build()?);
    let exporter: Result<SentryExporter, ExporterBuildError> = SentryExporter::builder()
        .with_dsn(ingest.dsn())
        .with_release("a")
        .with_environment("b")
        .with_server_name("c")
        .with_buffer_limit(1 << 20)
        .with_queue_limit(1 << 20)
        .build();
    let exporter = exporter?;
    is_exporter(&exporter);
    let processor = SentrySpanProcessor::from(exporter);
    let otlp: SentryOtlpClient = SentryOtlpClient::from(&processor);
    otlp.flush(Duration::from_secs(2))?;
    is_processor(&processor);
    provider.with_span_processor(processor).build().shutdown()?;
    let second = SentrySpanProcessor::from(SentryExporter::builder().build()?);
    let builder = Sentry::builder().with_dsn("").with_sampler(rate?).with_span_processor(second);
    drop(builder.with_http_client(NoNetwork).build()?);
    let own_client: Result<SentryExporter, ExporterBuildError> =
        SentryExporter::builder().with_dsn(ingest.dsn()).with_http_client(NoNetwork).build();
    own_client?;
    Ok(())
}

/// The meter provider of the facade, and the doors for metrics by parts.
fn metrics() -> Result<(), Box<dyn std::error::Error>> {
    let ingest = LocalIngest::start()?;
    let builder = Sentry::builder().with_dsn(ingest.dsn()).with_metrics(true);
    let builder = builder.with_exporter(|exporter| exporter.with_ignore_metrics(["noise.*"]));
    let sentry = builder
        .with_before_send_metric(|mut metric: MetricEvent| {
            let _ids: (Option<TraceId>, Option<SpanId>) = (metric.trace_id(), metric.span_id());
            metric.attributes.insert("hooked".to_owned(), true.into());
            (metric.metric_type() == "counter" && metric.value > 0.0 && metric.unit.is_none()).then_some(metric)
        })
        .build()?;
    let provider: &SentryMeterProvider = sentry.meter_provider();
    provider.meter("names").u64_counter("orders").build().add(2, &[]);
    sentry.flush(Duration::from_secs(60))?;
    let metric: Metric = ingest.metric("orders");
    assert_eq!((metric.name.as_str(), metric.value, ingest.metrics().len()), ("orders", 2.0, 1));
    let stats = provider.stats();
    assert_eq!((stats.metrics_received, stats.metrics_sent, stats.metrics_dropped()), (1, 1, 0));
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build()?;
    let by_parts = SentryMeterProvider::from(&exporter).with_resource(Resource::builder_empty().build());
    let _exporter: SentryMetricExporter = SentryMetricExporter::from(&exporter);
    by_parts.with_inner(provider.clone()).shutdown(Duration::from_secs(60))?;
    Ok(())
}

/// The layer and the logger provider of the facade, and the processor in a provider of the application.
fn logs() -> Result<(), Box<dyn std::error::Error>> {
    let ingest = LocalIngest::start()?;
    let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_logs(true).build()?;
    let (filtered, every): (LogLayer<_>, EventLayer) = (sentry.log_layer(), sentry.unfiltered_log_layer());
    drop(tracing_subscriber::registry().with(filtered).with(every));
    let provider: &SdkLoggerProvider = sentry.logger_provider();
    emit(provider, "by the facade");
    sentry.flush(Duration::from_secs(60))?;
    let _: fn(&LocalIngest, &str) -> StreamedSpan = LocalIngest::span;
    let log: Log = ingest.log("by the facade");
    assert_eq!((log.level.as_str(), log.severity_number, log.span_id), ("info", Some(9), None));
    let stats: Stats = sentry.stats();
    assert_eq!((stats.logs_received, stats.logs_sent, stats.logs_dropped()), (1, 1, 0));

    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build()?;
    let spans = SentrySpanProcessor::from(exporter);
    let processor = SentryLogProcessor::from(&spans);
    is_log_processor(&processor);
    let provider = SdkLoggerProvider::builder().with_log_processor(processor.clone()).build();
    emit(&provider, "by a processor");
    let flushed: Result<(), FlushError> = processor.flush(Duration::from_secs(60));
    flushed?;
    let bodies: Vec<String> = ingest.logs().into_iter().map(|log: Log| log.body).collect();
    assert_eq!(bodies, ["by the facade", "by a processor"]);
    let _stats: Stats = processor.stats();
    processor.shutdown(Duration::from_secs(60))?;
    drop(SentryLogProcessor::from(SentryExporter::builder().build()?));
    Ok(())
}

fn emit(provider: &SdkLoggerProvider, body: &'static str) {
    let logger = provider.logger("names");
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Info);
    record.set_body(body.into());
    logger.emit(record);
}

fn web(ingest: &LocalIngest) -> Result<(), TunnelBuildError> {
    let builder: TunnelBuilder = Tunnel::builder()
        .with_dsn(ingest.dsn())
        .with_http_client(NoNetwork)
        .with_max_body_size(1 << 20)
        .with_timeout(Duration::from_secs(1))
        .with_client_address_from(http::header::FORWARDED);
    let tunnel: Tunnel = builder.build()?;
    is_service(&ServerTimingLayer::new().layer(tunnel.clone()));
    let _timed: ServerTiming<Tunnel> = ServerTimingLayer::new().layer(tunnel.clone());
    let layer: ServerLayer = ServerLayer::new()
        .with_untraced_paths(["/health"])
        .with_request_headers([http::header::ACCEPT])
        .with_response_headers([http::header::AGE])
        .with_client_address(1)
        .with_server_timing(true);
    let mut server: TracedServer<Tunnel> = layer.layer(tunnel);
    is_service(&server);
    let request = http::Request::new(http_body_util::Empty::<opentelemetry_http::Bytes>::new());
    let _answer: ServerFuture<_> = server.call(request);
    let _body: Option<ServerBody<http_body_util::Empty<opentelemetry_http::Bytes>>> = None;
    let names = TRACE_HEADERS.map(|name| name.as_str().to_owned());
    assert_eq!(names, ["sentry-trace", "baggage", "traceparent"]);

    let layer: ClientLayer = ClientLayer::new().with_targets(PropagationTargets::nowhere());
    let client = reqwest::Client::new();
    drop(client.get("http://127.0.0.1:1/").send_traced(&layer));
    let _client: TracedClient<reqwest::Client> = layer.layer(client);

    let action: ServerAction<u8> = server_action("createOrder")
        .with_headers(&http::HeaderMap::new())
        .with_extractor(&HashMap::new())
        .with_form_data([("sku", "lamp")])
        .with_result(|_: &u8| "made".into());
    drop(action.run(async { Err("no stock") }));
    let outcome = |status: &http::StatusCode| ActionOutcome::from(*status);
    drop(server_action::<u8>("a").run_with(async { Err(http::StatusCode::NOT_FOUND) }, outcome));
    drop(deferred("work", async {}));
    Ok(())
}

fn without_a_thread(ingest: &LocalIngest) -> Result<(), Box<dyn std::error::Error>> {
    let driven: DrivenSentry = Sentry::builder().with_dsn(ingest.dsn()).build_driven()?;
    let requests: Vec<Outgoing> = driven.take(Take::Everything);
    for outgoing in requests {
        outgoing.answered(http::StatusCode::OK, &http::HeaderMap::new());
    }
    let (_sentry, delivery): (Sentry, Delivery) = driven.into_parts();
    drop(delivery.take(Take::Ready));
    Ok(())
}

fn sentry_sdk(ingest: &LocalIngest) -> Result<(), Box<dyn std::error::Error>> {
    let options = sentry_core::ClientOptions::new().add_integration(TraceIntegration::new());
    let client = Arc::new(sentry_core::Client::from((ingest.dsn(), options)));
    let transport: SharedTransport = SharedTransport::new(client)?;
    drop(Sentry::builder().with_dsn(ingest.dsn()).with_http_client(transport.clone()).build()?);
    Ok(())
}

/// An HTTP client that the application brings.
#[derive(Debug)]
struct NoNetwork;

impl HttpClient for NoNetwork {
    fn send_bytes<'a, 'b>(
        &'a self,
        _: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(async { Err("no network".into()) })
    }
}

fn is_service(_: &impl Service<Request<http_body_util::Full<Bytes>>>) {}

fn is_exporter(_: &impl SpanExporter) {}

fn is_processor(_: &impl SpanProcessor) {}

fn is_log_processor(_: &impl LogProcessor) {}
