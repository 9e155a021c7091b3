//! Whatever a log record contains, it becomes a log that Sentry accepts, and it counts with the size that Sentry counts.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    Key, SpanId, TraceFlags, TraceId,
    logs::{AnyValue, LogRecord as _, Logger, LoggerProvider, Severity},
};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sentry_exporter::{
    SentryExporter, SentryExporterBuilder, SentryLogProcessor, Stats, testing::LocalIngest,
};
use proptest::{
    collection::{hash_map, vec},
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use serde_json::Value;

/// How many batches of records are generated.
const CASES: u32 = 200;

/// Only a test that hangs waits this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

// ---- records -------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
struct Record {
    body: Option<AnyValue>,
    attributes: Vec<(String, AnyValue)>,
    severity: Option<Severity>,
    severity_text: &'static str,
    target: Option<String>,
    event_name: Option<&'static str>,
    times: [Option<SystemTime>; 2],
    /// Trace, span and flags.
    ids: Option<(u8, u8, Option<u8>)>,
}

fn any_record() -> impl Strategy<Value = Record> {
    let attribute = (any_key(), any_value());
    let content = (prop::option::weighted(0.9, any_value()), vec(attribute, 0..8), prop::option::of(any_text()));
    let severities = [Severity::Trace, Severity::Debug4, Severity::Info, Severity::Warn2, Severity::Fatal4];
    let severity = (prop::option::of(select(severities.to_vec())), select(&["", "WARNING", "no level"][..]));
    let names = select(&["order.placed", "event src/main.rs:68", "event \u{0}:", ""][..]);
    let ids = prop::option::of((0..2_u8, 0..2_u8, prop::option::of(0..2_u8)));
    let times = [prop::option::of(any_time()), prop::option::of(any_time())];
    (content, severity, prop::option::of(names), times, ids).prop_map(|(content, severity, event_name, times, ids)| {
        let (body, attributes, target) = content;
        let (severity, severity_text) = severity;
        Record { body, attributes, severity, severity_text, target, event_name, times, ids }
    })
}

fn any_key() -> impl Strategy<Value = String> {
    const KEYS: &[&str] = &[
        "k",
        "n",
        "code.lineno",
        "code.filename",
        "logger.name",
        "event.name",
        "server.address",
        "sentry.message.template",
        "sentry.message.parameter.0",
        "sentry.timestamp.sequence",
        "exception.message",
    ];
    prop_oneof![4 => select(KEYS).prop_map(str::to_owned), 1 => any_text()]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        150 => any::<String>(),
        150 => "[a-z \"\\\\\u{0}-\u{1f}é\u{2028}😀]{0,12}",
        1 => (1..1_200_000_usize).prop_map(|length| "x".repeat(length)),
        1 => (1..600_000_usize).prop_map(|length| "\u{1}é".repeat(length)),
    ]
}

fn any_time() -> impl Strategy<Value = SystemTime> {
    let after = any::<u64>().prop_map(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    let before = any::<u64>().prop_map(|seconds| UNIX_EPOCH.checked_sub(Duration::from_secs(seconds)));
    prop_oneof![4 => after, 1 => before].prop_map(|time| time.unwrap_or(UNIX_EPOCH))
}

/// Values of any kind, in lists and maps of any kind.
fn any_value() -> impl Strategy<Value = AnyValue> {
    let list = |values: Vec<AnyValue>| AnyValue::ListAny(Box::new(values));
    let of_one_kind = prop_oneof![
        20 => vec(any_text().prop_map(AnyValue::from), 0..4).prop_map(list),
        20 => vec(any::<i64>().prop_map(AnyValue::from), 0..4).prop_map(list),
        20 => vec(any::<bool>().prop_map(AnyValue::from), 0..4).prop_map(list),
        20 => vec(any_number(), 0..6).prop_map(list),
        1 => (9_998..10_003_i64).prop_map(move |count| list((0..count).map(AnyValue::from).collect())),
    ];
    let tree = any_leaf().prop_recursive(5, 32, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(list),
            hash_map(any_text().prop_map(Key::from), inner, 0..5).prop_map(|map| AnyValue::Map(Box::new(map))),
        ]
    });
    let deep = (any_leaf(), vec(any::<bool>(), 0..100)).prop_map(move |(leaf, levels)| {
        let map = |inner| AnyValue::Map(Box::new(HashMap::from([(Key::from("k"), inner)])));
        levels.into_iter().fold(leaf, |inner, is_map| if is_map { map(inner) } else { list(vec![inner]) })
    });
    prop_oneof![4 => any_leaf(), 2 => of_one_kind, 4 => tree, 1 => deep]
}

