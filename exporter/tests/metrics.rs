//! What measurements become, from a meter to an ingest.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value as Attribute,
    metrics::{AsyncInstrument, Meter, MeterProvider},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    metrics::{InMemoryMetricExporter, SdkMeterProvider},
};
use opentelemetry_sentry_exporter::{
    DropReason, FlushError, SentryExporter, SentryExporterBuilder, SentryMeterProvider, SentryMetricExporter,
    testing::{LocalIngest, Metric},
};
use opentelemetry_sentry_vectors::each;
use serde::Deserialize;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// A meter provider whose metrics go to an ingest.
struct Metrics {
    ingest: LocalIngest,
    provider: SentryMeterProvider,
}

impl Metrics {
    fn start(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Self {
        let ingest = LocalIngest::start().expect("a free port");
        let exporter = set_up(SentryExporter::builder().with_dsn(ingest.dsn())).build().expect("a valid setup");
        Self { ingest, provider: SentryMeterProvider::from(exporter) }
    }

    fn meter(&self) -> Meter {
        self.provider.meter("")
    }

    fn flush(&self) -> Vec<Metric> {
        self.provider.flush(PATIENCE).expect("everything arrives");
        self.ingest.metrics()
    }
}

#[derive(Deserialize)]
struct Case {
    instrument: String,
    of: String,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    scope: Option<(String, String)>,
    records: Vec<(Value, Vec<(String, Value)>)>,
    #[serde(default)]
    span: Option<Span>,
    expected: Vec<Item>,
    #[serde(default)]
    size: Option<u64>,
}

#[derive(Deserialize)]
struct Span {
    trace_id: String,
    span_id: String,
    sampled: bool,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    r#type: String,
    value: Value,
    unit: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
    attributes: BTreeMap<String, (String, Value)>,
}

fn attribute(value: &Value) -> Attribute {
    match value {
        Value::String(text) => text.clone().into(),
        Value::Bool(flag) => (*flag).into(),
        value => value.as_i64().map_or_else(|| value.as_f64().expect("a value").into(), Attribute::I64),
    }
}

/// Observes all records.
fn observe<T: Clone + Send + Sync + 'static>(
    records: Vec<(T, Vec<KeyValue>)>,
) -> impl Fn(&dyn AsyncInstrument<T>) + Send + Sync {
    move |observer| records.iter().for_each(|(value, attributes)| observer.observe(value.clone(), attributes))
}

impl Case {
    /// The records with numbers of this type.
    fn records<T>(&self, number: impl Fn(&Value) -> Option<T>) -> Vec<(T, Vec<KeyValue>)> {
        let attributes = |pairs: &[(String, Value)]| {
            pairs.iter().map(|(key, value)| KeyValue::new(key.clone(), attribute(value))).collect()
        };
        let record = |(value, pairs): &(Value, Vec<(String, Value)>)| {
            (number(value).expect("a number of this type"), attributes(pairs))
        };
        self.records.iter().map(record).collect()
    }

    fn measure(&self, meter: &Meter) {
        let (name, unit) = (self.of.clone(), self.unit.clone().unwrap_or_default());
        /// Measures with an instrument, or registers one that observes.
        macro_rules! measure {
            ($($method:ident, $number:ident, $record:tt;)*) => {
                match &self.instrument[..] {
                    $(stringify!($method) => {
                        let records = self.records(|value| value.$number());
                        measure!(@ meter.$method(name).with_unit(unit), records, $record);
                    })*
                    other => panic!("unknown instrument {other}"),
                }
            };
            (@ $builder:expr, $records:ident, observe) => {{
                $builder.with_callback(observe($records)).build();
            }};
            (@ $builder:expr, $records:ident, $record:ident) => {{
                let instrument = $builder.build();
                $records.iter().for_each(|(value, attributes)| instrument.$record(*value, attributes));
            }};
        }
        measure! {
            u64_counter, as_u64, add;
            f64_counter, as_f64, add;
            i64_up_down_counter, as_i64, add;
            f64_up_down_counter, as_f64, add;
            u64_gauge, as_u64, record;
            i64_gauge, as_i64, record;
            f64_gauge, as_f64, record;
            u64_histogram, as_u64, record;
            f64_histogram, as_f64, record;
            u64_observable_counter, as_u64, observe;
            f64_observable_counter, as_f64, observe;
            i64_observable_up_down_counter, as_i64, observe;
            f64_observable_up_down_counter, as_f64, observe;
            u64_observable_gauge, as_u64, observe;
            i64_observable_gauge, as_i64, observe;
            f64_observable_gauge, as_f64, observe;
        }
    }

