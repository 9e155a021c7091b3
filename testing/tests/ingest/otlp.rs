//! Which OTLP requests are accepted, and how they are read.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value as Any},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event},
};
use opentelemetry_sentry_testing::{Answer, LocalIngest};
use prost::Message;
use serde_json::json;

use crate::support::{Client, LONG, Response, post, start, statuses};

const TRACES: &str = "/api/1/integration/otlp/v1/traces/";
const LOGS: &str = "/api/1/integration/otlp/v1/logs/";
const KEY: &str = "X-Sentry-Auth: sentry sentry_key=public";
const PROTOBUF: &str = "Content-Type: application/x-protobuf";
const JSON: &str = "Content-Type: application/json";

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

fn resource() -> Option<Resource> {
    Some(Resource { attributes: vec![attribute("service.name", text("shop"))], ..Resource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "shop::http".to_owned(), ..InstrumentationScope::default() })
}

fn span(name: &str) -> Span {
    Span { trace_id: vec![7; 16], span_id: vec![1; 8], name: name.to_owned(), ..Span::default() }
}

fn spans(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: resource(), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn logs(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { scope: scope(), log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: resource(), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn log(body: &str) -> LogRecord {
    LogRecord { body: Some(AnyValue { value: Some(text(body)) }), ..LogRecord::default() }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

fn send(ingest: &LocalIngest, path: &str, body: &[u8]) -> Response {
    post(ingest, &format!("POST {path}"), &[KEY, PROTOBUF], body)
}

#[test]
fn a_span_is_read_with_its_resource_and_scope() {
    let ingest = start();
    let array = Any::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Any::IntValue(3)) }] });
    let child = Span {
        span_id: vec![2; 8],
        parent_span_id: vec![1; 8],
        flags: 0x301,
        kind: 2,
        attributes: vec![
            attribute("n", Any::IntValue(-5)),
            attribute("ok", Any::BoolValue(true)),
            attribute("l", array),
        ],
        events: vec![Event { name: "exception".to_owned(), ..Event::default() }],
        status: Some(Status { code: 2, message: "no lamps".to_owned() }),
        start_time_unix_nano: 5,
        ..span("child")
    };
    let response = send(&ingest, TRACES, &spans(vec![span("root"), child]));
    assert_eq!((response.status, response.body.len()), (202, 0), "Sentry answers without a body");
    assert_eq!(ingest.otlp_spans().len(), 2);
    let root = ingest.otlp_span("root");
    assert_eq!((root.parent_span_id, root.has_remote_parent), (None, None));
    assert_eq!((&root.kind[..], &root.status[..]), ("unspecified", "unset"));
    let child = ingest.otlp_span("child");
    assert_eq!((&child.trace_id[..], &child.span_id[..]), (&"07".repeat(16)[..], &"02".repeat(8)[..]));
    assert_eq!((child.parent_span_id, child.has_remote_parent), (Some(root.span_id), Some(true)));
    assert_eq!((&child.kind[..], &child.status[..], &child.scope[..]), ("server", "error", "shop::http"));
    assert_eq!(child.resource["service.name"], "shop");
    assert_eq!(json!(child.attributes), json!({ "n": -5, "ok": true, "l": [3] }));
    assert_eq!(child.json["events"][0]["name"], "exception");
    assert_eq!((&child.json["status"]["message"], &child.json["startTimeUnixNano"]), (&json!("no lamps"), &json!("5")));
    assert!(ingest.envelopes().is_empty() && ingest.otlp_logs().is_empty());
}

#[test]
fn a_log_is_read_with_its_resource_and_scope() {
    let ingest = start();
    let attributes = vec![attribute("order.items", Any::IntValue(3)), attribute("price", Any::DoubleValue(1.5))];
    let placed =
        LogRecord { severity_number: 9, trace_id: vec![7; 16], span_id: vec![1; 8], attributes, ..log("placed") };
    assert_eq!(send(&ingest, LOGS, &logs(vec![placed, log("outside")])).status, 202);
    let placed = ingest.otlp_log("placed");
    assert_eq!(
        (placed.severity_number, placed.trace_id, placed.scope),
        (9, Some("07".repeat(16)), "shop::http".to_owned())
    );
    assert_eq!((placed.span_id, placed.resource["service.name"].as_str()), (Some("01".repeat(8)), Some("shop")));
    assert_eq!(json!(placed.attributes), json!({ "order.items": 3, "price": 1.5 }));
    let outside = ingest.otlp_log("outside");
    assert_eq!((outside.trace_id, outside.span_id, outside.severity_number), (None, None, 0));
    assert_eq!((ingest.otlp_logs().len(), ingest.otlp_spans().len()), (2, 0));
}

