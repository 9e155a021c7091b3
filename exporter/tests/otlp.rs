//! OpenTelemetry's own OTLP exporter with our client and with its own, against a server that answers as Sentry does.

use std::{net::TcpListener, path::Path, time::Duration};

use opentelemetry::{
    logs::{LogRecord, Logger, LoggerProvider, Severity},
    trace::{Tracer, TracerProvider},
};
use opentelemetry_http::{Bytes, HttpClient, Request};
use opentelemetry_otlp::{Compression, LogExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::SdkLoggerProvider,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use opentelemetry_sentry_exporter::{
    DropReason, FlushError, SentryExporter, SentryOtlpClient, SentrySpanProcessor, Stats, Take,
    testing::{Answer, LocalIngest},
};
use opentelemetry_sentry_protocol::Dsn;

/// Only a test that hangs waits this long.
const LONG: Duration = Duration::from_secs(30);

fn client(dsn: &str) -> SentryOtlpClient {
    SentryOtlpClient::from(SentryExporter::builder().with_dsn(dsn).build().expect("valid settings"))
}

/// The spans of OTLP's exporter go out when the provider is flushed, 10 at a time.
fn provider(exporter: SpanExporter) -> SdkTracerProvider {
    let config = BatchConfigBuilder::default().with_max_export_batch_size(10).with_scheduled_delay(LONG).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    let resource = Resource::builder_empty().with_service_name("shop").build();
    SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build()
}

fn ours(client: &SentryOtlpClient) -> SdkTracerProvider {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    provider(exporter.with_http_client(client.clone()).build().expect("valid settings"))
}

/// The exporter with the client that it has by itself.
fn theirs(dsn: &str) -> SdkTracerProvider {
    let dsn: Dsn = dsn.parse().expect("valid settings");
    let headers = dsn.otlp_headers();
    let (name, value) = headers.split_once('=').expect("valid settings");
    let exporter =
        SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(dsn.otlp_traces_url());
    provider(exporter.with_headers([(name.to_owned(), value.to_owned())].into()).build().expect("valid settings"))
}

fn spans(provider: &SdkTracerProvider, count: usize) -> OTelSdkResult {
    let tracer = provider.tracer("shop::http");
    (0..count).for_each(|_| drop(tracer.start("work")));
    provider.force_flush()
}

fn lost(stats: &Stats) -> Vec<(DropReason, u64)> {
    stats.dropped.iter().map(|(reason, dropped)| (*reason, dropped.spans)).collect()
}

#[test]
fn spans_and_logs_of_otlps_exporters_arrive_and_are_counted() {
    let ingest = LocalIngest::start().unwrap();
    let client = client(&ingest.dsn());
    let provider = ours(&client);
    spans(&provider, 25).unwrap();
    let exporter = LogExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(client.clone())
        .build()
        .unwrap();
    let logs = SdkLoggerProvider::builder().with_batch_exporter(exporter).build();
    let logger = logs.logger("shop");
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Info);
    record.set_body("order placed".into());
    logger.emit(record);
    logs.shutdown().unwrap();
    provider.shutdown().unwrap();
    client.shutdown(LONG).unwrap();
    let arrived = ingest.otlp_spans();
    assert_eq!((arrived.len(), &arrived[0].scope[..], &arrived[0].kind[..]), (25, "shop::http", "internal"));
    assert_eq!((&arrived[0].resource["service.name"], ingest.otlp_log("order").severity_number), (&"shop".into(), 9));
    let stats = client.stats();
    assert_eq!((stats.spans_received, stats.spans_sent, stats.logs_received, stats.logs_sent), (25, 25, 1, 1));
    assert!(ingest.requests().iter().all(|request| request.status() == Some(202)), "{:?}", ingest.requests());
}

#[test]
fn compressed_batches_and_json_are_taken_too() {
    let ingest = LocalIngest::start().unwrap();
    let client = client(&ingest.dsn());
    // With the feature `http-json` an exporter writes JSON unless it is asked not to.
    let builder = || SpanExporter::builder().with_http().with_http_client(client.clone());
    let binary = builder().with_protocol(Protocol::HttpBinary).with_compression(Compression::Gzip);
    spans(&provider(binary.build().unwrap()), 3).unwrap();
    spans(&provider(builder().with_protocol(Protocol::HttpJson).build().unwrap()), 4).unwrap();
    client.flush(LONG).unwrap();
    assert_eq!((ingest.otlp_spans().len(), client.stats().spans_sent), (7, 7));
}

#[test]
fn a_tunnel_is_for_envelopes_only_so_batches_go_to_sentry_itself() {
    for has_simple_requests in [false, true] {
        let ingest = LocalIngest::start().unwrap();
        let builder = SentryExporter::builder().with_dsn(ingest.dsn()).with_simple_requests(has_simple_requests);
        let client = SentryOtlpClient::from(builder.with_tunnel("http://127.0.0.1:1/tunnel").build().unwrap());
        spans(&ours(&client), 3).unwrap();
        client.flush(LONG).unwrap();
        assert_eq!((ingest.otlp_spans().len(), client.stats().spans_sent), (3, 3));
    }
}