fn any_number() -> impl Strategy<Value = AnyValue> {
    prop_oneof![any::<i64>().prop_map(AnyValue::from), prop::num::f64::ANY.prop_map(AnyValue::from)]
}

fn any_leaf() -> impl Strategy<Value = AnyValue> {
    let bytes = prop_oneof![vec(any::<u8>(), 0..9), any_text().prop_map(String::into_bytes)];
    prop_oneof![
        any_text().prop_map(AnyValue::from),
        any_number(),
        any::<bool>().prop_map(AnyValue::from),
        bytes.prop_map(|bytes| AnyValue::Bytes(Box::new(bytes))),
        Just(AnyValue::from(f64::NAN)),
    ]
}

// ---- where they go -------------------------------------------------------------------------------

struct Pipeline {
    ingest: LocalIngest,
    processor: SentryLogProcessor,
    provider: SdkLoggerProvider,
}

impl Pipeline {
    fn start(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Self {
        let ingest = LocalIngest::start().expect("a free port");
        let builder = SentryExporter::builder().with_dsn(ingest.dsn()).with_release("shop@1.2.3");
        let processor = SentryLogProcessor::from(set_up(builder).build().expect("a valid setup"));
        let provider = SdkLoggerProvider::builder().with_log_processor(processor.clone()).build();
        Self { ingest, processor, provider }
    }

    fn emit(&self, record: &Record) {
        let logger = self.provider.logger("a scope");
        let mut log = logger.create_log_record();
        record.body.iter().for_each(|body| log.set_body(body.clone()));
        record.attributes.iter().for_each(|(key, value)| log.add_attribute(key.clone(), value.clone()));
        record.severity.iter().for_each(|severity| log.set_severity_number(*severity));
        log.set_severity_text(record.severity_text);
        record.target.iter().for_each(|target| log.set_target(target.clone()));
        record.event_name.iter().for_each(|name| log.set_event_name(name));
        record.times[0].iter().for_each(|time| log.set_timestamp(*time));
        record.times[1].iter().for_each(|time| log.set_observed_timestamp(*time));
        if let Some((trace, span, flags)) = record.ids {
            let flags = flags.map(TraceFlags::new);
            log.set_trace_context(TraceId::from_bytes([trace; 16]), SpanId::from_bytes([span; 8]), flags);
        }
        logger.emit(log);
    }

    /// Emits records, and returns the logs that arrive.
    fn send(&self, records: &[Record]) -> Vec<Value> {
        self.ingest.clear();
        records.iter().for_each(|record| self.emit(record));
        // It fails where a log was dropped, which is for the caller to judge.
        let _ = self.processor.flush(PATIENCE);
        self.ingest.logs().into_iter().map(|log| log.json).collect()
    }
}

fn log_bytes(stats: &Stats) -> u64 {
    stats.dropped.values().map(|dropped| dropped.log_bytes).sum()
}

/// The size of a log by Sentry's rule, from what was sent.
fn size(log: &Value) -> u64 {
    fn of(value: &Value) -> usize {
        match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Number(_) => 8,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(of).sum(),
            Value::Object(_) => panic!("no attribute is a map"),
        }
    }
    let attributes = log["attributes"].as_object().expect("attributes").iter();
    let attributes: usize = attributes.map(|(key, typed)| key.len() + of(&typed["value"])).sum();
    (of(&log["body"]) + attributes).max(1) as u64
}

/// Whether the value becomes a text of JSON.
fn is_nested(value: &AnyValue) -> bool {
    let is_scalar = |value: &AnyValue| !matches!(value, AnyValue::ListAny(_) | AnyValue::Map(_) | AnyValue::Bytes(_));
    match value {
        AnyValue::Map(_) => true,
        AnyValue::ListAny(values) => !values.iter().all(is_scalar),
        _ => false,
    }
}

fn run<S: Strategy>(strategy: &S, holds: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases: CASES, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(strategy, holds).unwrap_or_else(|error| panic!("{error}"));
}

// ---- laws ----------------------------------------------------------------------------------------

