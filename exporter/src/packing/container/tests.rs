use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{KeyValue, trace::SpanKind};
use opentelemetry_sentry_protocol::{Decision, DynamicSamplingContext, SampleRand, Service};
use serde_json::Value;

use super::{
    super::{envelope::MAX_TRANSACTION, packer::Packer, rules::Rules},
    *,
};
use crate::{
    convert::{SDK_VERSION, TagRules},
    trace::{
        MAX_BUCKET, Segment,
        fixtures::{TRACE, span},
    },
};

fn sender() -> Sender {
    let service = Service::new(Some("https://public@o7.ingest.sentry.io/42".parse().expect("a DSN")))
        .with_release(Some("shop@1.2.3".to_owned()))
        .with_environment(Some("e2e".to_owned()))
        .with_org_id(Some(7));
    Sender::new(service, Some("host-1".to_owned()), TagRules::default())
}

fn bucket(spans: Vec<EndedSpan>, context: Option<TraceContext>) -> Bucket {
    Bucket { trace_id: TRACE, context: context.map(Arc::new), spans }
}

/// A child with this text as an attribute.
fn with_text(id: u64, text: String) -> EndedSpan {
    let mut data = (*span(id, 1)).clone();
    data.attributes.push(KeyValue::new("text", text));
    EndedSpan::from(data)
}

fn packed(bucket: Bucket) -> (Vec<Envelope>, Ledger) {
    let ledger = Ledger::default();
    (packed_by(&sender(), &Hooks::default(), bucket, &ledger), ledger)
}

fn packed_by(sender: &Sender, hooks: &Hooks, mut bucket: Bucket, ledger: &Ledger) -> Vec<Envelope> {
    let buffer = &mut vec![0; MAX_TRANSACTION];
    envelopes(&mut bucket, hooks, SpanWriter { sender, transaction: None, buffer, ledger }, MAX_BUCKET)
}

/// The `trace` header of the only envelope.
fn trace_header(context: Option<TraceContext>) -> Value {
    let (all, _) = packed(bucket(vec![span(2, 1)], context));
    let headers: Value = serde_json::from_slice(&all[0].headers).expect("JSON");
    headers["trace"].clone()
}

#[test]
fn the_golden_container_is_written_byte_by_byte() {
    let mut root = (*span(1, 0)).clone();
    (root.name, root.span_kind) = ("orig".into(), SpanKind::Server);
    root.attributes = vec![KeyValue::new("http.request.method", "GET"), KeyValue::new("http.route", "/users/{id}")];
    let segment = Segment::new(root.span_context.span_id(), "GET", None);
    segment.ended("GET /users/{id}");
    let mut child = span(2, 1);
    child.segment = Some(Arc::new(segment));
    let rand = SampleRand::from_trace_id(TRACE);
    let decision = Decision::new(Some(true)).with_transaction(Some("GET /users/{id}".into()));
    let context = TraceContext::Own { sample_rand: rand, decision };

    let (all, _) = packed(bucket(vec![child, EndedSpan::from(root)], Some(context)));

    let golden = include_str!("golden.txt").replace("<version>", SDK_VERSION).replace("<rand>", &rand.to_string());
    let body = String::from_utf8(all[0].body(SystemTime::UNIX_EPOCH + Duration::from_secs(1))).expect("UTF-8");
    let length = body.lines().nth(2).map_or(0, str::len).to_string();
    assert_eq!(body, golden.replace("<length>", &length));
    assert_eq!((all.len(), all[0].counts), (1, Counts::spans(2)));
}

#[test]
fn without_a_known_context_a_minimal_one_is_made() {
    let minimal = serde_json::json!({
        "environment": "e2e", "release": "shop@1.2.3", "public_key": "public", "trace_id": "07".repeat(16),
        "org_id": "7",
    });
    assert_eq!(trace_header(None), minimal);
    assert_eq!(trace_header(Some(TraceContext::Unknown)), minimal);
    assert_eq!(trace_header(Some(TraceContext::Frozen(DynamicSamplingContext::default()))), minimal);
}

#[test]
fn a_context_of_another_trace_is_not_sent() {
    let frozen = |trace_id: &str| {
        let entries = [("trace_id", trace_id), ("public_key", "other"), ("sampled", "true")];
        TraceContext::Frozen(DynamicSamplingContext::from_entries(entries))
    };
    assert_eq!(trace_header(Some(frozen(&"07".repeat(16))))["public_key"], "other");
    assert_eq!(trace_header(Some(frozen(&"08".repeat(16))))["public_key"], "public");
}