/// What the server answers to the first of two batches, and what becomes of both.
struct Case {
    answer: Answer,
    /// How many spans arrive that the exporter's own client sends.
    theirs: usize,
    /// How many of ours arrive, and under which reasons the others are counted.
    ours: (u64, &'static [(DropReason, u64)]),
}

fn cases() -> Vec<Case> {
    use DropReason::{RateLimitBackoff, RateLimited, SendError};
    let case = |answer, theirs, ours| Case { answer, theirs, ours };
    let limited = || Answer::status(429).with_header("X-Sentry-Rate-Limits", "60:span:organization:quota");
    vec![
        case(Answer::ok(), 20, (20, &[])),
        case(Answer::status(403), 10, (10, &[(SendError, 10)])),
        case(Answer::status(413), 10, (10, &[(SendError, 10)])),
        // Theirs asks again, although the server has asked it not to.
        case(
            Answer::status(429).with_header("Retry-After", "60"),
            10,
            (0, &[(RateLimitBackoff, 10), (RateLimited, 10)]),
        ),
        case(limited(), 20, (0, &[(RateLimitBackoff, 10), (RateLimited, 10)])),
        case(Answer::ok().with_header("X-Sentry-Rate-Limits", "60:span:key"), 20, (10, &[(RateLimitBackoff, 10)])),
        case(Answer::status(503), 20, (20, &[])),
        // Theirs drops the batch at once. Ours waits, and then sends it: here the flush ends the pause.
        case(Answer::status(503).with_header("Retry-After", "60"), 10, (20, &[])),
    ]
}

#[test]
fn each_answer_costs_what_is_counted_and_no_more() {
    for Case { answer, theirs: expected, ours: (arrive, reasons) } in cases() {
        let ingest = LocalIngest::start().unwrap();
        ingest.answer_next([answer.clone()]);
        let provider = theirs(&ingest.dsn());
        let _ = (spans(&provider, 10), spans(&provider, 10));
        assert_eq!(ingest.otlp_spans().len(), expected, "theirs: {answer:?}");

        let ingest = LocalIngest::start().unwrap();
        ingest.answer_next([answer.clone()]);
        let client = client(&ingest.dsn());
        let provider = ours(&client);
        for _ in 0..2 {
            spans(&provider, 10).unwrap();
            let _ = client.flush(LONG);
        }
        let stats = client.stats();
        assert_eq!(
            (stats.spans_received, stats.spans_sent, lost(&stats)),
            (20, arrive, reasons.to_vec()),
            "{answer:?}"
        );
        assert_eq!(ingest.otlp_spans().len() as u64, arrive, "{answer:?}");
    }
}

#[test]
fn an_outage_costs_theirs_the_batch_and_ours_nothing() {
    let ingest = LocalIngest::start().unwrap();
    ingest.answer_with(Answer::status(503));
    // Its flush reports no error for a lost batch.
    let _ = spans(&theirs(&ingest.dsn()), 10);
    assert_eq!(ingest.otlp_spans().len(), 0);

    let client = client(&ingest.dsn());
    spans(&ours(&client), 10).unwrap();
    let seen = ingest.requests().len();
    ingest.wait_until(LONG, |_| ingest.requests().len() > seen).unwrap();
    assert_eq!((client.stats().spans_pending, client.stats().spans_dropped()), (10, 0));
    ingest.answer_with(Answer::ok());
    client.flush(LONG).unwrap();
    assert_eq!((ingest.otlp_spans().len(), client.stats().spans_sent), (10, 10));
}

fn with_disk(dsn: &str, dir: &Path) -> SentryOtlpClient {
    SentryOtlpClient::from(SentryExporter::builder().with_dsn(dsn).with_spool_dir(dir).build().expect("valid settings"))
}

#[test]
fn a_dead_server_and_a_restart_cost_nothing_with_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    // A server that comes back at the same address: first it closes every connection.
    let ingest = LocalIngest::start().unwrap();
    ingest.answer_with(Answer::close());
    let client = with_disk(&ingest.dsn(), dir.path());
    spans(&ours(&client), 10).unwrap();
    assert_eq!(client.shutdown(Duration::from_secs(1)), Err(FlushError::KeptOnDisk { spans: 10 }));
    let stats = client.stats();
    assert_eq!((stats.spans_received, stats.spans_spooled, stats.spans_dropped()), (10, 10, 0));

    ingest.answer_with(Answer::ok());
    let client = with_disk(&ingest.dsn(), dir.path());
    ingest.wait_until(LONG, |_| ingest.otlp_spans().len() == 10).unwrap();
    client.shutdown(LONG).unwrap();
    assert_eq!((client.stats().spans_received, client.stats().spans_sent), (10, 10));
}