    fn run(&self, metrics: &Metrics) {
        let scope = self.scope.clone().unwrap_or_default();
        let scope = InstrumentationScope::builder(scope.0).with_version(scope.1).build();
        let meter = metrics.provider.meter_with_scope(scope);
        let span = self.span.as_ref().map(|span| {
            let flags = if span.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
            let trace_id = TraceId::from_hex(&span.trace_id).expect("an id");
            SpanContext::new(
                trace_id,
                SpanId::from_hex(&span.span_id).expect("an id"),
                flags,
                false,
                Default::default(),
            )
        });
        let context = span.map_or_else(Context::new, |span| Context::new().with_remote_span_context(span));
        let _guard = context.attach();
        self.measure(&meter);
    }
}

/// The sequence, without which items of different milliseconds are alike.
const SEQUENCE: &str = "sentry.timestamp.sequence";

fn expected(case: &Case, process: &str) -> Vec<Value> {
    let defaults = [
        ("sentry.release", "shop@1.2.3"),
        ("sentry.environment", "e2e"),
        ("sentry.sdk.name", "sentry.rust.otel"),
        ("sentry.sdk.version", env!("CARGO_PKG_VERSION")),
        ("server.address", "host-1"),
    ];
    let defaults = || defaults.map(|(key, value)| (key.to_owned(), ("string".to_owned(), value.into())));
    let item = |item: &Item| {
        let mut attributes = BTreeMap::from(defaults());
        attributes.extend(item.attributes.clone());
        attributes.remove(SEQUENCE);
        let typed = |(key, (word, value))| (key, serde_json::json!({ "type": word, "value": value }));
        let attributes: BTreeMap<_, _> = attributes.into_iter().map(typed).collect();
        let mut json = serde_json::json!({
            "name": item.name,
            "type": item.r#type,
            "value": item.value,
            "trace_id": item.trace_id.as_deref().unwrap_or(process),
            "attributes": attributes,
        });
        for (key, value) in [("unit", &item.unit), ("span_id", &item.span_id)] {
            if let Some(value) = value {
                json[key] = value.clone().into();
            }
        }
        json
    };
    case.expected.iter().map(item).collect()
}

fn set_up(exporter: SentryExporterBuilder) -> SentryExporterBuilder {
    exporter.with_release("shop@1.2.3").with_environment("e2e").with_server_name("host-1")
}

#[test]
fn measurements_become_items() {
    each("metrics", |case: &Case| {
        let metrics = Metrics::start(set_up);
        // Outside of any trace: the trace of the process.
        metrics.meter().u64_counter("process").build().add(1, &[]);
        case.run(&metrics);
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut sent: Vec<_> = metrics.flush().into_iter().map(|metric| metric.json).collect();
        sent.sort_by_key(|item| item["name"] != "process");
        let process = sent.remove(0)["trace_id"].as_str().expect("an id").to_owned();
        for item in &mut sent {
            let time = item.as_object_mut().expect("an item").remove("timestamp").and_then(|time| time.as_f64());
            assert!(time.is_some_and(|time| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(time) > before));
            let sequence = item["attributes"].as_object_mut().expect("attributes").remove(SEQUENCE);
            assert!(sequence.is_some_and(|sequence| sequence["type"] == "integer"));
        }
        // The series of an instrument have no order.
        let value = |item: &Value| item["attributes"].to_string() + &item["value"].to_string();
        let mut wanted = expected(case, &process);
        wanted.sort_by_key(value);
        sent.sort_by_key(value);
        assert_eq!(sent, wanted);
    });
}

#[test]
fn items_have_the_size_that_sentry_counts() {
    each("metrics", |case: &Case| {
        let Some(size) = case.size else { return };
        let metrics = Metrics::start(|exporter| set_up(exporter).with_before_send_metric(|_| None));
        case.run(&metrics);
        assert_eq!(metrics.provider.flush(PATIENCE), Ok(()));
        // The case has the size under another version of this crate.
        let version = env!("CARGO_PKG_VERSION").len() as u64 - "0.2.0".len() as u64;
        assert_eq!(metrics.provider.stats().dropped[&DropReason::BeforeSend].metric_bytes, size + version);
    });
}