#[test]
fn any_record_becomes_a_log_that_sentry_accepts() {
    let pipeline = Pipeline::start(|builder| builder);
    run(&vec(any_record(), 1..5), |records| {
        let before = pipeline.processor.stats();
        let logs = pipeline.send(&records);
        let requests = pipeline.ingest.requests();
        let refusals: Vec<_> = requests.iter().filter_map(|request| request.refusal()).collect();
        prop_assert!(refusals.is_empty(), "{:?}", refusals);
        let stats = pipeline.processor.stats();
        prop_assert_eq!(logs.len(), records.len(), "{}", stats);
        prop_assert_eq!(stats.logs_received, before.logs_received + records.len() as u64, "{}", stats);
        prop_assert_eq!((stats.logs_received, stats.logs_dropped()), (stats.logs_sent, 0), "{}", stats);
        for envelope in pipeline.ingest.envelopes() {
            for item in envelope.items().iter().filter(|item| item.item_type() == "log") {
                prop_assert!(item.payload().len() <= 800_000, "{}", item.payload().len());
            }
        }
        Ok(())
    });
}

#[test]
fn a_list_or_map_is_complete_json_unless_it_is_cut() {
    let (pipeline, complete) = (Pipeline::start(|builder| builder), AtomicU64::new(0));
    run(&(any_value(), any_value()), |(body, value)| {
        let before = pipeline.processor.stats().trimmed;
        let nested = [is_nested(&body), is_nested(&value)];
        let attributes = vec![("k".to_owned(), value)];
        let record = Record { body: Some(body), attributes, ..Record::empty() };
        let [log] = &pipeline.send(&[record])[..] else { panic!("one log") };
        if pipeline.processor.stats().trimmed != before {
            return Ok(());
        }
        for (is_nested, text) in nested.into_iter().zip([&log["body"], &log["attributes"]["k"]["value"]]) {
            let json = text.as_str().map(serde_json::from_str::<Value>);
            prop_assert!(!is_nested || matches!(json, Some(Ok(_))), "{}", text);
            complete.fetch_add(u64::from(is_nested), Ordering::Relaxed);
        }
        Ok(())
    });
    assert!(complete.into_inner() > u64::from(CASES) / 4, "most values are not cut");
}

/// The size of what arrives, of what a hook drops, and of what comes after the shutdown is the same.
#[test]
fn what_is_dropped_has_the_size_of_what_would_have_arrived() {
    let sent = Pipeline::start(|builder| builder);
    let dropped = Pipeline::start(|builder| builder.with_before_send_log(|_| None));
    let late = Pipeline::start(|builder| builder);
    late.processor.shutdown(PATIENCE).expect("nothing waits");
    let compared = AtomicU64::new(0);
    run(&any_record(), |record| {
        let trimmed = sent.processor.stats().trimmed;
        let [log] = &sent.send(std::slice::from_ref(&record))[..] else { panic!("one log") };
        if sent.processor.stats().trimmed != trimmed {
            return Ok(());
        }
        let before = [&dropped, &late].map(|pipeline| log_bytes(&pipeline.processor.stats()));
        dropped.send(std::slice::from_ref(&record));
        late.emit(&record);
        let after = [&dropped, &late].map(|pipeline| log_bytes(&pipeline.processor.stats()));
        prop_assert_eq!(after[0] - before[0], size(log), "a hook, {}", log);
        if record.is_counted_on_its_thread() {
            prop_assert_eq!(after[1] - before[1], size(log), "after the shutdown, {}", log);
        }
        compared.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    assert!(compared.into_inner() > u64::from(CASES) / 2, "most records are not cut");
    let stats = dropped.processor.stats();
    let _ = dropped.processor.shutdown(PATIENCE);
    assert_eq!(log_bytes(&stats), log_bytes(&dropped.processor.stats()));
}

impl Record {
    const fn empty() -> Self {
        Self {
            body: None,
            attributes: Vec::new(),
            severity: None,
            severity_text: "",
            target: None,
            event_name: None,
            times: [None; 2],
            ids: None,
        }
    }

    /// Whether the thread that emits it can count it exactly: it has no attributes that replace others.
    fn is_counted_on_its_thread(&self) -> bool {
        let keys: Vec<_> = self.attributes.iter().map(|(key, _)| key.as_str()).collect();
        let is_alone = |key: &str| keys.iter().filter(|other| **other == key).count() == 1;
        let replaces =
            |key: &str| ["code.", "sentry.", "server.", "event.", "logger."].iter().any(|name| key.starts_with(name));
        keys.iter().all(|key| is_alone(key) && !replaces(key))
    }
}
