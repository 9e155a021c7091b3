//! Names, units and attributes.

use std::collections::BTreeMap;

use opentelemetry::{Array, InstrumentationScope, KeyValue, Value, metrics::MeterProvider};
use opentelemetry_sentry_exporter::{FlushError, testing::Metric};
use proptest::{collection::vec, prelude::*};

use crate::{Metrics, PATIENCE, is_balanced};

fn any_unit() -> impl Strategy<Value = String> {
    let prefix =
        prop::sample::select(vec!["", "n", "u", "m", "k", "K", "Ki", "M", "Mi", "G", "Gi", "T", "Ti", "E", "Z"]);
    let unit =
        prop::sample::select(vec!["s", "By", "bit", "byte", "Hz", "%", "1", "{item}", "item", "second", "h", "wk"]);
    prop_oneof![
        (prefix, unit).prop_map(|(prefix, unit)| format!("{prefix}{unit}")),
        ".{0,80}",
        prop::sample::select(vec!["none", "unit", "percent", "ratio", "kibibyte", "ms", "d", "min"])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn no_unit_is_sent_that_sentry_does_not_know(units in vec((any_unit(), any_unit()), 1..100), is_hooked: bool) {
        let of_hook: Vec<_> = units.iter().map(|(_, unit)| unit.clone()).collect();
        let metrics = Metrics::start(|exporter| if is_hooked {
            exporter.with_before_send_metric(move |mut metric| {
                metric.unit = of_hook.get(metric.value as usize).cloned();
                Some(metric)
            })
        } else {
            exporter
        });
        for (place, (unit, _)) in units.iter().enumerate() {
            let name = format!("m{place}");
            metrics.meter().u64_gauge(name).with_unit(unit.clone()).build().record(place as u64, &[]);
        }
        prop_assert_eq!(metrics.flush().len(), units.len());
        for Metric { unit, json, .. } in metrics.ingest.metrics() {
            let unit = unit.map(serde_json::Value::from);
            prop_assert_eq!(json.get("unit"), unit.as_ref());
        }
    }
}

#[test]
fn names_units_and_scopes_of_any_size_make_valid_metrics() {
    let metrics = Metrics::start(|exporter| exporter);
    let large = |text: &str| text.repeat((10 << 20) / text.len());
    let texts = ["\0".to_owned(), "😀".to_owned(), large("n"), large("é"), large("a-"), "a\n\"b\\".to_owned()];
    for (place, text) in texts.iter().enumerate() {
        let scope = InstrumentationScope::builder(text.clone()).with_version(text.clone()).build();
        let meter = metrics.provider.meter_with_scope(scope);
        let counter = meter.u64_counter(text.clone()).with_unit(text.clone()).with_description(text.clone()).build();
        counter.add(place as u64 + 1, &[]);
        // Where the limit cuts the difference off, it is the same instrument.
        meter.u64_counter(text.clone() + "\0").with_unit(text.clone()).build().add(place as u64 + 1, &[]);
    }
    let sent = metrics.flush();
    let expected = [("_", 6.0), ("a_b_", 12.0), (&"n".repeat(255), 6.0), (&"a_".repeat(128)[..255], 10.0)];
    let sums: BTreeMap<_, f64> = sent.iter().map(|(name, values)| (&name[..], values.iter().sum())).collect();
    assert_eq!(sums["_"], 2.0 * (1.0 + 2.0 + 4.0), "NUL, emoji and letters beyond ASCII");
    for (name, sum) in &expected[1..] {
        assert_eq!(sums.get(name), Some(sum), "{name}");
    }
    assert_eq!(sent[&"n".repeat(255)].len(), 1);
    for blank in ["", " ", "\t\n", "\u{3000}"] {
        metrics.meter().u64_counter(blank).build().add(1, &[]);
        metrics.meter().u64_observable_gauge(blank).with_callback(|observer| observer.observe(1, &[])).build();
    }
    assert_eq!(metrics.provider.flush(PATIENCE), Err(FlushError::MetricsUndelivered { metrics: 4 }));
    assert!(is_balanced(&metrics.provider.stats()));
}

#[test]
fn attributes_of_any_type_and_size_make_valid_metrics() {
    let metrics = Metrics::start(|exporter| exporter);
    let large = "x".repeat(1 << 20);
    let values: Vec<Value> = vec![
        true.into(),
        i64::MIN.into(),
        f64::NAN.into(),
        f64::INFINITY.into(),
        (-0.0).into(),
        "".into(),
        "\0\n\"😀".into(),
        large.clone().into(),
        Value::Array(Array::Bool(vec![true; 100_000])),
        Value::Array(Array::I64(vec![i64::MAX; 100_000])),
        Value::Array(Array::F64(vec![f64::NAN, f64::NEG_INFINITY, 1.5])),
        Value::Array(Array::F64(Vec::new())),
        Value::Array(Array::String(vec!["".into(), large.clone().into()])),
    ];
    let keys = ["", "\0", "😀", "sentry.release", "otel.metric.overflow", &large];
    let (counter, histogram) =
        (metrics.meter().u64_counter("counter").build(), metrics.meter().u64_histogram("histogram").build());
    let mut measured = 0;
    for value in &values {
        for key in keys {
            let attributes = [KeyValue::new(key.to_owned(), value.clone()), KeyValue::new("n", measured)];
            (0..2).for_each(|_| counter.add(1, &attributes));
            histogram.record(1, &attributes);
            measured += 1;
        }
    }
    // All of them at a time, in two orders.
    let all: Vec<_> = (0..1000).map(|n| KeyValue::new(format!("key {n}"), values[n % 7].clone())).collect();
    counter.add(1, &all);
    counter.add(1, &all.iter().rev().cloned().collect::<Vec<_>>());
    let sent = metrics.flush();
    assert_eq!(sent["counter"].iter().sum::<f64>(), 2.0 * measured as f64 + 2.0);
    assert_eq!(sent["histogram"].len(), measured as usize);
    assert!(sent["counter"].contains(&2.0) && is_balanced(&metrics.provider.stats()));
}