#[test]
fn json_and_compressed_bodies_are_read_as_the_plain_ones() {
    let ingest = start();
    let plain = spans(vec![span("GET /")]);
    assert_eq!(send(&ingest, TRACES, &plain).status, 202);
    let headers = [KEY, PROTOBUF, "Content-Encoding: gzip"];
    assert_eq!(post(&ingest, &format!("POST {TRACES}"), &headers, &gzip(&plain)).status, 202);
    let [first, second] = &ingest.otlp_spans()[..] else { panic!("two spans") };
    assert_eq!(first, second);
    let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{
        "traceId": "07".repeat(16), "spanId": "01".repeat(8), "name": "json", "kind": "SPAN_KIND_CLIENT",
        "attributes": [{ "key": "n", "value": { "intValue": 5 } }],
    }] }] }] });
    assert_eq!(post(&ingest, &format!("POST {TRACES}"), &[KEY, JSON], body.to_string().as_bytes()).status, 202);
    let json = ingest.otlp_span("json");
    assert_eq!((&json.kind[..], json.attributes["n"].as_i64()), ("client", Some(5)));
}

#[test]
fn what_sentry_refuses_is_refused_with_its_status() {
    let (body, no_ids) = (spans(vec![span("a")]), spans(vec![Span { trace_id: vec![0; 16], ..span("zeros") }]));
    let short = logs(vec![LogRecord { trace_id: vec![7; 3], ..log("short") }]);
    let old = "X-Sentry-Auth: Sentry sentry_version=6, sentry_key=public";
    let other = "X-Sentry-Auth: sentry sentry_key=other";
    let large = spans(vec![span(&"x".repeat(12 << 20))]);
    let v7 = "X-Sentry-Auth: Sentry sentry_version=7, sentry_key=public";
    let cases: [(u16, &str, &str, &str, &[u8]); 18] = [
        (202, "/api/1/integration/otlp/v1/traces", KEY, PROTOBUF, &body),
        (202, "/api/1/integration/otlp/v1/logs", KEY, PROTOBUF, b""),
        (202, "/api/1/integration/otlp/v1/traces?sentry_key=public", "A: b", PROTOBUF, &body),
        (202, TRACES, v7, "Content-Type: Application/X-Protobuf; a=b", &body),
        (202, TRACES, KEY, PROTOBUF, b""),
        (403, TRACES, "A: b", PROTOBUF, &body),
        (403, TRACES, other, PROTOBUF, &body),
        (403, TRACES, old, PROTOBUF, &body),
        (404, "/api/1/integration/otlp/v1/metrics/", KEY, PROTOBUF, b""),
        (404, "/api/2/integration/otlp/v1/traces/", KEY, PROTOBUF, &body),
        (404, "/api/1/integration/otlp/v1/traces//", KEY, PROTOBUF, &body),
        (415, TRACES, KEY, "Content-Type: application/x-sentry-envelope", &body),
        (415, LOGS, KEY, "A: b", b""),
        (413, TRACES, KEY, PROTOBUF, &large),
        (400, TRACES, KEY, PROTOBUF, b"no message"),
        (400, TRACES, KEY, JSON, b"[]"),
        (400, TRACES, KEY, PROTOBUF, &no_ids),
        (400, LOGS, KEY, PROTOBUF, &short),
    ];
    let ingest = start();
    for (status, path, auth, content_type, body) in cases {
        let response = post(&ingest, &format!("POST {path}"), &[auth, content_type], body);
        assert_eq!(response.status, status, "{path} {auth} {content_type}");
        assert_eq!(response.header("x-sentry-error").is_some(), status != 202, "{path} {auth} {content_type}");
    }
    assert_eq!(post(&ingest, &format!("PUT {TRACES}"), &[KEY, PROTOBUF], &body).status, 405);
    assert_eq!(ingest.otlp_spans().len(), 3, "only of accepted requests");
}

#[test]
fn a_test_chooses_the_answers_to_otlp_as_to_envelopes() {
    let ingest = start();
    let limited = Answer::status(429).with_header("Retry-After", "60");
    ingest.answer_next([limited, Answer::status(503), Answer::status(200), Answer::close(), Answer::ok()]);
    let body = spans(vec![span("a")]);
    let first = send(&ingest, TRACES, &body);
    assert_eq!((first.status, first.header("retry-after")), (429, Some("60")));
    assert_eq!(send(&ingest, TRACES, &body).status, 503);
    let third = send(&ingest, TRACES, &body);
    assert_eq!((third.status, third.body.len()), (200, 0));
    let mut client = Client::new(&ingest);
    client.request(&format!("POST {TRACES}"), &[KEY, PROTOBUF], &body);
    assert!(client.response().is_none());
    assert_eq!(send(&ingest, TRACES, &body).status, 202);
    assert_eq!(statuses(&ingest), [Some(429), Some(503), Some(200), None, Some(202)]);
    assert_eq!(ingest.otlp_spans().len(), 2, "those with a 2xx");
    ingest.wait_until(LONG, |_| ingest.otlp_spans().len() == 2).unwrap();
}
