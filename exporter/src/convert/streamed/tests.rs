//! The wire cases of streamed spans, and the rules that every one of them obeys.

#[path = "../../../tests/support/case.rs"]
mod case;
mod laws;

use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::{
    KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, TraceState},
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::Service;
use opentelemetry_sentry_vectors::{Attributes, Joined, each};
use serde::Deserialize;
use serde_json::{Value, json};

use self::case::SpanCase;
use super::{SegmentInfo, StreamedSpan};
use crate::{
    convert::{SDK_VERSION, Sender, TagRules},
    trace::{EndedSpan, TraceLifecycle, fixtures},
};

fn sender() -> Sender {
    let service =
        Service::new(None).with_release(Some("shop@1.2.3".to_owned())).with_environment(Some("e2e".to_owned()));
    Sender::new(service, Some("host-1".to_owned()), TagRules::default())
}

/// A span whose fields other than its ids a test sets.
fn plain_span(id: u64, parent: u64) -> SpanData {
    SpanData::clone(&fixtures::span(id, parent))
}

fn streamed(sender: &Sender, span: SpanData, segment: Option<SegmentInfo<'_>>) -> Value {
    let span = EndedSpan::from(span);
    serde_json::to_value(StreamedSpan { sender, span: &span, segment, lifecycle: TraceLifecycle::Stream })
        .expect("JSON")
}

/// The ids and times of a span, and what it becomes.
#[derive(Deserialize)]
struct Expected {
    trace_id: String,
    span_id: String,
    parent_span_id: String,
    #[serde(default)]
    parent_is_remote: bool,
    start: f64,
    end: f64,
    segment: Option<Segment>,
    expected: Value,
}

#[derive(Deserialize)]
struct Segment {
    span_id: String,
    segment_name: String,
}

fn id(id: &str) -> SpanId {
    SpanId::from_hex(id).expect("a span id")
}

impl Expected {
    fn complete(&self, mut span: SpanData) -> SpanData {
        let time = |seconds: f64| UNIX_EPOCH + Duration::from_micros((seconds * 1e6).round() as u64);
        let trace_id = TraceId::from_hex(&self.trace_id).expect("a trace id");
        span.span_context =
            SpanContext::new(trace_id, id(&self.span_id), TraceFlags::SAMPLED, false, TraceState::default());
        span.parent_span_id = id(&self.parent_span_id);
        span.parent_span_is_remote = self.parent_is_remote;
        (span.start_time, span.end_time) = (time(self.start), time(self.end));
        span
    }
}

#[test]
fn a_span_is_streamed_as_newer_sdks_stream_it_or_better() {
    let sender = sender();
    each("streamed_spans", |Joined(span, case): &Joined<SpanCase, Expected>| {
        let span = case.complete(span.apply_to(plain_span(1, 0)));
        let segment = case.segment.as_ref();
        let segment = segment.map(|segment| SegmentInfo { id: id(&segment.span_id), name: &segment.segment_name });
        let mut wanted = case.expected.clone();
        // The cases are older than some releases.
        wanted["attributes"]["sentry.sdk.version"]["value"] = json!(SDK_VERSION);
        assert_eq!(streamed(&sender, span, segment), wanted, "found, wanted");
    });
}

#[test]
fn the_value_of_an_attribute_has_a_type() {
    #[derive(Deserialize)]
    struct Case {
        attributes: Attributes,
        expected: Value,
    }
    each("attribute_values", |case: &Case| {
        let mut span = plain_span(1, 0);
        span.attributes = case.attributes.0.clone();
        assert_eq!(streamed(&sender(), span, None)["attributes"]["key"], case.expected);
    });
}

#[test]
fn without_a_known_segment_a_child_names_none() {
    let span = streamed(&sender(), plain_span(2, 1), None);
    assert_eq!(span["is_segment"], false);
    assert_eq!(span["attributes"]["sentry.segment.id"], Value::Null);
    assert_eq!(span["attributes"]["sentry.segment.name"], Value::Null);
}

#[test]
fn a_forced_transaction_is_a_segment_below_its_parent() {
    let above = SegmentInfo { id: SpanId::from_bytes([9; 8]), name: "above" };
    let span = streamed(&sender(), plain_span(2, 1_000_000), Some(above));
    assert_eq!(span["is_segment"], true);
    assert_eq!(span["parent_span_id"], "00000000000f4240");
    assert_eq!(span["attributes"]["sentry.segment.id"]["value"], span["span_id"]);
}

#[test]
fn attributes_of_generative_models_have_names_of_today() {
    #[derive(Deserialize)]
    struct Case {
        old: String,
        new: String,
    }
    each("gen_ai_names", |Case { old, new }: &Case| {
        let mut span = plain_span(2, 1);
        span.attributes = vec![KeyValue::new(old.clone(), "value")];
        let span = EndedSpan::from(span);
        for lifecycle in [TraceLifecycle::Transactions, TraceLifecycle::Stream] {
            let sender = &sender();
            let json =
                serde_json::to_value(StreamedSpan { sender, span: &span, segment: None, lifecycle }).expect("JSON");
            assert_eq!(json["attributes"][new], json!({ "type": "string", "value": "value" }), "{lifecycle:?}");
            assert_eq!(json["attributes"][old], Value::Null, "{lifecycle:?}");
        }
    });
}

#[test]
fn every_old_name_gives_way_to_todays_name_if_a_span_has_both() {
    let mut span = plain_span(2, 1);
    span.attributes = vec![
        KeyValue::new("gen_ai.system", "old"),
        KeyValue::new("gen_ai.provider.name", "new"),
        KeyValue::new("gen_ai.prompt", "first"),
        KeyValue::new("gen_ai.request.messages", "second"),
    ];
    let span = streamed(&sender(), span, None);
    assert_eq!(span["attributes"]["gen_ai.provider.name"]["value"], "new");
    assert_eq!(span["attributes"]["gen_ai.input.messages"]["value"], "first");
    assert_eq!(span["attributes"]["gen_ai.system"], Value::Null);
}

