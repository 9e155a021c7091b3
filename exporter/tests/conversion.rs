//! The wire cases of what is sent of a span, each exported and read back from an ingest.

#[path = "support/case.rs"]
mod case;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceState},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use opentelemetry_sentry_exporter::SentryExporter;
use opentelemetry_sentry_protocol::Service;
use opentelemetry_sentry_vectors::{Attributes, Joined, each};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    case::SpanCase,
    support::{Pipeline, span},
};

const ROOT: u64 = 0xa1;
const CHILD: u64 = 0xb2;

/// Sends a span as the only one of its trace, and returns the event.
fn sent_as_root(pipeline: &Pipeline, case: &SpanCase) -> Value {
    only_event(pipeline, vec![case.apply_to(span(pipeline.new_trace(), ROOT, 0))])
}

/// Sends a span as the child of a plain one, and returns the event.
fn sent_as_child(pipeline: &Pipeline, case: &SpanCase) -> Value {
    let trace_id = pipeline.new_trace();
    only_event(pipeline, vec![case.apply_to(span(trace_id, CHILD, ROOT)), span(trace_id, ROOT, 0)])
}

fn only_event(pipeline: &Pipeline, spans: Vec<SpanData>) -> Value {
    let envelopes = pipeline.send(spans);
    assert_eq!(envelopes.len(), 1, "one trace is one envelope; {}", pipeline.exporter.stats());
    envelopes[0].items()[0].json().expect("a JSON payload")
}

#[test]
fn a_span_is_sent_as_the_official_sdk_sends_it_or_better() {
    check_spans_of("conversion");
}

#[test]
fn the_data_of_a_span_are_its_attributes_and_what_is_inferred_from_them() {
    check_spans_of("data");
}

#[derive(Deserialize)]
struct Fields {
    op: Value,
    description: Value,
    source: Value,
    result: Value,
    origin: Value,
    data: Map<String, Value>,
    response: Value,
    #[serde(default)]
    root: Map<String, Value>,
    transaction: Option<Value>,
}

fn check_spans_of(file: &str) {
    // All spans are in the transaction then.
    let pipeline = Pipeline::start(|builder| builder.with_gen_ai_span_items(false));
    each(file, |Joined(span, case): &Joined<SpanCase, Fields>| {
        let Fields { op, description, result, origin, data, .. } = case;

        let event = sent_as_root(&pipeline, span);
        let fields = &event["contexts"]["trace"];
        let mut data_of_root = data.clone();
        data_of_root.insert("sentry.source".to_owned(), case.source.clone());
        data_of_root.extend(case.root.clone());
        let found = json!({
            "op": fields["op"], "name": event["transaction"], "source": event["transaction_info"]["source"],
            "status": fields["status"], "origin": fields["origin"], "data": fields["data"],
            "response": event["contexts"]["response"], "links": fields["links"],
            "measurements": event["measurements"], "spans": event["spans"],
        });
        let name = case.transaction.as_ref().unwrap_or(description);
        let wanted = json!({
            "op": op, "name": name, "source": case.source, "status": result, "origin": origin, "data": data_of_root,
            "response": case.response, "links": null, "measurements": null, "spans": [],
        });
        assert_eq!(found, wanted, "as a root: found, wanted");

        let event = sent_as_child(&pipeline, span);
        let fields = &event["spans"][0];
        let found = json!({
            "op": fields["op"], "description": fields["description"], "status": fields["status"],
            "origin": fields["origin"], "data": fields["data"], "links": fields["links"],
            "measurements": fields["measurements"], "name of its root": event["transaction"],
            "response": event["contexts"]["response"],
        });
        let wanted = json!({
            "op": op, "description": description, "status": result, "origin": origin, "data": data, "links": null,
            "measurements": null, "name of its root": "orig", "response": null,
        });
        assert_eq!(found, wanted, "as a child: found, wanted");
    });
}

#[test]
fn a_span_has_a_status_that_sentry_knows() {
    #[derive(Deserialize)]
    struct Case {
        expected: String,
    }
    let pipeline = Pipeline::start(|builder| builder);
    each("status", |Joined(span, case): &Joined<SpanCase, Case>| {
        let event = sent_as_root(&pipeline, span);
        assert_eq!(event["contexts"]["trace"]["status"], case.expected.as_str(), "as a root");
        let event = sent_as_child(&pipeline, span);
        assert_eq!(event["spans"][0]["status"], case.expected.as_str(), "as a child");
        assert_eq!(event["contexts"]["trace"]["status"], "ok", "the root of a child");
    });
}

#[test]
fn links_name_other_spans() {
    #[derive(Deserialize)]
    struct Case {
        expected: Value,
    }
    let pipeline = Pipeline::start(|builder| builder);
    each("links", |Joined(span, case): &Joined<SpanCase, Case>| {
        let event = sent_as_root(&pipeline, span);
        assert_eq!(event["contexts"]["trace"]["links"], case.expected, "as a root");
        let event = sent_as_child(&pipeline, span);
        assert_eq!(event["spans"][0]["links"], case.expected, "as a child");
        assert_eq!(event["contexts"]["trace"]["links"], Value::Null, "the root of a child");
    });
}

/// Measurements by name; a value counts as 1 whether it is written `1` or `1.0`.
type Measurements = Option<BTreeMap<String, Measurement>>;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)] // also read from what arrives
struct Measurement {
    value: f64,
    unit: String,
}

fn measurements(holder: &Value) -> Measurements {
    serde_json::from_value(holder["measurements"].clone()).expect("measurements")
}

#[derive(Deserialize)]
struct MeasurementsCase {
    measurements: Measurements,
    vitals: Measurements,
}

