//! Compares the spans that ended with those that arrived.

use std::collections::HashMap;

use opentelemetry::{SpanId, trace::SpanContext};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SimpleSpanProcessor, SpanData};
use opentelemetry_sentry::{
    Sentry, SentryBuilder, Stats,
    exporter::testing::{Envelope, LocalIngest},
};
use serde_json::{Map, Value};

use crate::support::{PATIENCE, sentry_to_ingest};

/// A span as both sides know it: trace id, span id, and the parent's id if the span has a parent.
pub(crate) type Row = (String, String, Option<String>);

/// The row of a span. `parent` is invalid for a root.
pub(crate) fn row(span: &SpanContext, parent: SpanId) -> Row {
    let parent = (parent != SpanId::INVALID).then(|| parent.to_string());
    (span.trace_id().to_string(), span.span_id().to_string(), parent)
}

/// A `Sentry`, and an exporter that keeps every span that ends.
#[derive(Debug)]
pub(crate) struct Audited {
    pub(crate) ingest: LocalIngest,
    pub(crate) sentry: Sentry,
    ended: InMemorySpanExporter,
}

impl Audited {
    pub(crate) fn new() -> Self {
        let (ingest, builder) = sentry_to_ingest();
        Self::with(ingest, builder)
    }

    pub(crate) fn with(ingest: LocalIngest, builder: SentryBuilder) -> Self {
        let ended = InMemorySpanExporter::default();
        let builder = builder.with_span_processor(SimpleSpanProcessor::new(ended.clone()));
        Self { ingest, sentry: builder.build().expect("a valid setup"), ended }
    }

    /// The spans that have ended.
    pub(crate) fn ended(&self) -> Vec<SpanData> {
        self.ended.get_finished_spans().expect("no panic")
    }

    /// Flushes, compares what arrived with what ended, and returns what arrived in order of arrival.
    pub(crate) fn settle(&self) -> Vec<Arrived> {
        assert_eq!(self.sentry.flush(PATIENCE), Ok(()));
        let arrived = arrived(&self.ingest.envelopes());
        let ended = self.ended();
        let ended = ended.iter().map(|span| row(&span.span_context, span.parent_span_id)).collect();
        assert_same(ended, &arrived);
        assert_account(&self.sentry.stats(), &arrived);
        arrived
    }
}

/// A transaction as it arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// The `trace` header of its envelope.
    pub(crate) header: Option<Map<String, Value>>,
    pub(crate) event: Value,
}

impl Arrived {
    /// The `trace` context: the span that became the transaction.
    pub(crate) fn trace(&self) -> &Value {
        &self.event["contexts"]["trace"]
    }

    pub(crate) fn trace_id(&self) -> &str {
        self.trace()["trace_id"].as_str().expect("a trace id")
    }

    pub(crate) fn name(&self) -> &str {
        self.event["transaction"].as_str().expect("a name")
    }

    /// The sorted names of its other spans.
    pub(crate) fn below(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.spans().map(|span| span["description"].as_str().expect("a name")).collect();
        names.sort_unstable();
        names
    }

    /// Whether it is marked as sent after its parent.
    pub(crate) fn is_late(&self) -> bool {
        self.trace()["data"]["sentry.parent_span_already_sent"] == true
    }

    fn spans(&self) -> impl Iterator<Item = &Value> {
        self.event["spans"].as_array().into_iter().flatten()
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        let text = |span: &Value, key: &str| span.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        [self.trace()].into_iter().chain(self.spans()).map(move |span| {
            let id = |key| text(span, key).expect("an id");
            (id("trace_id"), id("span_id"), text(span, "parent_span_id"))
        })
    }
}

pub(crate) fn arrived(envelopes: &[Envelope]) -> Vec<Arrived> {
    let arrived = |envelope: &Envelope| {
        let event = envelope.items()[0].json().expect("JSON");
        Arrived { header: envelope.trace().cloned(), event }
    };
    envelopes.iter().map(arrived).collect()
}

/// The only transaction with this name.
pub(crate) fn named<'a>(arrived: &'a [Arrived], name: &str) -> &'a Arrived {
    let mut named = arrived.iter().filter(|transaction| transaction.name() == name);
    let first = named.next().unwrap_or_else(|| panic!("no transaction {name}"));
    assert!(named.next().is_none(), "two transactions {name}");
    first
}

/// Checks that each span that ended arrived exactly once, with its trace id and parent. Unless its trace left in parts, a
/// span other than the root of a transaction must be in the same transaction as its parent.
pub(crate) fn assert_same(mut ended: Vec<Row>, arrived: &[Arrived]) {
    let mut rows: Vec<_> = arrived.iter().flat_map(Arrived::rows).collect();
    rows.sort_unstable();
    ended.sort_unstable();
    assert_eq!(rows, ended);
    let mut parts = HashMap::<&str, usize>::new();
    arrived.iter().for_each(|transaction| *parts.entry(transaction.trace_id()).or_default() += 1);
    for transaction in arrived.iter().filter(|transaction| parts[transaction.trace_id()] == 1) {
        let ids: Vec<_> = transaction.rows().map(|(_, id, _)| id).collect();
        let parents = transaction.rows().skip(1).map(|(_, _, parent)| parent.expect("a parent"));
        parents.for_each(|parent| assert!(ids.contains(&parent), "{parent} is in another transaction"));
    }
}

/// Checks that all received spans were sent and that nothing is pending.
pub(crate) fn assert_account(stats: &Stats, arrived: &[Arrived]) {
    let spans = arrived.iter().flat_map(Arrived::rows).count() as u64;
    assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped(), "{stats}");
    assert_eq!((stats.spans_sent, stats.spans_dropped()), (spans, 0), "{stats}");
    assert_eq!((stats.transactions_sent, stats.envelopes_in_flight), (arrived.len() as u64, 0), "{stats}");
}
