//! The JSON form of OTLP's messages: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any},
    logs::v1::LogRecord,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::{DecodeError, Message as _};
use serde_json::{Value, json};

/// Reads messages of protocol buffers.
pub(super) struct Message;

impl Message {
    pub(super) fn traces(body: &[u8]) -> Result<Value, DecodeError> {
        let request = ExportTraceServiceRequest::decode(body)?;
        let resources = request.resource_spans.iter().map(|of_resource| {
            let scopes = of_resource.scope_spans.iter().map(|of_scope| {
                let spans: Value = of_scope.spans.iter().map(span).collect();
                json!({ "scope": of_scope.scope.as_ref().map(scope), "spans": spans })
            });
            let scopes: Value = scopes.collect();
            json!({ "resource": of_resource.resource.as_ref().map(resource), "scopeSpans": scopes })
        });
        let resources: Value = resources.collect();
        Ok(json!({ "resourceSpans": resources }))
    }

    pub(super) fn logs(body: &[u8]) -> Result<Value, DecodeError> {
        let request = ExportLogsServiceRequest::decode(body)?;
        let resources = request.resource_logs.iter().map(|of_resource| {
            let scopes = of_resource.scope_logs.iter().map(|of_scope| {
                let logs: Value = of_scope.log_records.iter().map(log).collect();
                json!({ "scope": of_scope.scope.as_ref().map(scope), "logRecords": logs })
            });
            let scopes: Value = scopes.collect();
            json!({ "resource": of_resource.resource.as_ref().map(resource), "scopeLogs": scopes })
        });
        let resources: Value = resources.collect();
        Ok(json!({ "resourceLogs": resources }))
    }
}

fn resource(resource: &Resource) -> Value {
    json!({ "attributes": attributes(&resource.attributes) })
}

fn scope(scope: &InstrumentationScope) -> Value {
    json!({ "name": scope.name, "version": scope.version, "attributes": attributes(&scope.attributes) })
}

fn span(span: &Span) -> Value {
    let event = |event: &opentelemetry_proto::tonic::trace::v1::span::Event| {
        json!({
            "timeUnixNano": event.time_unix_nano.to_string(),
            "name": event.name,
            "attributes": attributes(&event.attributes),
        })
    };
    let link = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| {
        json!({
            "traceId": hex(&link.trace_id),
            "spanId": hex(&link.span_id),
            "attributes": attributes(&link.attributes),
            "flags": link.flags,
        })
    };
    let status = span.status.as_ref().map(|status| json!({ "code": status.code, "message": status.message }));
    json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "parentSpanId": hex(&span.parent_span_id),
        "traceState": span.trace_state,
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": attributes(&span.attributes),
        "events": span.events.iter().map(event).collect::<Value>(),
        "links": span.links.iter().map(link).collect::<Value>(),
        "status": status,
    })
}

fn log(log: &LogRecord) -> Value {
    json!({
        "timeUnixNano": log.time_unix_nano.to_string(),
        "observedTimeUnixNano": log.observed_time_unix_nano.to_string(),
        "severityNumber": log.severity_number,
        "severityText": log.severity_text,
        "body": any(log.body.as_ref()),
        "attributes": attributes(&log.attributes),
        "flags": log.flags,
        "traceId": hex(&log.trace_id),
        "spanId": hex(&log.span_id),
        "eventName": log.event_name,
    })
}

fn attributes(attributes: &[KeyValue]) -> Value {
    attributes.iter().map(|one| json!({ "key": one.key, "value": any(one.value.as_ref()) })).collect()
}

fn any(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        None => json!({}),
        Some(Any::StringValue(text)) => json!({ "stringValue": text }),
        Some(Any::BoolValue(flag)) => json!({ "boolValue": flag }),
        Some(Any::IntValue(number)) => json!({ "intValue": number.to_string() }),
        Some(Any::DoubleValue(number)) => json!({ "doubleValue": number }),
        Some(Any::ArrayValue(array)) => {
            let values: Value = array.values.iter().map(|value| any(Some(value))).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Some(Any::KvlistValue(list)) => json!({ "kvlistValue": { "values": attributes(&list.values) } }),
        Some(Any::BytesValue(bytes)) => json!({ "bytesValue": hex(bytes) }),
        // Indices into a table of texts, which only profiles have.
        Some(_) => json!({}),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
