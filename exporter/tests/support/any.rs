//! Spans with anything in them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, SpanId, StringValue, TraceFlags, TraceId, Value,
    trace::{Event, Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{judge::LAST_SECOND, support::span};

/// Span ids are below this, so that they often occur as parents and twice.
const IDS: u64 = 7;

pub(crate) fn any_span() -> impl Strategy<Value = SpanData> {
    let identity = (prop::bool::weighted(0.02), 0..IDS, 0..IDS, any::<bool>());
    let times = (any_time(), any_time());
    let content = (any_kind(), any_text(), any_status(), any_scope(), any_attributes());
    let rest = (vec(any_event(), 0..4), vec(any_link(), 0..4), any::<[u32; 3]>());
    (identity, times, content, rest).prop_map(|(identity, times, content, rest)| {
        let (has_no_trace, id, parent, parent_is_remote) = identity;
        let trace_id = if has_no_trace { TraceId::INVALID } else { TraceId::from_bytes([1; 16]) };
        let mut span = span(trace_id, id, parent);
        span.parent_span_is_remote = parent_is_remote && parent != 0;
        (span.start_time, span.end_time) = times;
        let (kind, name, status, scope, attributes) = content;
        (span.span_kind, span.name, span.status) = (kind, name.into(), status);
        (span.instrumentation_scope, span.attributes) = (scope, attributes);
        (span.events.events, span.links.links) = (rest.0, rest.1);
        [span.dropped_attributes_count, span.events.dropped_count, span.links.dropped_count] = rest.2;
        span
    })
}

fn any_kind() -> impl Strategy<Value = SpanKind> {
    select(vec![SpanKind::Internal, SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer])
}

/// Mostly within two hours of now; otherwise the time of a broken clock.
fn any_time() -> impl Strategy<Value = SystemTime> {
    let after = |time: SystemTime, seconds: u64| time.checked_add(Duration::from_secs(seconds)).unwrap_or(time);
    let before = |time: SystemTime, seconds: u64| time.checked_sub(Duration::from_secs(seconds)).unwrap_or(time);
    prop_oneof![
        8 => (0..7_200_000_u64).prop_map(|ms| SystemTime::now() - Duration::from_millis(ms)),
        1 => (0..7200_u64).prop_map(move |seconds| after(SystemTime::now(), seconds)),
        1 => any::<u32>().prop_map(move |seconds| before(UNIX_EPOCH, seconds.into())),
        1 => (0..3_u64).prop_map(move |seconds| after(UNIX_EPOCH, LAST_SECOND - 1 + seconds)),
        1 => any::<u64>().prop_map(move |seconds| after(UNIX_EPOCH, seconds)),
    ]
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Unset), Just(Status::Ok), any_text().prop_map(Status::error)]
}

fn any_scope() -> impl Strategy<Value = InstrumentationScope> {
    (any_text(), any_text())
        .prop_map(|(name, version)| InstrumentationScope::builder(name).with_version(version).build())
}

fn any_event() -> impl Strategy<Value = Event> {
    let name = prop_oneof![any_text(), select(&["exception", "browser.web_vital", "LCP"][..]).prop_map(str::to_owned)];
    let attributes = vec(any_attribute(EVENT_KEYS), 0..5);
    (name, any_time(), attributes).prop_map(|(name, time, attributes)| Event::new(name, time, attributes, 1))
}

fn any_link() -> impl Strategy<Value = Link> {
    let attributes = vec(any_attribute(SPAN_KEYS), 0..3);
    (0..2_u8, 0..2_u8, any::<bool>(), attributes).prop_map(|(trace_id, span_id, sampled, attributes)| {
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let (trace_id, span_id) = (TraceId::from_bytes([trace_id; 16]), SpanId::from_bytes([span_id; 8]));
        Link::new(SpanContext::new(trace_id, span_id, flags, true, TraceState::default()), attributes, 0)
    })
}

// ---- attributes ----------------------------------------------------------------------------------

fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let numbered = |number: usize| KeyValue::new(format!("key{}", number % 1400), number as i64);
    prop_oneof![
        500 => vec(any_attribute(SPAN_KEYS), 0..12),
        4 => Just((0..1500).map(numbered).collect()),
        3 => any_attribute(SPAN_KEYS).prop_map(|KeyValue { key, .. }| vec![KeyValue::new(key, "é".repeat(1 << 20))]),
        1 => Just(vec![KeyValue::new("list", Value::Array(Array::I64((0..100_000).collect())))]),
        1 => Just((0..20).map(|_| KeyValue::new("large", "\0".repeat(50_000))).collect()),
    ]
}