#[test]
fn the_old_peer_of_a_server_is_its_client() {
    let address = |kind| {
        let mut span = plain_span(2, 1);
        (span.span_kind, span.attributes) = (kind, vec![KeyValue::new("net.peer.name", "peer")]);
        let span = streamed(&sender(), span, None);
        ["client.address", "server.address"].map(|key| span["attributes"][key]["value"].clone())
    };
    assert_eq!(address(SpanKind::Server), [json!("peer"), Value::Null]);
    assert_eq!(address(SpanKind::Client), [Value::Null, json!("peer")]);
}

#[test]
fn the_resource_is_on_segments_and_its_service_on_every_span() {
    let mut sender = Sender::new(Service::new(None), None, TagRules::default());
    let attributes = [
        KeyValue::new("service.name", "shop"),
        KeyValue::new("service.version", "2"),
        KeyValue::new("telemetry.sdk.name", "otel"),
        KeyValue::new("cloud.region", "eu"),
    ];
    sender.set_resource(Resource::builder_empty().with_attributes(attributes).build());
    let keys = |span: SpanData| {
        let span = streamed(&sender, span, None);
        let all = span["attributes"].as_object().expect("an object");
        let of_resource = all.keys().filter(|key| key.starts_with("resource.") || *key == "service.name");
        of_resource.cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(plain_span(2, 1)), ["service.name"]);
    // The version is the release already if no release is set.
    let version_is_release = sender.service.release() == Some("2");
    let wanted: &[&str] = if version_is_release {
        &["resource.cloud.region", "service.name"]
    } else {
        &["resource.cloud.region", "resource.service.version", "service.name"]
    };
    assert_eq!(keys(plain_span(1, 0)), wanted);
}

#[test]
fn places_of_machines_and_of_this_library_and_a_service_without_a_name_are_left_out() {
    let mut sender = sender();
    sender.set_resource(
        Resource::builder_empty().with_attribute(KeyValue::new("service.name", "unknown_service:x")).build(),
    );
    let attributes = |module: &'static str, key: &'static str| {
        let mut span = plain_span(2, 1);
        let path = "/home/me/.cargo/registry/src/index-1/h2-0.4.12/src/client.rs";
        span.attributes = vec![KeyValue::new(key, path), KeyValue::new("code.module.name", module)];
        streamed(&sender, span, None)["attributes"].clone()
    };
    for key in ["code.file.path", "code.filepath"] {
        let shorter = json!({ "type": "string", "value": "h2-0.4.12/src/client.rs" });
        assert_eq!(attributes("h2::client", key)["code.file.path"], shorter);
        let ours = attributes("opentelemetry_sentry::web::server", key);
        assert!(ours["code.file.path"].is_null() && ours["code.module.name"].is_null());
        assert!(ours["service.name"].is_null());
    }
}

#[test]
fn attributes_of_the_application_are_on_every_span_unless_it_has_them() {
    let mut sender = sender();
    for (key, value) in [("tenant", "acme"), ("own", "sender"), ("http.url", "old"), ("sentry.op", "mine")] {
        sender.attributes.add(key.into(), value.into());
    }
    sender.attributes.add("sentry.environment".into(), "canary".into());
    sender.attributes.add("tenant".into(), 7.into());
    for (id, parent) in [(1, 0), (2, 1)] {
        let mut span = plain_span(id, parent);
        span.attributes = vec![KeyValue::new("own", "span"), KeyValue::new("http.method", "GET")];
        let attributes = &streamed(&sender, span, None)["attributes"];
        assert_eq!(attributes["tenant"], json!({ "type": "integer", "value": 7 }), "the last one counts");
        assert_eq!(attributes["own"]["value"], "span");
        assert_eq!(attributes["url.full"]["value"], "old", "under today's name");
        assert_eq!(attributes["sentry.environment"]["value"], "canary");
        assert_ne!(attributes["sentry.op"]["value"], "mine");
    }
}

#[test]
fn a_measurement_of_an_event_is_a_number() {
    let mut span = plain_span(2, 1);
    let attributes = vec![KeyValue::new("sentry.measurement_value", 3.5)];
    span.events.events = vec![opentelemetry::trace::Event::new("queue.lag", UNIX_EPOCH, attributes, 0)];
    let span = streamed(&sender(), span, None);
    assert_eq!(span["attributes"]["queue.lag"], json!({ "type": "double", "value": 3.5 }));
}

#[test]
fn links_have_typed_attributes() {
    let mut span = plain_span(2, 1);
    let to = |flags| {
        SpanContext::new(TraceId::from_bytes([1; 16]), SpanId::from_bytes([2; 8]), flags, true, TraceState::default())
    };
    let link = |flags, attributes| opentelemetry::trace::Link::new(to(flags), attributes, 0);
    span.links.links = vec![
        link(TraceFlags::SAMPLED, vec![KeyValue::new("a", 1)]),
        link(TraceFlags::default(), Vec::new()),
        opentelemetry::trace::Link::new(SpanContext::empty_context(), Vec::new(), 0),
    ];
    let ids = json!({ "trace_id": "01".repeat(16), "span_id": "02".repeat(8) });
    let (mut first, mut second) = (ids.clone(), ids);
    (first["sampled"], second["sampled"]) = (json!(true), json!(false));
    first["attributes"] = json!({ "a": { "type": "integer", "value": 1 } });
    assert_eq!(streamed(&sender(), span, None)["links"], json!([first, second]));
}
