//! What log records become, from a logger provider to an ingest.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    Key, SpanId, TraceFlags, TraceId,
    logs::{AnyValue, LogRecord as _, Logger, LoggerProvider, Severity},
};
use opentelemetry_sdk::{
    Resource,
    logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider},
};
use opentelemetry_sentry_exporter::{
    DropReason, LogFilter, SentryExporter, SentryExporterBuilder, SentryLogProcessor, testing::LocalIngest,
};
use opentelemetry_sentry_vectors::each;
use serde::Deserialize;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

/// A logger provider whose records go to an ingest.
struct Logs {
    ingest: LocalIngest,
    processor: SentryLogProcessor,
    provider: SdkLoggerProvider,
}

impl Logs {
    fn start(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Self {
        let ingest = LocalIngest::start().expect("a free port");
        let exporter = set_up(SentryExporter::builder().with_dsn(ingest.dsn())).build().expect("a valid setup");
        let processor = SentryLogProcessor::from(exporter);
        let resource = Resource::builder_empty().build();
        let provider =
            SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor.clone()).build();
        Self { ingest, processor, provider }
    }

    fn logger(&self) -> SdkLogger {
        self.provider.logger("")
    }

    fn emit(&self, fill: impl FnOnce(&mut SdkLogRecord)) {
        let logger = self.logger();
        let mut record = logger.create_log_record();
        fill(&mut record);
        logger.emit(record);
    }

    fn line(&self, severity: Severity, target: &'static str, body: &'static str) {
        self.emit(|record| {
            record.set_severity_number(severity);
            record.set_target(target);
            record.set_body(body.into());
        });
    }

    fn flush(&self) {
        self.processor.flush(PATIENCE).expect("everything arrives");
    }
}

#[derive(Deserialize)]
struct Case {
    record: Record,
    expected: BTreeMap<String, Value>,
    attributes: BTreeMap<String, (String, Value)>,
    size: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    timestamp: Option<f64>,
    observed_timestamp: Option<f64>,
    trace_id: Option<String>,
    span_id: Option<String>,
    trace_flags: Option<u8>,
    severity_number: Option<u8>,
    severity_text: Option<String>,
    body: Option<Value>,
    attributes: Value,
    target: Option<String>,
    event_name: Option<String>,
    scope_name: String,
}

fn time(seconds: f64) -> SystemTime {
    let since = Duration::from_secs_f64(seconds.abs());
    if seconds < 0.0 { UNIX_EPOCH - since } else { UNIX_EPOCH + since }
}

/// A text that lives as long as the process, as the API requires.
fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn severity(number: u8) -> Severity {
    const ALL: [Severity; 24] = {
        use Severity::*;
        [
            Trace, Trace2, Trace3, Trace4, Debug, Debug2, Debug3, Debug4, Info, Info2, Info3, Info4, Warn, Warn2,
            Warn3, Warn4, Error, Error2, Error3, Error4, Fatal, Fatal2, Fatal3, Fatal4,
        ]
    };
    ALL[usize::from(number) - 1]
}

fn any(value: &Value) -> AnyValue {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| number.as_f64().expect("a number").into(), AnyValue::Int)
        }
        Value::String(text) => text.clone().into(),
        Value::Array(values) => values.iter().map(any).collect(),
        Value::Object(map) => match (map.get("bytes"), map.get("f64")) {
            (Some(bytes), _) => AnyValue::Bytes(Box::new(serde_json::from_value(bytes.clone()).expect("bytes"))),
            (_, Some(number)) => AnyValue::Double(number.as_str().expect("a text").parse().expect("a number")),
            _ => AnyValue::Map(Box::new(
                map.iter().map(|(key, value)| (Key::from(key.clone()), any(value))).collect::<HashMap<_, _>>(),
            )),
        },
        Value::Null => panic!("AnyValue has no null"),
    }
}

impl Record {
    fn fill(&self, record: &mut SdkLogRecord) {
        if let Some(seconds) = self.timestamp {
            record.set_timestamp(time(seconds));
        }
        if let Some(seconds) = self.observed_timestamp {
            record.set_observed_timestamp(time(seconds));
        }
        if let Some(trace_id) = &self.trace_id {
            let span_id = self.span_id.as_deref().map_or(SpanId::INVALID, |id| SpanId::from_hex(id).expect("an id"));
            let flags = self.trace_flags.map(TraceFlags::new);
            record.set_trace_context(TraceId::from_hex(trace_id).expect("an id"), span_id, flags);
        }
        self.severity_number.into_iter().for_each(|number| record.set_severity_number(severity(number)));
        self.severity_text.iter().for_each(|text| record.set_severity_text(leaked(text)));
        self.body.iter().for_each(|body| record.set_body(any(body)));
        self.target.iter().for_each(|target| record.set_target(target.clone()));
        self.event_name.iter().for_each(|name| record.set_event_name(leaked(name)));
        match &self.attributes {
            Value::Object(map) => map.iter().for_each(|(key, value)| record.add_attribute(key.clone(), any(value))),
            list => list.as_array().into_iter().flatten().for_each(|pair| {
                record.add_attribute(pair[0].as_str().expect("a key").to_owned(), any(&pair[1]));
            }),
        }
    }
}