pub(crate) fn any_attribute(keys: &'static [&'static str]) -> impl Strategy<Value = KeyValue> {
    let key = prop_oneof![9 => select(keys).prop_map(str::to_owned), 1 => any_text()];
    (key, any_value()).prop_map(|(key, value)| KeyValue::new(key, value))
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = || any_text().prop_map(StringValue::from);
    prop_oneof![
        6 => text().prop_map(Value::String),
        2 => any::<i64>().prop_map(Value::I64),
        1 => (90..610_i64).prop_map(Value::I64),
        2 => prop::num::f64::ANY.prop_map(Value::F64),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => vec(text(), 0..4).prop_map(|values| Value::Array(Array::String(values))),
        1 => vec(any::<i64>(), 0..4).prop_map(|values| Value::Array(Array::I64(values))),
        1 => vec(prop::num::f64::ANY, 0..4).prop_map(|values| Value::Array(Array::F64(values))),
        1 => vec(any::<bool>(), 0..4).prop_map(|values| Value::Array(Array::Bool(values))),
    ]
}

pub(crate) fn any_text() -> impl Strategy<Value = String> {
    let long = |unit: &'static str| (100..5001_usize).prop_map(move |times| unit.repeat(times));
    prop_oneof![
        12 => select(TEXTS).prop_map(str::to_owned),
        2 => any::<String>(),
        1 => long("x"),
        1 => long("é"),
    ]
}

const TEXTS: &[&str] = &[
    "",
    " ",
    "orig",
    "GET",
    "\0",
    "a\0b\u{7f}\u{1b}[31m",
    "two\nlines\tand\r\nmore",
    "é🦀\u{2028}\u{feff}",
    "\"quoted\\\"",
    "auto.http/otel-tower http",
    "auto.http.otel",
    "https://user:pw@h.io:443/a?token=1&x#f",
    "http://",
    "://",
    "//h.io",
    "/path?query#fragment",
    "?",
    "#",
    "%zz&=&&==",
    "https://[::1]:x@y@z/%00",
    "NaN",
    "inf",
    "-1",
    "1e400",
    "200",
    "0.25",
    "99999999999999999999",
    "true",
    "null",
    "{{auto}}",
    "::1",
    "192.0.2.7",
    "ok",
    "error",
    "not_found",
    "DEADLINE_EXCEEDED",
    "latest",
    "none",
    "millisecond",
    "a unit of sixteen",
    "LCP",
    "cls",
    "bogus",
    "url",
    "sentry-trace_id=x,sentry-sampled=1,,=;sentry-%zz=%",
];

const SPAN_KEYS: &[&str] = &[
    "browser.web_vital.lcp.value",
    "db.query.text",
    "db.system.name",
    "enduser.id",
    "faas.trigger",
    "gen_ai.operation.name",
    "http.fragment",
    "http.host",
    "http.method",
    "http.query",
    "http.request.header.authorization",
    "http.request.header.x-a",
    "http.request.method",
    "http.response.body.size",
    "http.response.header.set-cookie",
    "http.response.header.x-b",
    "http.response.status_code",
    "http.response_content_length",
    "http.route",
    "http.scheme",
    "http.status_code",
    "http.target",
    "http.url",
    "http.user_agent",
    "messaging.operation.type",
    "messaging.system",
    "otel.dropped_events_count",
    "otel.kind",
    "otel.scope.name",
    "rpc.grpc.status_code",
    "rpc.response.status_code",
    "rpc.service",
    "sentry.custom_span_name",
    "sentry.dsc",
    "sentry.dsc.sample_rand",
    "sentry.dsc.transaction",
    "sentry.graphql.operation",
    "sentry.measurement_value",
    "sentry.op",
    "sentry.origin",
    "sentry.parent_span_already_sent",
    "sentry.sample_rate",
    "sentry.segment.name.source",
    "sentry.source",
    "sentry.status.message",
    "sentry.user.email",
    "sentry.user.ip_address",
    "server.address",
    "server.port",
    "url",
    "url.full",
    "url.path",
    "url.query",
    "url.scheme",
    "user.email",
    "user.full_name",
    "user.id",
    "user.ip_address",
    "user.name",
    "user_agent.original",
];

const EVENT_KEYS: &[&str] = &[
    "browser.web_vital.name",
    "browser.web_vital.value",
    "exception.message",
    "exception.stacktrace",
    "exception.type",
    "name",
    "sentry.measurement_unit",
    "sentry.measurement_value",
    "value",
];

pub(crate) const RESOURCE_KEYS: &[&str] = &[
    "deployment.environment",
    "deployment.environment.name",
    "device.manufacturer",
    "device.model.identifier",
    "device.model.name",
    "host.arch",
    "host.name",
    "os.build_id",
    "os.description",
    "os.name",
    "os.type",
    "os.version",
    "process.runtime.description",
    "process.runtime.name",
    "process.runtime.version",
    "service.name",
    "service.version",
];