#[test]
fn a_bound_instrument_measures_as_its_instrument_does() {
    let metrics = Metrics::start(|exporter| exporter);
    let attributes = [KeyValue::new("a", 1)];
    let (counter, histogram) =
        (metrics.meter().u64_counter("orders").build(), metrics.meter().f64_histogram("latency").build());
    counter.add(1, &attributes);
    counter.bind(&attributes).add(2);
    histogram.bind(&[]).record(1.5);
    metrics.flush();
    assert_eq!((metrics.ingest.metric("orders").value, metrics.ingest.metric("latency").value), (3.0, 1.5));
}

#[test]
fn another_provider_gets_every_measurement_too() {
    let inner = InMemoryMetricExporter::default();
    let sdk = SdkMeterProvider::builder().with_periodic_exporter(inner.clone()).build();
    let Metrics { ingest, provider } = Metrics::start(|exporter| exporter.with_ignore_metrics(["ignored"]));
    for provider in [provider.clone().with_inner(sdk.clone()), SentryMeterProvider::disabled().with_inner(sdk.clone())]
    {
        let meter = provider.meter("shop");
        let orders = meter.u64_counter("orders").with_unit("{order}").with_description("Orders.").build();
        orders.add(2, &[KeyValue::new("a", 1)]);
        orders.bind(&[KeyValue::new("a", 1)]).add(1);
        meter.f64_histogram("latency").with_boundaries(vec![1.0]).build().record(2.5, &[]);
        meter.u64_counter("ignored").build().add(1, &[]);
        meter.u64_observable_gauge("level").with_callback(|observer| observer.observe(7, &[])).build();
    }
    sdk.force_flush().expect("a flush");
    provider.flush(PATIENCE).expect("a flush");
    assert_eq!((ingest.metric("orders").value, ingest.metric("level").value, ingest.metrics().len()), (3.0, 7.0, 3));
    let text = format!("{:?}", inner.get_finished_metrics().expect("metrics"));
    for part in ["orders", "Orders.", "{order}", "latency", "bounds: [1.0]", "ignored", "level"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("value: 6"), "from both providers: {text}");
}

#[test]
fn instruments_outlive_their_provider_and_count_what_is_lost() {
    let metrics = Metrics::start(|exporter| exporter);
    let orders = metrics.meter().u64_counter("orders").build();
    let engine = metrics.provider.clone();
    metrics.provider.shutdown(PATIENCE).expect("a shutdown");
    orders.add(1, &[]);
    metrics.meter().u64_counter("later").build().add(1, &[]);
    assert_eq!(engine.stats().dropped[&DropReason::Shutdown].metrics, 2);
    assert_eq!(engine.flush(PATIENCE), Err(FlushError::AlreadyShutdown));
}

#[test]
fn without_a_dsn_nothing_happens() {
    let provider = SentryMeterProvider::from(SentryExporter::builder().with_dsn("").build().expect("a valid setup"));
    provider.meter("").u64_counter("orders").build().add(1, &[]);
    assert_eq!((provider.flush(PATIENCE), provider.stats().metrics_received), (Ok(()), 0));
}

#[test]
fn large_collections_leave_in_envelopes_of_a_thousand() {
    let metrics = Metrics::start(|exporter| exporter);
    let orders = metrics.meter().u64_counter("orders").build();
    (0..1500).for_each(|number| orders.add(1, &[KeyValue::new("number", number)]));
    assert_eq!(metrics.flush().len(), 1500);
    let counts: Vec<_> =
        metrics.ingest.envelopes().iter().map(|one| one.items()[0].headers()["item_count"].clone()).collect();
    assert_eq!(counts, [1000, 500]);
}

#[test]
fn a_million_series_and_values_take_no_more_than_the_limits() {
    let metrics = Metrics::start(|exporter| exporter);
    let (counter, histogram) =
        (metrics.meter().u64_counter("orders").build(), metrics.meter().u64_histogram("latency").build());
    for number in 0..1_000_000_u64 {
        counter.add(1, &[KeyValue::new("number", number as i64)]);
        histogram.record(number, &[]);
    }
    let sent = metrics.flush();
    let of = |name: &str| sent.iter().filter(|one| one.name == name).map(|one| one.value).collect::<Vec<_>>();
    let (orders, values) = (of("orders"), of("latency"));
    let rate = sent.iter().find_map(|one| one.attributes.get("sentry.client_sample_rate")?.as_f64()).expect("a rate");
    if (orders.len(), values.len()) == (2001, 100) {
        assert_eq!(orders.iter().sum::<f64>(), 1e6);
        assert!((rate - 1e-4).abs() < 1e-12, "{rate}");
    } else {
        // A slow machine: a collection came in between. The values of each stand for all its values.
        assert_eq!(orders.iter().sum::<f64>(), 1e6);
    }
}