/// The attributes that every log has.
fn defaults() -> BTreeMap<String, (String, Value)> {
    let texts = [
        ("sentry.origin", "auto.log.otel"),
        ("sentry.release", "shop@1.2.3"),
        ("sentry.environment", "e2e"),
        ("sentry.sdk.name", "sentry.rust.otel"),
        ("sentry.sdk.version", env!("CARGO_PKG_VERSION")),
        ("server.address", "host-1"),
    ];
    let texts = texts.map(|(key, value)| (key.to_owned(), ("string".to_owned(), json!(value))));
    let sequence = ("sentry.timestamp.sequence".to_owned(), ("integer".to_owned(), json!(0)));
    texts.into_iter().chain([sequence]).collect()
}

fn sender(builder: SentryExporterBuilder) -> SentryExporterBuilder {
    builder.with_release("shop@1.2.3").with_environment("e2e").with_server_name("host-1")
}

#[test]
fn a_record_becomes_the_item_of_the_wire_cases() {
    each("logs", |case: &Case| {
        let logs = Logs::start(sender);
        let logger = logs.provider.logger(case.record.scope_name.clone());
        let mut record = logger.create_log_record();
        case.record.fill(&mut record);
        logger.emit(record);
        logs.flush();

        let envelopes = logs.ingest.envelopes();
        assert_eq!(envelopes[0].trace(), None, "its logs are of several traces");
        let [log] = &logs.ingest.logs()[..] else { panic!("one log") };
        for (key, wanted) in &case.expected {
            match (key.as_str(), wanted) {
                ("trace_id", Value::Null) => assert_ne!(log.trace_id, ""),
                (key, wanted) => assert_eq!(&log.json[key], wanted, "{key}: found, wanted"),
            }
        }
        let mut wanted = defaults();
        wanted.extend(case.attributes.clone());
        let found = log.json["attributes"].as_object().unwrap().iter();
        let found: BTreeMap<_, _> = found
            .map(|(key, typed)| (key.clone(), (typed["type"].as_str().unwrap().to_owned(), typed["value"].clone())))
            .collect();
        assert_eq!(found, wanted);
    });
}

#[test]
fn what_is_dropped_counts_with_the_size_that_sentry_counts() {
    each("logs", |case: &Case| {
        let Some(size) = case.size else { return };
        // The cases have version 0.2.0.
        let size = size - "0.2.0".len() as u64 + env!("CARGO_PKG_VERSION").len() as u64;
        let logs = Logs::start(|builder| sender(builder).with_before_send_log(|_| None));
        let logger = logs.provider.logger(case.record.scope_name.clone());
        let mut record = logger.create_log_record();
        case.record.fill(&mut record);
        logger.emit(record);
        logs.flush();
        let dropped = logs.processor.stats().dropped[&DropReason::BeforeSend];
        assert_eq!((dropped.logs, dropped.log_bytes), (1, size));
    });
}

#[test]
fn later_processors_see_the_record_as_it_was() {
    #[derive(Debug, Default)]
    struct Last(std::sync::Arc<std::sync::Mutex<Vec<SdkLogRecord>>>);

    impl LogProcessor for Last {
        fn emit(&self, record: &mut SdkLogRecord, _: &opentelemetry::InstrumentationScope) {
            self.0.lock().unwrap().push(record.clone());
        }

        fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
            Ok(())
        }
    }

    let seen = Last::default();
    let records = std::sync::Arc::clone(&seen.0);
    let exporter = SentryExporter::builder().with_dsn("http://public@127.0.0.1:1/1").build().unwrap();
    let provider =
        SdkLoggerProvider::builder().with_log_processor(SentryLogProcessor::from(exporter)).with_log_processor(seen);
    let provider = provider.build();
    let logger = provider.logger("lib");
    let mut record = logger.create_log_record();
    record.set_observed_timestamp(time(1.0));
    record.set_body("hello".into());
    record.add_attribute("map", AnyValue::Map(Box::default()));
    let before = record.clone();
    logger.emit(record);
    assert_eq!(*records.lock().unwrap(), [before]);
}