#[test]
fn without_a_disk_a_dead_server_costs_what_is_counted() {
    // A port at which nothing listens.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dsn = format!("http://public@{address}/1");
    let client = client(&dsn);
    let provider = ours(&client);
    spans(&provider, 10).unwrap();
    client.shutdown(Duration::from_millis(500)).unwrap_err();
    let _ = spans(&provider, 5);
    let stats = client.stats();
    let dropped: u64 =
        [DropReason::NetworkError, DropReason::Shutdown].iter().map(|reason| stats.dropped[reason].spans).sum();
    assert_eq!((stats.spans_received, dropped, stats.spans_pending), (15, 15, 0));
}

#[test]
fn it_shares_thread_and_account_with_a_span_processor() {
    let ingest = LocalIngest::start().unwrap();
    let processor = SentrySpanProcessor::from(SentryExporter::builder().with_dsn(ingest.dsn()).build().unwrap());
    let client = SentryOtlpClient::from(&processor);
    spans(&ours(&client), 2).unwrap();
    let both = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    drop(both.tracer("").start("transaction"));
    processor.flush(LONG).unwrap();
    assert_eq!((ingest.otlp_spans().len(), ingest.transactions().len()), (2, 1));
    assert_eq!((client.stats(), client.stats().spans_sent), (processor.stats(), 3));
}

/// The status that an exporter gets for a request with this path, content type and encoding.
fn answered(client: &SentryOtlpClient, path: &str, content_type: &str, encoding: &str, body: &[u8]) -> u16 {
    let request = Request::post(format!("http://localhost:4318{path}")).header("content-type", content_type);
    let request = request.header("content-encoding", encoding).body(Bytes::copy_from_slice(body)).expect("it works");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it works");
    runtime.block_on(client.send_bytes(request)).expect("it works").status().as_u16()
}

#[test]
fn what_is_no_batch_for_sentry_is_refused() {
    const PROTOBUF: &str = "application/x-protobuf";
    let ingest = LocalIngest::start().unwrap();
    let client = client(&ingest.dsn());
    for (status, path, content_type, encoding, body) in [
        (202, "/v1/traces", PROTOBUF, "", &b""[..]),
        (202, "/v1/logs/", "Application/X-Protobuf; a=b", "identity", b""),
        (202, "/api/1/integration/otlp/v1/traces/", "application/json", "", b"{}"),
        (404, "/v1/metrics", PROTOBUF, "", b""),
        (404, "/", PROTOBUF, "", b""),
        (415, "/v1/traces", "text/plain", "", b""),
        (415, "/v1/traces", PROTOBUF, "br", b""),
        (400, "/v1/traces", PROTOBUF, "gzip", b"no gzip"),
        (400, "/v1/traces", PROTOBUF, "", b"no message"),
        (400, "/v1/traces", "application/json", "", b"{"),
        (413, "/v1/traces", PROTOBUF, "", &vec![0; (64 << 20) + 1]),
    ] {
        assert_eq!(answered(&client, path, content_type, encoding, body), status, "{path} {content_type} {encoding}");
    }
    assert_eq!(client.shutdown(LONG), Err(FlushError::Undelivered { spans: 6 }));
    assert_eq!(answered(&client, "/v1/traces", PROTOBUF, "", b""), 410);
    // Each batch that cannot be read is counted, with one span at least.
    let counted = [(DropReason::Invalid, 5), (DropReason::TooLarge, 1)];
    assert_eq!(
        (client.stats().spans_received, lost(&client.stats()), ingest.otlp_spans().len()),
        (6, counted.to_vec(), 0)
    );
}

#[test]
fn without_a_thread_a_batch_is_a_request_that_the_application_sends() {
    let builder = SentryExporter::builder().with_dsn("https://public@o1.ingest.sentry.io/42");
    let (exporter, delivery) = builder.build_driven().unwrap();
    let client = SentryOtlpClient::from(&exporter);
    spans(&ours(&client), 10).unwrap();
    let mut requests = delivery.take(Take::Ready);
    let outgoing = requests.pop().unwrap();
    let request = outgoing.request();
    assert_eq!(request.uri(), "https://o1.ingest.sentry.io/api/42/integration/otlp/v1/traces/");
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let auth = request.headers()["x-sentry-auth"].to_str().unwrap();
    assert!(auth.starts_with("Sentry sentry_version=7, ") && auth.contains("sentry_key=public"), "{auth}");
    outgoing.answered(http::StatusCode::ACCEPTED, &http::HeaderMap::new());
    assert_eq!((requests.len(), delivery.stats().spans_sent, client.stats().spans_pending), (0, 10, 0));
}

#[test]
fn without_a_dsn_batches_are_discarded() {
    let client = client("");
    spans(&ours(&client), 2).unwrap();
    client.flush(LONG).unwrap();
    client.shutdown(LONG).unwrap();
    assert_eq!(client.stats(), Stats::default());
    assert_eq!(format!("{client:?}"), "SentryOtlpClient { has_server: false }");
}
