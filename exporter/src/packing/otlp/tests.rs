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

/// More than what describes a resource and its scope takes here, and so half of a part that is larger than asked for.
const PLACE: usize = 150;

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
            prop_assert!(envelope.items.len() <= largest.max(2 * PLACE) || part.len() == 1, "{} {largest}", envelope.items.len());
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
            prop_assert!(envelope.items.len() <= largest.max(2 * PLACE) || part.len() == 1, "{} {largest}", envelope.items.len());
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

/// Records of JSON that a server may refuse, but whose nesting is that of a request: they leave as they were written.
#[test]
fn records_of_json_leave_as_they_were_written() {
    let form = OtlpForm { format: OtlpFormat::Json, ..TRACES };
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let long = "9".repeat(400);
    let records = [&deep, &long, "1e999", r#""\ud800""#, r#"{"a":1,"a":2}"#, r#""\u0041""#, "null", "0.10", "{ }"];
    let body = |records: &[&str]| {
        format!(
            r#"{{"resourceSpans":[{{"r":1.0,"r":{deep},"scopeSpans":[{{"spans":[{}],"s\u0041":{long}}}]}}]}}"#,
            records.join(",")
        )
    };
    let parts = OtlpParts::of(form, &Bytes::from(body(&records)), 1);
    assert!(parts.is_valid && parts.dropped.is_none());
    let sent: Vec<_> = parts.envelopes.iter().map(|part| std::str::from_utf8(&part.items).unwrap()).collect();
    assert_eq!(parts.envelopes.iter().map(|part| part.counts.spans).sum::<u64>(), records.len() as u64);
    let raw = sent.iter().map(|part| part.split_once(r#""spans":["#).unwrap().1.strip_suffix("]}]}]}").unwrap());
    assert_eq!(raw.collect::<Vec<_>>().join(","), records.join(","));
    assert!(sent.iter().all(|part| part.contains(&format!(r#"{{"r":1.0,"r":{deep},"scopeSpans":[{{"sA":{long},"#))));
}

/// Whatever a body of JSON is: each record that is counted is in a part or is dropped.
#[test]
fn no_record_of_json_disappears() {
    let form = OtlpForm { format: OtlpFormat::Json, ..TRACES };
    for (body, records) in [
        // A list where an object should be, and names of traces and of logs in each other.
        (r#"{"resourceSpans":[[[[[1,2]]]]]}"#, 2),
        (r#"{"resourceSpans":[{"scopeLogs":[{"logRecords":[1,2,3]}]}]}"#, 3),
        (r#"[[{"scopeSpans":[{"spans":[1]}]}]]"#, 1),
        ("\u{feff}{}", 1),
        (r#"{"resourceSpans":[],"resourceLogs":[]}"#, 1),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[1],"spans":[2]}]}]}"#, 1),
    ] {
        let parts = OtlpParts::of(form, &Bytes::from(body), 1);
        assert_eq!(
            (parts.is_valid, parts.dropped),
            (false, Some((DropReason::Invalid, Counts::spans(records)))),
            "{body}"
        );
        assert!(parts.envelopes.is_empty());
    }
    let no_text = [br#"{"resourceSpans":[{"scopeSpans":[{"spans":[""#, &b"\xff"[..], br#""]}]}]}"#].concat();
    assert!(!OtlpParts::of(form, &no_text.into(), 1).is_valid);
}

/// What describes a resource and a scope is in each part. A body does not become many times as large by that, and a record costs
/// the same whatever else there is.
#[test]
fn what_is_repeated_is_bounded() {
    let all = |rest: usize, spans: usize| {
        let scope = InstrumentationScope { name: "x".repeat(rest), ..InstrumentationScope::default() };
        let span = Span { trace_id: vec![7; 16], ..Span::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans: vec![span; spans], ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec())
    };
    for rest in [0, 100, 1000, 10_000] {
        let body = all(rest, 1000);
        for largest in [0, rest / 2, rest, rest * 2, rest * 3] {
            let parts = OtlpParts::of(TRACES, &body, largest);
            assert_eq!(parts.envelopes.iter().map(|part| part.counts.spans).sum::<u64>(), 1000);
            let sent: usize = parts.envelopes.iter().map(|part| part.items.len()).sum();
            assert!(rest == 0 || sent < 4 * body.len(), "{rest} {largest}: {sent} {}", body.len());
        }
    }
    let parts = OtlpParts::of(TRACES, &all(MAX_BODY / 2, 100), 1000);
    assert_eq!((parts.envelopes.len(), parts.dropped), (0, Some((DropReason::TooLarge, Counts::spans(100)))));
}

/// Resources and scopes without a record take no memory, and cost only the time to read them.
#[test]
fn what_is_empty_is_left_out() {
    let scope = [&b"\x12\x00".repeat(3)[..], b"\x7a\x00"].concat();
    let resource = [&[0x12, scope.len() as u8][..], &scope, &b"\x12\x00".repeat(20)].concat();
    let resource = [&[0x0a, resource.len() as u8][..], &resource].concat();
    let body = [b"\x0a\x00".repeat(1000), resource, b"\x0a\x00".repeat(100)].concat();
    let parts = OtlpParts::of(TRACES, &body.into(), 1000);
    let [part] = &parts.envelopes[..] else { panic!("one part") };
    assert_eq!((part.counts, part.items.len()), (Counts::spans(3), scope.len() + 4));
}
