//! Baggage that passes through a service, for generated headers and changes.

use std::collections::{BTreeMap, HashMap};

use opentelemetry::{Context, KeyValue, baggage::BaggageExt, propagation::TextMapPropagator};
use opentelemetry_sentry_propagator::SentryPropagator;
use proptest::{collection::btree_map, prelude::*, sample::subsequence};

proptest! {
    #[test]
    fn baggage_that_the_application_leaves_alone_goes_out_as_it_came_in(
        members in subsequence(vec!["a=1", "%61=2;p", "b=%41;q=1 ; r", "%62=A", "c=%c3%a9", "d=", "e=%"], 0..=7).prop_shuffle(),
    ) {
        prop_assert_eq!(inject(&extract(&members.join(" ,"))), members.join(","));
    }

    #[test]
    fn entries_of_the_application_replace_what_came_in(
        came_in in "((a|b|%61|c|%63|sentry-x)=(1|%41|2)(;p|;q=1)?,){0,6}",
        own in btree_map("[abd]|sentry-x", "[12A,é]", 0..4),
    ) {
        let cx = extract(&came_in);
        let both = entries(&cx).into_iter().chain(own.clone());
        let sent = inject(&cx.with_baggage(own.into_iter().map(|(key, value)| KeyValue::new(key, value))));
        let expected: BTreeMap<_, _> = both.filter(|(key, _)| !key.starts_with("sentry-")).collect();
        prop_assert_eq!(entries(&extract(&sent)), expected, "{}", sent);
    }
}

fn extract(baggage: &str) -> Context {
    let headers = HashMap::from([("baggage".to_owned(), baggage.to_owned())]);
    SentryPropagator::new().extract_with_context(&Context::new(), &headers)
}

/// The `baggage` that goes out; empty if none does.
fn inject(cx: &Context) -> String {
    let mut headers = HashMap::new();
    SentryPropagator::new().inject_context(cx, &mut headers);
    headers.remove("baggage").unwrap_or_default()
}

fn entries(cx: &Context) -> BTreeMap<String, String> {
    cx.baggage().iter().map(|(key, (value, _))| (key.to_string(), value.to_string())).collect()
}
