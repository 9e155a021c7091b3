//! What has arrived at Sentry.

use std::collections::BTreeMap;

use opentelemetry_sentry_testing::{Captured, LocalIngest, Span, Transaction};
use serde_json::{Map, Value};
use tokio::task::block_in_place;

use crate::PATIENCE;

/// Waits until this returns something for what has arrived.
pub(crate) fn wait_for<T>(
    ingest: &LocalIngest,
    what: &str,
    find: impl Fn(&Captured) -> Option<T>,
) -> Result<T, String> {
    let waited = block_in_place(|| ingest.wait_until(PATIENCE, |_| find(&ingest.captured()).is_some()));
    let missing = || {
        let names: Vec<_> =
            ingest.captured().transactions.iter().map(|one| format!("{} {}", from(one), one.name)).collect();
        format!("missing: {what}. There are {names:?}, and as refused {:?}", refusals(ingest))
    };
    waited.ok().and_then(|_| find(&ingest.captured())).ok_or_else(missing)
}

/// The requests that the ingest has refused: Sentry would refuse them, too.
pub(crate) fn refusals(ingest: &LocalIngest) -> Vec<String> {
    ingest.requests().iter().filter_map(|request| request.refusal().map(str::to_owned)).collect()
}

/// The service that has sent it.
pub(crate) fn from(transaction: &Transaction) -> &str {
    transaction.json["contexts"]["otel"]["resource"]["service.name"].as_str().unwrap_or_default()
}

/// The spans that call other services.
pub(crate) fn calls(transaction: &Transaction) -> Vec<&Span> {
    transaction.spans.iter().filter(|span| span.op.as_deref() == Some("http.client")).collect()
}

/// The dynamic sampling context in the envelope of a transaction.
pub(crate) fn dsc(captured: &Captured, transaction: &Transaction) -> Map<String, Value> {
    let id = transaction.json["event_id"].as_str();
    let mut envelopes = captured.envelopes.iter().filter(|envelope| envelope.event_id() == id);
    envelopes.find_map(|envelope| envelope.trace().cloned()).unwrap_or_default()
}

/// The members of Sentry in `baggage`, without their prefix.
pub(crate) fn members(baggage: &str) -> BTreeMap<&str, &str> {
    let pairs = baggage.split(',').filter_map(|member| member.trim().strip_prefix("sentry-")?.split_once('='));
    pairs.collect()
}
