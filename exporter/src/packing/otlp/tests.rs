//! What is read from requests, and the parts of large ones, compared with a library for protocol buffers.

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use proptest::prelude::*;
use prost::Message;
use serde_json::json;

use super::{super::form::OtlpSignal, *};

const TRACES: OtlpForm = OtlpForm { signal: OtlpSignal::Traces, format: OtlpFormat::Protobuf };
const LOGS: OtlpForm = OtlpForm { signal: OtlpSignal::Logs, format: OtlpFormat::Protobuf };

/// Names of the spans of each scope of each resource.
type Names = Vec<Vec<Vec<String>>>;

fn request(names: &Names) -> ExportTraceServiceRequest {
    let span =
        |name: &String| Span { trace_id: vec![7; 16], span_id: vec![1; 8], name: name.clone(), ..Span::default() };
    let resources = names.iter().enumerate().map(|(number, scopes)| {
        let value = Some(AnyValue { value: Some(Value::StringValue(format!("shop-{number}"))) });
        let name = KeyValue { key: "service.name".to_owned(), value, ..KeyValue::default() };
        let scopes = scopes.iter().enumerate().map(|(number, spans)| ScopeSpans {
            scope: Some(InstrumentationScope { name: format!("scope-{number}"), ..InstrumentationScope::default() }),
            spans: spans.iter().map(span).collect(),
            schema_url: "https://scope".to_owned(),
        });
        ResourceSpans {
            resource: Some(Resource { attributes: vec![name], ..Resource::default() }),
            scope_spans: scopes.collect(),
            schema_url: "https://resource".to_owned(),
        }
    });
    ExportTraceServiceRequest { resource_spans: resources.collect() }
}

/// Each span with what describes its resource and its scope.
fn flat(request: ExportTraceServiceRequest) -> Vec<String> {
    let of_scope = |place: String, scope: ScopeSpans| {
        let place = format!("{place} {:?} {:?}", scope.scope, scope.schema_url);
        scope.spans.into_iter().map(move |span| format!("{place} {span:?}"))
    };
    let of_resource = |resource: ResourceSpans| {
        let place = format!("{:?} {:?}", resource.resource, resource.schema_url);
        resource.scope_spans.into_iter().flat_map(move |scope| of_scope(place.clone(), scope))
    };
    request.resource_spans.into_iter().flat_map(of_resource).collect()
}

fn names() -> impl Strategy<Value = Names> {
    let spans = prop::collection::vec("[a-z]{0,40}", 0..6);
    prop::collection::vec(prop::collection::vec(spans, 0..4), 0..4)
}

proptest! {
    /// For any nesting and any limit: each span leaves once, in its order and its place; a part that is too large is a single
    /// span; and the parts are counted as what they contain.
    #[test]
    fn parts_contain_what_the_whole_contained(names in names(), largest in 0..2000_usize) {
        let body = Bytes::from(request(&names).encode_to_vec());
        let parts = OtlpParts::of(TRACES, &body, largest);
        prop_assert!(parts.is_valid && parts.dropped.is_none());
        let mut spans = Vec::new();
        for envelope in &parts.envelopes {
            prop_assert_eq!(envelope.otlp_form(), Some(TRACES));
            let part = flat(ExportTraceServiceRequest::decode(&envelope.items[..]).unwrap());
            prop_assert_eq!(envelope.counts, Counts::spans(part.len()));
            prop_assert!(envelope.items.len() <= largest || part.len() == 1, "{} {largest}", envelope.items.len());
            spans.extend(part);
        }
        prop_assert_eq!(spans, flat(request(&names)));
    }

    /// Bytes that are cut off or changed: nothing panics, and no more is counted than could be there.
    #[test]
    fn any_bytes_are_parts_or_an_error(names in names(), place: prop::sample::Index, flip: u8, is_cut: bool) {
        let mut body = request(&names).encode_to_vec();
        if !body.is_empty() {
            let place = place.index(body.len());
            if is_cut { body.truncate(place) } else { body[place] ^= flip }
        }
        let parts = OtlpParts::of(TRACES, &body.clone().into(), 100);
        prop_assert!(parts.is_valid || parts.envelopes.is_empty());
        let spans = parts.envelopes.iter().map(|envelope| envelope.counts.spans).sum::<u64>();
        prop_assert!(spans as usize <= body.len());
        OtlpParts::of_too_large(TRACES, &body);
    }

    /// The same for JSON: the parts have all records, in their order and their place.
    #[test]
    fn parts_of_json_contain_what_the_whole_contained(names in names(), largest in 0..2000_usize) {
        let span = |name: &String| json!({ "name": name });
        let scopes = |scopes: &Vec<Vec<String>>| -> serde_json::Value {
            let scopes = scopes.iter().enumerate();
            scopes.map(|(number, spans)| json!({ "scope": number, "spans": spans.iter().map(span).collect::<Vec<_>>() })).collect()
        };
        let resources = names.iter().enumerate();
        let resources: Vec<_> = resources.map(|(number, all)| json!({ "resource": number, "scopeSpans": scopes(all) })).collect();
        let flat = |request: &serde_json::Value| -> Vec<String> {
            let list = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
            let of_scope = |resource: String, scope: serde_json::Value| {
                list(&scope, "spans").into_iter().map(move |span| format!("{resource} {} {}", scope["scope"], span["name"]))
            };
            let of_resource = |resource: serde_json::Value| {
                let name = resource["resource"].to_string();
                list(&resource, "scopeSpans").into_iter().flat_map(move |scope| of_scope(name.clone(), scope))
            };
            list(request, "resourceSpans").into_iter().flat_map(of_resource).collect()
        };
        let whole = json!({ "resourceSpans": resources });
        let form = OtlpForm { format: OtlpFormat::Json, ..TRACES };
        let parts = OtlpParts::of(form, &whole.to_string().into(), largest);
        prop_assert!(parts.is_valid && parts.dropped.is_none());
        let mut spans = Vec::new();
        for envelope in &parts.envelopes {
            let part = flat(&serde_json::from_slice(&envelope.items).unwrap());
            prop_assert_eq!(envelope.counts, Counts::spans(part.len()));
            prop_assert!(envelope.items.len() <= largest || part.len() == 1, "{} {largest}", envelope.items.len());
            spans.extend(part);
        }
        prop_assert_eq!(spans, flat(&whole));
    }

    #[test]
    fn any_text_can_be_read_as_json(body: String) {
        let form = OtlpForm { format: OtlpFormat::Json, ..TRACES };
        prop_assert!(OtlpParts::of(form, &body.into(), 0).envelopes.is_empty());
    }
}