#[test]
fn logs_outside_of_any_trace_have_the_trace_id_of_the_process_and_lines_of_a_millisecond_are_numbered() {
    let logs = Logs::start(|builder| builder);
    for (body, seconds) in [("first", 1.0), ("second", 1.0005), ("third", 1.002)] {
        logs.emit(|record| {
            record.set_timestamp(time(seconds));
            record.set_body(body.into());
        });
    }
    logs.flush();
    let all = logs.ingest.logs();
    let sequence: Vec<_> =
        all.iter().map(|log| (log.body.as_str(), &log.attributes["sentry.timestamp.sequence"])).collect();
    assert_eq!(sequence, [("first", &json!(0)), ("second", &json!(1)), ("third", &json!(0))]);
    assert!(all.iter().all(|log| log.trace_id == all[0].trace_id && log.span_id.is_none()));
}

#[test]
fn an_envelope_has_at_most_a_hundred_logs_and_eight_hundred_kilobytes() {
    let logs = Logs::start(|builder| builder.with_log_limit(10_000));
    for _ in 0..250 {
        logs.line(Severity::Info, "shop", "a line");
    }
    logs.flush();
    let sizes = |logs: &Logs| {
        let envelopes = logs.ingest.envelopes();
        let counts = envelopes.iter().map(|envelope| envelope.items()[0].headers()["item_count"].as_u64().unwrap());
        counts.collect::<Vec<_>>()
    };
    assert_eq!(sizes(&logs), [100, 100, 50]);

    logs.ingest.clear();
    for _ in 0..5 {
        logs.emit(|record| record.set_body("x".repeat(300_000).into()));
    }
    logs.flush();
    assert_eq!(sizes(&logs), [2, 2, 1]);
    for envelope in logs.ingest.envelopes() {
        assert!(envelope.items()[0].payload().len() <= 800_000);
    }
}

#[test]
fn a_record_of_any_size_is_sent_and_what_is_cut_is_counted() {
    let logs = Logs::start(|builder| builder);
    logs.emit(|record| {
        record.set_body("\u{1}".repeat(2_000_000).into());
        record.add_attribute("k", "é".repeat(1_000_000));
        record.add_attribute("after", 1);
    });
    logs.flush();
    let [log] = &logs.ingest.logs()[..] else { panic!("one log") };
    assert!(log.body.starts_with('\u{1}') && log.body.ends_with("..."));
    let stats = logs.processor.stats();
    assert!(stats.trimmed.values >= 2 && stats.trimmed.bytes > 2_000_000, "{:?}", stats.trimmed);
    assert_eq!((stats.logs_sent, stats.logs_dropped()), (1, 0));
}

#[test]
fn no_more_is_cut_than_the_limit_requires() {
    let logs = Logs::start(|builder| builder);
    let numbers = || AnyValue::ListAny(Box::new((0..9_000).map(|number| AnyValue::Int(i64::MAX - number)).collect()));
    logs.emit(|record| record.set_body("x".repeat(2_000_000).into()));
    logs.emit(|record| record.set_body("\u{1}".repeat(850_000).into()));
    logs.emit(|record| (0..5).for_each(|key| record.add_attribute(key.to_string(), "\"".repeat(150_000))));
    logs.emit(|record| (0..10).for_each(|key| record.add_attribute(key.to_string(), numbers())));
    logs.flush();
    let sizes: Vec<_> = logs.ingest.envelopes().iter().map(|envelope| envelope.items()[0].payload().len()).collect();
    assert_eq!(sizes.len(), 4);
    assert!(sizes.iter().all(|size| (600_000..=800_000).contains(size)), "{sizes:?}");
}

#[test]
fn what_is_cut_of_a_list_or_map_is_counted() {
    let map = |text: String| AnyValue::Map(Box::new(HashMap::from([(Key::from("k"), AnyValue::from(text))])));
    let deep = (0..40).fold(AnyValue::Int(1), |inner, _| AnyValue::ListAny(Box::new(vec![inner])));
    let long = || map("x".repeat(1_000_000));
    for (body, attribute, values) in [
        (map("short".to_owned()), AnyValue::from(1), 0),
        (long(), AnyValue::from(1), 1),
        (AnyValue::from("short"), long(), 1),
        (AnyValue::from("short"), AnyValue::Bytes(Box::new(vec![0xff; 2_000_000])), 1),
        (deep, AnyValue::from(1), 1),
    ] {
        let logs = Logs::start(|builder| builder);
        logs.emit(|record| {
            record.set_body(body.clone());
            record.add_attribute("k", attribute.clone());
        });
        logs.flush();
        let trimmed = logs.processor.stats().trimmed;
        assert!(trimmed.values >= values && (trimmed.values > 0) == (values > 0), "{trimmed:?}");
        let is_long = values > 0 && !matches!(body, AnyValue::ListAny(_));
        assert_eq!(trimmed.bytes > 100_000, is_long, "{trimmed:?}");
    }
}