#[test]
fn a_container_has_at_most_five_megabytes_however_text_is_escaped() {
    // As JSON each of these bytes takes six.
    let spans = (2..42).map(|id| with_text(id, "\u{1}".repeat(100_000))).collect();
    let (all, ledger) = packed(bucket(spans, None));
    assert_eq!(all.iter().map(|envelope| envelope.counts.spans).sum::<u64>(), 40);
    assert_eq!(all.len(), 5, "eight spans of 600 kB have room in 5 MB");
    for envelope in &all {
        let payload = envelope.items.splitn(2, |byte| *byte == b'\n').nth(1).expect("a payload");
        assert!(payload.len() <= MAX_BUCKET);
        let json: Value = serde_json::from_slice(payload).expect("JSON");
        assert_eq!(json["items"].as_array().map(Vec::len), Some(envelope.counts.spans as usize));
    }
    assert_eq!(ledger.stats().spans_dropped(), 0);
}

#[test]
fn a_span_that_is_too_large_is_cut_until_it_fits() {
    let mut numbers = (*span(3, 1)).clone();
    numbers.attributes = vec![KeyValue::new("numbers", opentelemetry::Value::Array(vec![i64::MAX; 100_000].into()))];
    let spans = vec![with_text(2, "x".repeat(3_000_000)), EndedSpan::from(numbers), span(4, 1)];
    let (all, ledger) = packed(bucket(spans, None));
    assert_eq!((all.len(), all[0].counts), (1, Counts::spans(3)));
    assert!(all[0].items.len() <= MAX_TRANSACTION + 10_000, "the numbers are left out");
    assert!(ledger.stats().trimmed.bytes > 1_000_000);
}

#[test]
fn a_long_resource_costs_no_span() {
    let mut sender = sender();
    let attributes = ["a", "b"].map(|key| KeyValue::new(key, "x".repeat(2 * MAX_TRANSACTION)));
    sender.set_resource(opentelemetry_sdk::Resource::builder_empty().with_attributes(attributes).build());
    let ledger = Ledger::default();
    let all = packed_by(&sender, &Hooks::default(), bucket(vec![span(1, 0)], None), &ledger);
    assert_eq!((all.len(), all[0].counts), (1, Counts::spans(1)));
    assert_eq!(ledger.stats().trimmed.bytes, 0, "nothing of the span is cut");
}

/// A span whose scope has a name of this length. Names of scopes are constants of libraries, so nothing cuts them.
fn with_scope(id: u64, length: usize) -> EndedSpan {
    let mut data = (*span(id, 1)).clone();
    data.instrumentation_scope = opentelemetry::InstrumentationScope::builder("x".repeat(length)).build();
    EndedSpan::from(data)
}

#[test]
fn a_span_that_cannot_be_cut_goes_alone_or_is_dropped_as_too_large() {
    let spans = vec![span(2, 1), with_scope(3, MAX_BUCKET), span(4, 1), with_scope(5, MAX_SPAN), span(6, 1)];
    let (all, ledger) = packed(bucket(spans, None));
    let counts: Vec<_> = all.iter().map(|envelope| envelope.counts.spans).collect();
    assert_eq!(counts, [1, 1, 2]);
    assert_eq!(ledger.stats().dropped[&DropReason::TooLarge].spans, 1);
    assert_eq!(ledger.stats().spans_dropped(), 1);
    assert_eq!(DropReason::TooLarge.report_word(), Some("send_error"));
}

#[test]
fn the_hook_changes_spans_and_cannot_lose_one() {
    let mut hooks = Hooks::default();
    hooks.set_span(|event| match event.span_id() {
        "0000000000000002" => event.description = "renamed".to_owned(),
        "0000000000000003" => {
            event.data = [("text".to_owned(), "x".repeat(2 * MAX_TRANSACTION).into())].into_iter().collect();
        }
        "0000000000000004" => event.data = [("text".to_owned(), "x".repeat(MAX_SPAN).into())].into_iter().collect(),
        _ => panic!("a bug"),
    });
    let ledger = Ledger::default();
    let all = packed_by(&sender(), &hooks, bucket((2..6).map(|id| span(id, 1)).collect(), None), &ledger);
    let text = |envelope: &Envelope| String::from_utf8(envelope.items.to_vec()).expect("UTF-8");
    assert_eq!((all.len(), all[0].counts), (1, Counts::spans(3)));
    assert!(text(&all[0]).contains(r#""name":"renamed""#));
    assert!(text(&all[0]).contains(r#""span_id":"0000000000000005""#), "a panic changes nothing");
    assert_eq!(ledger.stats().dropped[&DropReason::TooLarge].spans, 1, "more than Sentry accepts");
    assert_eq!(ledger.stats().spans_dropped(), 1);
}

#[test]
fn no_container_is_larger_than_the_queue() {
    let packer = |limit| Packer::new(sender(), Rules::default()).with_queue_limit(limit);
    assert_eq!(packer(usize::MAX).container_limit, MAX_BUCKET);
    let ledger = Ledger::default();
    let spans = (2..12).map(|id| with_text(id, "x".repeat(100_000))).collect();
    let all = packer(400_000).pack_bucket(bucket(spans, None), &ledger);
    assert_eq!(all.iter().map(|envelope| envelope.counts.spans).sum::<u64>(), 10);
    assert!(all.len() >= 3 && all.iter().all(|envelope| envelope.size() < 400_000));
}