#[test]
fn measurements_of_a_root_are_measurements_of_the_transaction() {
    let pipeline = Pipeline::start(|builder| builder);
    each("measurements", |Joined(span, case): &Joined<SpanCase, MeasurementsCase>| {
        let all: BTreeMap<_, _> = case.measurements.iter().chain(&case.vitals).flatten().collect();
        let wanted = all.into_iter().map(|(name, measurement)| (name.clone(), measurement.clone())).collect();
        let wanted = Some(wanted).filter(|all: &BTreeMap<_, _>| !all.is_empty());
        let event = sent_as_root(&pipeline, span);
        assert_eq!(measurements(&event), wanted);
    });
}

#[test]
fn measurements_of_a_child_stay_with_it_and_web_vitals_go_to_the_transaction() {
    let pipeline = Pipeline::start(|builder| builder);
    each("measurements", |Joined(span, case): &Joined<SpanCase, MeasurementsCase>| {
        let event = sent_as_child(&pipeline, span);
        assert_eq!(measurements(&event["spans"][0]), case.measurements, "of the child");
        assert_eq!(measurements(&event), case.vitals, "of the transaction");
    });
}

#[test]
fn a_web_vital_of_the_root_wins_over_that_of_a_child() {
    let pipeline = Pipeline::start(|builder| builder);
    let trace_id = pipeline.new_trace();
    let with_lcp = |mut span: SpanData, value: f64| {
        span.attributes.push(KeyValue::new("browser.web_vital.lcp.value", value));
        span
    };
    let child = with_lcp(span(trace_id, CHILD, ROOT), 2.0);
    let root = with_lcp(span(trace_id, ROOT, 0), 1.0);
    let event = only_event(&pipeline, vec![child, root]);
    assert_eq!(measurements(&event).unwrap()["lcp"], Measurement { value: 1.0, unit: "millisecond".to_owned() });
}

#[test]
fn the_golden_envelope_is_sent() {
    #[derive(Deserialize)]
    struct Case {
        release: String,
        environment: String,
        server_name: String,
        org_id: u64,
        resource: Attributes,
        spans: Vec<Joined<SpanCase, Timed>>,
        trace: Value,
        event: Value,
    }
    each("golden_transaction", |case: &Case| {
        let mut pipeline = Pipeline::start(|builder| builder);
        let service = Service::new(Some(pipeline.ingest.dsn().parse().unwrap()))
            .with_release(Some(case.release.clone()))
            .with_environment(Some(case.environment.clone()))
            .with_org_id(Some(case.org_id));
        let builder = SentryExporter::builder().with_service(service);
        pipeline.exporter = builder.with_server_name(case.server_name.as_str()).build().unwrap();
        let resource = Resource::builder_empty().with_attributes(case.resource.0.clone()).build();
        pipeline.exporter.set_resource(&resource);

        let envelopes = pipeline.send(case.spans.iter().map(|Joined(span, timed)| timed.data(span)).collect());
        assert_eq!(envelopes.len(), 1);
        let headers = envelopes[0].headers();
        assert_eq!(headers["trace"], case.trace);
        let mut event = envelopes[0].items()[0].json().unwrap();
        set_back(&mut event);
        event["spans"].as_array_mut().unwrap().iter_mut().for_each(set_back);
        let mut take = |key: &str| event.as_object_mut().expect("an object").remove(key);
        assert_eq!(take("event_id").as_ref(), headers.get("event_id"));
        assert_eq!(take("sdk").as_ref(), headers.get("sdk"));
        assert_eq!(headers["sdk"]["name"], "sentry.rust.otel");
        assert_eq!(event, case.event, "found, wanted");
        let keys: BTreeSet<_> = headers.keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["event_id", "sdk", "sent_at", "trace"]));
        let header = envelopes[0].items()[0].headers();
        let length = envelopes[0].items()[0].payload().len();
        let wanted = json!({ "type": "transaction", "length": length, "content_type": "application/json" });
        assert_eq!(Value::Object(header.clone()), wanted);
    });
}

/// The ids and the times of a span, in seconds since 1970.
#[derive(Deserialize)]
struct Timed {
    trace_id: String,
    span_id: String,
    parent_span_id: String,
    #[serde(default)]
    parent_is_remote: bool,
    start: f64,
    end: f64,
}

/// Whole days since the times of the golden envelope, in seconds. Sentry refuses events that are older than a month.
fn days_since() -> f64 {
    const GOLDEN: f64 = 1_795_219_200.0;
    const DAY: f64 = 24.0 * 60.0 * 60.0;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    ((now - GOLDEN) / DAY).floor() * DAY
}

/// Moves the times of an event back to those of the golden envelope.
fn set_back(event: &mut Value) {
    for key in ["start_timestamp", "timestamp"] {
        let time = event[key].as_f64().expect("a time") - days_since();
        event[key] = json!((time * 1e6).round() / 1e6);
    }
}

impl Timed {
    fn data(&self, case: &SpanCase) -> SpanData {
        let time = |seconds: f64| UNIX_EPOCH + Duration::from_micros(((seconds + days_since()) * 1e6).round() as u64);
        let trace_id = TraceId::from_hex(&self.trace_id).expect("a trace id");
        let id = |id: &str| SpanId::from_hex(id).expect("a span id");
        let mut span = case.apply_to(span(trace_id, 1, 0));
        span.span_context =
            SpanContext::new(trace_id, id(&self.span_id), TraceFlags::SAMPLED, false, TraceState::default());
        span.parent_span_id = id(&self.parent_span_id);
        span.parent_span_is_remote = self.parent_is_remote;
        (span.start_time, span.end_time) = (time(self.start), time(self.end));
        span
    }
}
