//! The wire cases of check-ins, each made of a span that has ended.

#[path = "support/case.rs"]
mod case;
mod support;

use std::collections::BTreeMap;

use opentelemetry::KeyValue;
use opentelemetry_sentry_exporter::DropReason;
use opentelemetry_sentry_vectors::{Joined, each};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    case::SpanCase,
    support::{Pipeline, span},
};

#[derive(Deserialize)]
struct Expected {
    /// By JSON pointer. `None` if the slug is refused.
    expected: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    invalid: u64,
}

#[test]
fn a_span_of_a_monitor_becomes_a_check_in() {
    let pipeline = Pipeline::start(|builder| builder);
    each("check_ins", |Joined(of_span, case): &Joined<SpanCase, Expected>| {
        let before = pipeline.exporter.stats();
        pipeline.send(vec![of_span.apply_to(span(pipeline.new_trace(), 1, 0))]);
        let after = pipeline.exporter.stats();
        assert_eq!(after.check_ins_received, before.check_ins_received + 1);
        assert_eq!(after.trimmed.values, before.trimmed.values + case.invalid);
        assert_eq!(pipeline.ingest.transactions().len(), 1, "it is a span beside");
        let check_ins = pipeline.ingest.check_ins();
        let Some(expected) = &case.expected else {
            assert_eq!((check_ins.len(), after.check_ins_dropped()), (0, before.check_ins_dropped() + 1));
            assert!(after.dropped[&DropReason::Invalid].check_ins > 0);
            return;
        };
        assert_eq!((check_ins.len(), after.check_ins_sent), (1, before.check_ins_sent + 1));
        for (pointer, value) in expected {
            assert_eq!(check_ins[0].json.pointer(pointer).unwrap_or(&Value::Null), value, "{pointer}");
        }
        assert_eq!(check_ins[0].trace_id, pipeline.ingest.transactions()[0]["contexts"]["trace"]["trace_id"]);
    });
}

#[test]
fn a_monitor_is_in_the_data_of_its_span() {
    let pipeline = Pipeline::start(|builder| builder);
    let mut span = span(pipeline.new_trace(), 1, 0);
    span.attributes = vec![KeyValue::new("sentry.monitor.slug", "nightly")];
    pipeline.send(vec![span]);
    assert_eq!(pipeline.ingest.transactions()[0]["contexts"]["trace"]["data"]["sentry.monitor.slug"], "nightly");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// The ingest refuses what Sentry would refuse or change.
    #[test]
    fn each_check_in_is_valid_or_refused_here(
        jobs in prop::collection::vec(prop::collection::vec((0..KEYS.len(), value()), 1..6), 1..60),
    ) {
        let pipeline = Pipeline::start(|builder| builder);
        let count = jobs.len() as u64;
        let job = |attributes: Vec<(usize, opentelemetry::Value)>| {
            let mut span = span(pipeline.new_trace(), 1, 0);
            let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(KEYS[key], value));
            span.attributes = attributes.chain([KeyValue::new(KEYS[0], "Some Slug")]).collect();
            span.attributes.rotate_right(1);
            span
        };
        pipeline.send(jobs.into_iter().map(job).collect());
        let stats = pipeline.exporter.stats();
        let refused = stats.dropped.get(&DropReason::Invalid).map_or(0, |dropped| dropped.check_ins);
        prop_assert_eq!((stats.check_ins_received, stats.check_ins_sent + refused), (count, count), "{}", stats);
    }
}

const KEYS: [&str; 10] = [
    "sentry.monitor.slug",
    "sentry.monitor.schedule",
    "sentry.monitor.schedule.type",
    "sentry.monitor.schedule.value",
    "sentry.monitor.schedule.unit",
    "sentry.monitor.checkin_margin",
    "sentry.monitor.max_runtime",
    "sentry.monitor.timezone",
    "sentry.monitor.failure_issue_threshold",
    "sentry.monitor.recovery_threshold",
];

/// A value that one of the keys takes, or any other.
fn value() -> impl Strategy<Value = opentelemetry::Value> {
    prop_oneof![
        "[*0-9/]{1,3}( [*0-9A-Z,]{1,3}){3,5}".prop_map(Into::into),
        "(crontab|interval|hours?|day|UTC|@daily|@never)".prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<bool>().prop_map(Into::into),
        ".{0,300}".prop_map(Into::into),
    ]
}
