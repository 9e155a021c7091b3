//! The transactions that arrived at the ingest.

use std::collections::BTreeMap;

use opentelemetry_sentry::exporter::testing::Envelope;
use serde_json::{Map, Value};

/// The spans of one service for one request.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) service: String,
    pub(crate) trace_id: String,
    /// The dynamic sampling context: the `trace` of the envelope's headers.
    pub(crate) dsc: BTreeMap<String, String>,
    /// The spans that the root is linked to.
    pub(crate) links: Vec<String>,
    /// The root span, which Sentry calls the transaction.
    pub(crate) root: Span,
    /// All other spans.
    pub(crate) spans: Vec<Span>,
}

/// A span. Times are in seconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) op: Option<String>,
    pub(crate) description: String,
    pub(crate) status: String,
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) data: Map<String, Value>,
}

/// All transactions in these envelopes.
pub(crate) fn transactions(envelopes: &[Envelope]) -> Vec<Transaction> {
    let read = |envelope: &Envelope| {
        let items = envelope.items().iter().filter(|item| item.item_type() == "transaction");
        let events = items.filter_map(|item| item.json().ok());
        events.map(|event| Transaction::new(&event, envelope.trace())).collect::<Vec<_>>()
    };
    envelopes.iter().flat_map(read).collect()
}

/// Whether the gateway's transaction of the request is here, and a transaction for every call that the gateway made.
pub(crate) fn is_whole(trace: &[Transaction]) -> bool {
    let answered = |call: &Span| trace.iter().any(|transaction| transaction.root.parent.as_ref() == Some(&call.id));
    let gateways = || trace.iter().filter(|transaction| transaction.service == "gateway");
    gateways().any(Transaction::is_request)
        && gateways().flat_map(|gateway| gateway.with_op("http.client")).all(answered)
}

impl Transaction {
    pub(crate) fn new(event: &Value, dsc: Option<&Map<String, Value>>) -> Self {
        let root = &event["contexts"]["trace"];
        let resource = &event["contexts"]["otel"]["resource"];
        let text = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
        let is_browser = event["platform"] == "javascript";
        let links = root["links"].as_array().into_iter().flatten();
        Self {
            service: if is_browser { "browser".to_owned() } else { string(&resource["service.name"]) },
            trace_id: string(&root["trace_id"]),
            dsc: dsc.into_iter().flatten().map(text).collect(),
            links: links.map(|link| string(&link["span_id"])).collect(),
            root: Span::new(root, &event["transaction"], event),
            spans: event["spans"].as_array().into_iter().flatten().map(Span::from_child).collect(),
        }
    }

    /// Whether it is an incoming request. Otherwise it is a server action or deferred work.
    pub(crate) fn is_request(&self) -> bool {
        self.root.op.as_deref() == Some("http.server")
    }

    /// The spans with this `op`, other than the root.
    pub(crate) fn with_op<'a>(&'a self, op: &'a str) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(move |span| span.op.as_deref() == Some(op))
    }
}

impl Span {
    fn from_child(span: &Value) -> Self {
        Self::new(span, &span["description"], span)
    }

    fn new(span: &Value, description: &Value, times: &Value) -> Self {
        let seconds = |key| times[key].as_f64().unwrap_or_default();
        Self {
            id: string(&span["span_id"]),
            parent: span["parent_span_id"].as_str().map(ToOwned::to_owned),
            op: span["op"].as_str().map(ToOwned::to_owned),
            description: string(description),
            status: string(&span["status"]),
            start: seconds("start_timestamp"),
            end: seconds("timestamp"),
            data: span["data"].as_object().cloned().unwrap_or_default(),
        }
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