#[test]
fn callbacks_measure_and_make_instruments_without_a_deadlock() {
    let metrics = Metrics::start(|exporter| exporter);
    let (meter, calls) = (metrics.meter(), Arc::new(AtomicU64::new(0)));
    let (inner, seen) = (meter.clone(), Arc::clone(&calls));
    let callback = move |observer: &dyn AsyncInstrument<u64>| {
        seen.fetch_add(1, Ordering::Relaxed);
        observer.observe(1, &[]);
        inner.u64_observable_gauge("made").with_callback(|observer| observer.observe(2, &[])).build();
        // On the exporter's thread: it could be the HTTP client.
        inner.u64_counter("own").build().add(1, &[]);
    };
    meter.u64_observable_gauge("level").with_callback(callback).build();
    metrics.flush();
    metrics.flush();
    assert!(calls.load(Ordering::Relaxed) >= 2);
    let names: std::collections::BTreeSet<_> = metrics.ingest.metrics().into_iter().map(|one| one.name).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["level", "made"]);
}

#[test]
fn many_threads_lose_nothing() {
    let metrics = Metrics::start(|exporter| exporter);
    let orders = metrics.meter().f64_counter("orders").build();
    thread::scope(|scope| {
        for thread in 0..4 {
            let orders = &orders;
            scope.spawn(move || {
                (0..10_000).for_each(|number| orders.add(0.5, &[KeyValue::new("series", (number + thread) % 3)]));
            });
        }
    });
    assert_eq!(metrics.flush().iter().map(|metric| metric.value).sum::<f64>(), 20_000.0);
}

#[test]
fn what_the_sdk_has_collected_is_exact_but_for_the_values_of_histograms() {
    let ingest = LocalIngest::start().expect("a free port");
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).with_ignore_metrics(["ignored"]);
    let exporter = exporter.build().expect("a valid setup");
    // A flush of the SDK's provider hands over what it has collected.
    let ours = SentryMeterProvider::from(&exporter);
    let resource = Resource::builder_empty().with_service_name("shop").build();
    let provider = SdkMeterProvider::builder().with_resource(resource);
    let provider = provider.with_periodic_exporter(SentryMetricExporter::from(exporter)).build();
    let meter = provider.meter("shop");
    let (orders, depth) = (meter.u64_counter("orders").build(), meter.i64_up_down_counter("depth").build());
    let latency = meter.f64_histogram("latency").with_unit("ms").build();
    meter.u64_counter("ignored").build().add(1, &[]);
    for _ in 0..2 {
        ingest.clear();
        orders.add(5, &[KeyValue::new("a", 1)]);
        depth.add(3, &[]);
        [50.0, 51.0, 76.0].into_iter().for_each(|value| latency.record(value, &[]));
        provider.force_flush().expect("a flush");
        ours.flush(PATIENCE).expect("everything arrives");
        let orders = ingest.metric("orders");
        assert_eq!((orders.value, &orders.metric_type[..], &orders.attributes["a"]), (5.0, "counter", &1.into()));
        assert_eq!(
            (&orders.attributes["service.name"], &orders.attributes["otel.scope.name"]),
            (&"shop".into(), &"shop".into())
        );
        let summary = |part: &str| {
            let Metric { metric_type, value, unit, .. } = ingest.metric(&format!("latency.{part}"));
            (metric_type, value, unit)
        };
        let (counter, gauge, unit) = ("counter".to_owned(), "gauge".to_owned(), Some("millisecond".to_owned()));
        assert_eq!(summary("count"), (counter.clone(), 3.0, None));
        assert_eq!(summary("sum"), (counter, 177.0, unit.clone()));
        assert_eq!(summary("min"), (gauge.clone(), 50.0, unit.clone()));
        assert_eq!(summary("max"), (gauge.clone(), 76.0, unit.clone()));
        assert_eq!(summary("avg"), (gauge, 59.0, unit));
        assert_eq!(ingest.metrics().len(), 7);
    }
    assert_eq!((ingest.metric("depth").value, &ingest.metric("depth").metric_type[..]), (6.0, "gauge"));
    provider.shutdown().expect("a shutdown");
    let stats = ours.stats();
    assert_eq!((stats.metrics_received, stats.metrics_dropped()), (stats.metrics_sent, 0));
}