#[test]
fn a_request_of_usual_size_is_sent_byte_by_byte() {
    let body = Bytes::from(request(&vec![vec![vec!["a".to_owned(); 512]; 2]]).encode_to_vec());
    let parts = OtlpParts::of(TRACES, &body, usize::MAX);
    let [envelope] = &parts.envelopes[..] else { panic!("one part") };
    assert_eq!((envelope.items.as_ptr(), envelope.counts), (body.as_ptr(), Counts::spans(1024)), "without a copy");
    let mut sent = Vec::new();
    envelope.write_body(std::time::SystemTime::now(), Some("https://key@sentry.example.com/1"), b"a report", &mut sent);
    assert!(sent == body);
}

#[test]
fn logs_are_counted_with_their_bytes() {
    let record = LogRecord { severity_text: "x".repeat(100), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record.clone(), record], ..ScopeLogs::default() }];
    let request =
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    let parts = OtlpParts::of(LOGS, &request.encode_to_vec().into(), usize::MAX);
    let Counts { logs, log_bytes, spans, .. } = parts.envelopes[0].counts;
    assert_eq!((logs, spans), (2, 0));
    assert!((200..220).contains(&log_bytes), "{log_bytes}");
}

#[test]
fn one_record_beyond_the_servers_limit_costs_no_other() {
    let names = ["before".to_owned(), "x".repeat(MAX_BODY), "after".to_owned()];
    let body = Bytes::from(request(&vec![vec![names.to_vec()]]).encode_to_vec());
    let parts = OtlpParts::of(TRACES, &body, usize::MAX);
    assert_eq!(parts.dropped, Some((DropReason::TooLarge, Counts::spans(1))));
    let spans = parts.envelopes.iter().map(|envelope| envelope.counts.spans);
    assert_eq!((spans.collect::<Vec<_>>(), parts.is_valid), (vec![1, 1], true));
}

#[test]
fn what_is_no_request_is_counted_as_far_as_it_can_be_read() {
    let body = Bytes::from(request(&vec![vec![vec!["a".repeat(100); 3]]]).encode_to_vec());
    // The length of what is cut off is known from outside, so nothing of it is read.
    let cut = OtlpParts::of(TRACES, &body.slice(..body.len() - 1), usize::MAX);
    assert_eq!((cut.is_valid, cut.dropped), (false, Some((DropReason::Invalid, Counts::spans(1)))), "at least one");
    let trailing = [&body[..], b"\xff"].concat();
    let trailing = OtlpParts::of(TRACES, &trailing.into(), usize::MAX);
    assert_eq!((trailing.is_valid, trailing.dropped), (false, Some((DropReason::Invalid, Counts::spans(3)))));
}

#[test]
fn json_is_counted_and_sent_as_it_is() {
    let form = |signal| OtlpForm { signal, format: OtlpFormat::Json };
    for (signal, body, counts) in [
        (OtlpSignal::Traces, r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{}]},{}]},{}]}"#, (2, 0)),
        (OtlpSignal::Logs, r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"logRecords":[{}]}]}]}"#, (0, 1)),
    ] {
        let parts = OtlpParts::of(form(signal), &Bytes::from(body), usize::MAX);
        let [envelope] = &parts.envelopes[..] else { panic!("{body}") };
        assert_eq!((envelope.counts.spans, envelope.counts.logs), counts);
        assert_eq!((&envelope.items[..], envelope.otlp_form()), (body.as_bytes(), Some(form(signal))));
    }
    let no_json = OtlpParts::of(form(OtlpSignal::Traces), &Bytes::from("{"), 0);
    assert!(!no_json.is_valid && no_json.envelopes.is_empty());
}