#[test]
fn a_hook_changes_or_drops_a_log_and_its_panic_drops_it() {
    let logs = Logs::start(|builder| {
        builder.with_before_send_log(|mut log| {
            assert!(log.body != "panic", "as the test wants");
            log.body.push('!');
            log.level = if log.target() == "shop" { "fatal".to_owned() } else { "no level".to_owned() };
            log.attributes.insert("added".to_owned(), 1.into());
            (!log.body.contains("drop")).then_some(log)
        })
    });
    logs.line(Severity::Warn3, "shop", "kept");
    logs.line(Severity::Warn3, "lib", "same level");
    logs.line(Severity::Warn3, "shop", "drop me");
    logs.line(Severity::Warn3, "shop", "panic");
    let _ = logs.processor.flush(PATIENCE);
    let all = logs.ingest.logs();
    let found: Vec<_> = all.iter().map(|log| (log.body.as_str(), log.level.as_str(), log.severity_number)).collect();
    assert_eq!(found, [("kept!", "fatal", Some(21)), ("same level!", "warn", Some(15))]);
    assert_eq!(all[0].attributes["added"], 1);
    let stats = logs.processor.stats();
    assert_eq!(stats.dropped[&DropReason::BeforeSend].logs, 1);
    assert_eq!(stats.dropped[&DropReason::InternalSdkError].logs, 1);
    assert_eq!(stats.logs_received, stats.logs_sent + stats.logs_dropped());
}

#[test]
fn what_a_filter_leaves_out_is_not_made_and_not_counted() {
    let below = || LogFilter::new().with_level_below("info");
    let logs = Logs::start(|builder| {
        builder.with_ignore_logs([below(), below().with_target("hyper").with_level_below("error"), "sqlx".into()])
    });
    let is_enabled = |severity, target| logs.logger().event_enabled(severity, target, None);
    for (severity, target, expected) in [
        (Severity::Debug, "shop", false),
        (Severity::Info, "shop", true),
        (Severity::Warn, "hyper::client", false),
        (Severity::Error, "hyper::client", true),
        (Severity::Fatal, "sqlx::query", false),
        (Severity::Error, "opentelemetry_sdk", false),
        (Severity::Error, "opentelemetry-sentry-exporter", false),
        (Severity::Error, "opentelemetry_demo", true),
    ] {
        assert_eq!(is_enabled(severity, target), expected, "{severity:?} {target}");
        logs.line(severity, target, "x");
    }
    logs.flush();
    assert_eq!((logs.ingest.logs().len(), logs.processor.stats().logs_received), (3, 3));
}

#[test]
fn secrets_are_hidden_by_the_scrubber_of_spans() {
    let logs = Logs::start(|builder| builder.with_scrubber(|key, _| (key == "card").then(|| "[card]".into())));
    logs.emit(|record| {
        record.add_attribute("card", "4111");
        record.add_attribute("api-key", "k");
        record.add_attribute("items", 3);
    });
    logs.flush();
    let attributes = &logs.ingest.logs()[0].attributes;
    assert_eq!([&attributes["card"], &attributes["api-key"]], ["[card]", "[Filtered]"]);
    assert_eq!(attributes["items"], 3);
}

#[test]
fn after_the_shutdown_records_are_dropped_and_counted() {
    let logs = Logs::start(|builder| builder);
    logs.line(Severity::Info, "shop", "before");
    logs.processor.shutdown(PATIENCE).unwrap();
    logs.line(Severity::Info, "shop", "after");
    assert_eq!(logs.ingest.logs().len(), 1);
    let stats = logs.processor.stats();
    assert_eq!((stats.logs_received, stats.logs_sent, stats.dropped[&DropReason::Shutdown].logs), (2, 1, 1));
    assert_eq!(stats.logs_pending, 0);
}

#[test]
fn debug_output_shows_no_record_that_waits() {
    let logs = Logs::start(|exporter| exporter);
    logs.line(Severity::Info, "shop", "a line of a customer");
    let debug = format!("{:?}", logs.processor);
    assert!(!debug.contains("customer"), "{debug}");
}
