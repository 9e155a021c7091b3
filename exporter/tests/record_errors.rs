//! What becomes of exceptions in log records, alone and beside the spans that record the same failures.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    logs::{AnyValue, LogRecord as _, Logger, LoggerProvider, Severity},
    trace::{Span as _, SpanContext, TraceContextExt as _, TraceState, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
use opentelemetry_sentry_exporter::{
    DropReason, SentryExporter, SentryExporterBuilder, SentryLogProcessor, SentrySpanProcessor, testing::LocalIngest,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const TRACE: &str = "771a43a4192642f0b136d5159a501700";
const SPAN: &str = "7c7c2e6c5e1c4b0a";

/// Two providers with one exporter.
struct Pipeline {
    ingest: LocalIngest,
    spans: SentrySpanProcessor,
    tracers: SdkTracerProvider,
    loggers: SdkLoggerProvider,
}

impl Pipeline {
    fn start(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Self {
        let ingest = LocalIngest::start().expect("a free port");
        let builder = SentryExporter::builder().with_dsn(ingest.dsn()).with_exceptions_as_errors(true);
        let spans = SentrySpanProcessor::from(set_up(builder).build().expect("a valid setup"));
        let logs = SentryLogProcessor::from(&spans);
        let tracers = SdkTracerProvider::builder().with_span_processor(spans.clone()).build();
        let loggers = SdkLoggerProvider::builder().with_log_processor(logs).build();
        Self { ingest, spans, tracers, loggers }
    }

    fn emit(&self, severity: Severity, body: &'static str, attributes: &[(&'static str, &'static str)]) {
        let logger = self.loggers.logger("");
        let mut record = logger.create_log_record();
        record.set_severity_number(severity);
        record.set_body(body.into());
        record.set_target("shop");
        attributes.iter().for_each(|(key, value)| record.add_attribute(*key, *value));
        logger.emit(record);
    }

    /// Emits a record in a span of another provider.
    fn emit_in(&self, flags: TraceFlags, severity: Severity, attributes: &[(&'static str, &'static str)]) {
        let ids = (TraceId::from_hex(TRACE).expect("an id"), SpanId::from_hex(SPAN).expect("an id"));
        let span = SpanContext::new(ids.0, ids.1, flags, false, TraceState::NONE);
        let _active = Context::new().with_remote_span_context(span).attach();
        self.emit(severity, "payment failed", attributes);
    }

    fn flush(&self) {
        self.spans.flush(PATIENCE).expect("everything arrives");
    }

    fn errors(&self) -> Vec<Value> {
        self.flush();
        self.ingest.errors()
    }
}

#[test]
fn a_record_with_an_exception_is_an_error_event_and_a_log() {
    let pipeline = Pipeline::start(|builder| builder);
    let stack = "   0: app::main\n             at src/main.rs:3:5";
    let exception =
        [("exception.type", "io::Error"), ("exception.message", "disk full"), ("exception.stacktrace", stack)];
    pipeline.emit_in(TraceFlags::SAMPLED, Severity::Error, &exception);
    let [event] = &pipeline.errors()[..] else { panic!("one error") };
    let raised = &event["exception"]["values"][0];
    assert_eq!([&raised["type"], &raised["value"]], ["io::Error", "disk full"]);
    assert_eq!(raised["mechanism"], json!({ "type": "auto.log.otel", "handled": true }));
    assert_eq!(raised["stacktrace"]["frames"][0]["function"], "app::main");
    let trace = &event["contexts"]["trace"];
    assert_eq!([&trace["trace_id"], &trace["span_id"]], [TRACE, SPAN]);
    assert_eq!([&event["logger"], &event["level"]], ["shop", "error"]);
    assert_eq!(event["logentry"]["formatted"], "payment failed");
    assert_eq!(event.get("transaction"), None, "it is not known");
    let log = pipeline.ingest.log("payment failed");
    assert_eq!((log.trace_id.as_str(), log.span_id.as_deref()), (TRACE, Some(SPAN)));
}

#[test]
fn only_records_with_an_exception_at_error_and_above_are_errors() {
    for (severity, attributes, level) in [
        (Severity::Error, &[("error.type", "timeout")][..], None),
        (Severity::Warn4, &[("exception.type", "E"), ("exception.message", "m")], None),
        (Severity::Error, &[], None),
        (Severity::Error, &[("exception.message", "m")], Some("error")),
        (Severity::Error4, &[("exception.type", "E")], Some("error")),
        (Severity::Fatal, &[("exception.message", "m")], Some("fatal")),
        (Severity::Error, &[("error", "m")], Some("error")),
        (Severity::Warn, &[("error", "m")], None),
        (Severity::Error, &[("exception.message", "")], None),
    ] {
        let pipeline = Pipeline::start(|builder| builder);
        pipeline.emit(severity, "x", attributes);
        let errors = pipeline.errors();
        let levels: Vec<_> = errors.iter().map(|event| event["level"].as_str().unwrap()).collect();
        assert_eq!(levels, level.into_iter().collect::<Vec<_>>(), "{severity:?} {attributes:?}");
        assert_eq!(pipeline.ingest.logs().len(), 1, "the log is sent in any case");
    }
}

#[test]
fn without_the_option_records_make_no_errors() {
    let pipeline = Pipeline::start(|builder| builder.with_exceptions_as_errors(false));
    pipeline.emit(Severity::Error, "x", &[("exception.message", "m")]);
    assert_eq!(pipeline.errors(), [Value::Null; 0]);
}

#[test]
fn an_error_in_a_trace_that_is_not_sampled_is_sent_with_its_context_and_its_span() {
    let pipeline = Pipeline::start(|builder| builder);
    pipeline.emit_in(TraceFlags::NOT_SAMPLED, Severity::Error, &[("exception.message", "m")]);
    let [event] = &pipeline.errors()[..] else { panic!("one error") };
    assert_eq!(event["contexts"]["trace"]["span_id"], SPAN);
    let envelopes = pipeline.ingest.envelopes();
    let of_error = envelopes.iter().find(|envelope| envelope.items()[0].item_type() == "event").unwrap();
    let trace = of_error.trace().unwrap();
    assert_eq!([&trace["trace_id"], &trace["sampled"], &trace["public_key"]], [TRACE, "false", "public"]);
    assert_eq!(pipeline.ingest.logs()[0].span_id, None, "the span is never sent");
}

#[test]
fn an_error_outside_of_any_trace_has_the_trace_of_the_logs_and_a_span_id() {
    let pipeline = Pipeline::start(|builder| builder);
    pipeline.emit(Severity::Error, "x", &[("exception.message", "m")]);
    let [event] = &pipeline.errors()[..] else { panic!("one error") };
    let trace = &event["contexts"]["trace"];
    assert_eq!(trace["trace_id"], pipeline.ingest.logs()[0].trace_id.as_str());
    assert_eq!(trace["span_id"].as_str().map(str::len), Some(16));
}

/// Records one failure in a span and in a record.
fn fail_twice(pipeline: &Pipeline, span_attributes: Vec<KeyValue>, attributes: &[(&'static str, &'static str)]) {
    let tracer = pipeline.tracers.tracer("test");
    tracer.in_span("checkout", |cx| {
        cx.span().add_event("payment failed", span_attributes);
        pipeline.emit(Severity::Error, "payment failed", attributes);
    });
}

#[test]
fn a_failure_that_span_and_record_report_is_one_event_with_what_both_know() {
    let pipeline = Pipeline::start(|builder| builder);
    let chain = opentelemetry::Value::Array(vec![opentelemetry::StringValue::from("disk full")].into());
    let of_span = vec![KeyValue::new("exception.message", "cannot save"), KeyValue::new("error.chain", chain)];
    fail_twice(&pipeline, of_span, &[("exception.type", "shop::Save"), ("exception.message", "cannot save")]);
    let [event] = &pipeline.errors()[..] else { panic!("one error") };
    let values = event["exception"]["values"].as_array().unwrap();
    let values: Vec<_> = values.iter().map(|one| (&one["type"], &one["value"])).collect();
    assert_eq!(values, [(&json!("Error"), &json!("disk full")), (&json!("shop::Save"), &json!("cannot save"))]);
    assert_eq!(event["transaction"], "checkout");
    assert_eq!(pipeline.ingest.logs().len(), 1);
}

#[test]
fn a_failure_that_was_sent_is_not_sent_again_in_the_other_form() {
    let pipeline = Pipeline::start(|builder| builder);
    let message = || vec![KeyValue::new("exception.message", "cannot save")];
    let tracer = pipeline.tracers.tracer("test");
    // The record leaves by a flush before its span has ended.
    let mut span = tracer.start("checkout");
    let cx = Context::new().with_remote_span_context(span.span_context().clone());
    {
        let _active = cx.attach();
        pipeline.emit(Severity::Error, "payment failed", &[("exception.message", "cannot save")]);
        pipeline.flush();
    }
    span.add_event("exception", message());
    span.end();
    assert_eq!(pipeline.errors().len(), 1);

    // The span has left before the record comes, as a late line does.
    pipeline.ingest.clear();
    let mut span = tracer.start("checkout");
    let cx = Context::new().with_remote_span_context(span.span_context().clone());
    span.add_event("exception", message());
    span.end();
    pipeline.flush();
    let _active = cx.attach();
    pipeline.emit(Severity::Error, "payment failed", &[("exception.message", "cannot save")]);
    assert_eq!(pipeline.errors().len(), 1);
}

#[test]
fn equal_failures_of_two_traces_are_two_events() {
    let pipeline = Pipeline::start(|builder| builder);
    for _ in 0..2 {
        fail_twice(&pipeline, Vec::new(), &[("exception.message", "m")]);
    }
    let errors = pipeline.errors();
    let traces: Vec<_> = errors.iter().map(|event| &event["contexts"]["trace"]["trace_id"]).collect();
    assert!(traces.len() == 2 && traces[0] != traces[1], "{traces:?}");
}

#[test]
fn error_events_have_the_lines_of_their_trace_before_them() {
    let pipeline = Pipeline::start(|builder| builder);
    pipeline.emit(Severity::Info, "of no trace", &[]);
    let tracer = pipeline.tracers.tracer("test");
    tracer.in_span("checkout", |_| {
        for _ in 0..35 {
            pipeline.emit(Severity::Info, "a line", &[("step", "1")]);
        }
        pipeline.emit(Severity::Warn, "the last line", &[]);
        pipeline.emit(Severity::Error, "payment failed", &[("exception.message", "m")]);
        pipeline.emit(Severity::Info, "a line after it", &[]);
    });
    let [event] = &pipeline.errors()[..] else { panic!("one error") };
    let crumbs = event["breadcrumbs"]["values"].as_array().unwrap();
    assert_eq!(crumbs.len(), 30);
    assert_eq!([&crumbs[29]["message"], &crumbs[29]["level"]], ["the last line", "warning"]);
    assert_eq!([&crumbs[0]["message"], &crumbs[0]["category"], &crumbs[0]["data"]["step"]], ["a line", "shop", "1"]);
    assert!(crumbs[0]["timestamp"].is_number());
}

#[test]
fn an_error_of_a_span_alone_has_the_lines_before_it_too() {
    let pipeline = Pipeline::start(|builder| builder);
    let tracer = pipeline.tracers.tracer("test");
    tracer.in_span("checkout", |cx| {
        pipeline.emit(Severity::Info, "before", &[]);
        cx.span().add_event_with_timestamp(
            "exception",
            SystemTime::now(),
            vec![KeyValue::new("exception.message", "m")],
        );
    });
    let [event] = &pipeline.errors()[..] else { panic!("one error") };
    assert_eq!(event["breadcrumbs"]["values"][0]["message"], "before");
}

#[test]
fn hooks_filters_and_secrets_hold_for_errors_of_records() {
    let pipeline = Pipeline::start(|builder| {
        builder.with_ignore_errors(["ignored"]).with_before_send_error(|mut event| {
            event.tags.insert("hooked".to_owned(), "yes".to_owned());
            (event.message != "dropped").then_some(event)
        })
    });
    for message in ["ignored", "dropped", "GET https://u:p@h/"] {
        pipeline.emit(Severity::Error, "x", &[("exception.message", message)]);
    }
    let [event] = &pipeline.errors()[..] else { panic!("one error") };
    assert_eq!(event["tags"]["hooked"], "yes");
    assert_eq!(event["exception"]["values"][0]["value"], "GET https://[filtered]:[filtered]@h/");
    let stats = pipeline.spans.stats();
    assert_eq!(stats.errors_sent, 1);
    assert_eq!(stats.dropped[&DropReason::Ignored].errors, 1);
    assert_eq!(stats.dropped[&DropReason::BeforeSend].errors, 1);
}

#[test]
fn span_events_become_logs_if_there_is_no_log_processor() {
    let ingest = LocalIngest::start().unwrap();
    let builder = SentryExporter::builder().with_dsn(ingest.dsn()).with_logs_from_span_events(true);
    let spans = SentrySpanProcessor::from(builder.build().unwrap());
    let tracers = SdkTracerProvider::builder().with_span_processor(spans.clone()).build();
    let work = || {
        tracers.tracer("test").in_span("checkout", |cx| {
            let attributes = [("level", "WARN"), ("target", "shop"), ("who", "bob")];
            cx.span().add_event("a line", attributes.map(|(key, value)| KeyValue::new(key, value)).to_vec());
            cx.span().add_event("latency", vec![KeyValue::new("sentry.measurement_value", 1.5)]);
            cx.span().add_event("exception", vec![KeyValue::new("exception.message", "m")]);
        });
    };
    work();
    spans.flush(PATIENCE).unwrap();
    let logs = ingest.logs();
    let lines: Vec<_> = logs.iter().map(|log| (log.body.as_str(), log.level.as_str())).collect();
    assert_eq!(lines, [("a line", "warn"), ("m", "error")]);
    assert_eq!([&logs[0].attributes["logger.name"], &logs[0].attributes["who"]], ["shop", "bob"]);
    assert!(!logs[0].attributes.contains_key("level") && !logs[0].attributes.contains_key("target"));
    let trace = &ingest.transactions()[0]["contexts"]["trace"];
    assert_eq!([&trace["trace_id"], &trace["span_id"]], [&logs[0].json["trace_id"], &logs[0].json["span_id"]]);
    let stats = spans.stats();
    assert_eq!((stats.logs_received, stats.logs_sent), (2, 2));

    let loggers = SdkLoggerProvider::builder().with_log_processor(SentryLogProcessor::from(&spans)).build();
    work();
    let logger = loggers.logger("");
    let mut record = logger.create_log_record();
    record.set_body(AnyValue::from("the record"));
    logger.emit(record);
    spans.flush(PATIENCE).unwrap();
    assert_eq!(spans.stats().logs_sent, 3, "each line would be sent twice");
}

#[test]
fn a_clock_that_was_ahead_hides_no_failure() {
    let pipeline = Pipeline::start(|builder| builder);
    // Both times are in the past, as Sentry marks events of the future.
    let now = SystemTime::now();
    for ago in [0, 3600] {
        let logger = pipeline.loggers.logger("");
        let mut record = logger.create_log_record();
        record.set_timestamp(now - Duration::from_secs(ago));
        record.set_severity_number(Severity::Error);
        record.add_attribute("exception.message", "disk full");
        logger.emit(record);
        pipeline.flush();
    }
    assert_eq!(pipeline.errors().len(), 2);
}
