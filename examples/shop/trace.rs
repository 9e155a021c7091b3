//! The transactions that arrived at the ingest, or the segments of streamed spans, which are the same spans in another
//! form, and the log lines.

use std::collections::BTreeMap;

use opentelemetry_sentry::exporter::testing::{Envelope, Item, LocalIngest};
use serde_json::{Map, Value};

/// The spans of one service for one request: a transaction, or a segment of a stream.
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
    pub(crate) words: &'static Words,
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

/// The words that differ between the two forms in which spans leave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// The status of a span that failed.
    pub(crate) failed: &'static str,
    /// The op of a query.
    pub(crate) query: &'static str,
    /// The op of a server action.
    pub(crate) action: &'static str,
    /// Whether a query is named by its text. A streamed span has a name that many spans share.
    pub(crate) is_named_by_text: bool,
}

const TRANSACTIONS: Words =
    Words { failed: "internal_error", query: "db", action: "function.server_action", is_named_by_text: true };
const STREAM: Words = Words { failed: "error", query: "db.query", action: "function", is_named_by_text: false };

/// A log line in a span.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) span: String,
    pub(crate) level: String,
    pub(crate) text: String,
    /// In seconds since 1970.
    pub(crate) time: f64,
}

/// The log lines that arrived and belong to a span.
pub(crate) fn lines(ingest: &LocalIngest) -> Vec<Line> {
    let logs = ingest.logs().into_iter().filter_map(|log| {
        let time = log.json["timestamp"].as_f64()?;
        Some(Line { span: log.span_id?, level: log.level, text: log.body, time })
    });
    logs.collect()
}

/// All transactions in these envelopes, and all segments of streamed spans whose root has arrived.
pub(crate) fn transactions(envelopes: &[Envelope]) -> Vec<Transaction> {
    let read = |envelope: &Envelope| {
        let items = envelope.items().iter().filter(|item| item.item_type() == "transaction");
        let events = items.filter_map(|item| item.json().ok());
        events.map(|event| Transaction::new(&event, envelope.trace())).collect::<Vec<_>>()
    };
    envelopes.iter().flat_map(read).chain(segments(envelopes)).collect()
}

/// The segments of the streamed spans. The spans of a segment may arrive in several envelopes.
fn segments(envelopes: &[Envelope]) -> Vec<Transaction> {
    let mut segments: BTreeMap<(String, String), (Option<Transaction>, Vec<Span>)> = BTreeMap::new();
    for envelope in envelopes {
        for span in envelope.items().iter().flat_map(Item::spans) {
            let text = |key: &str| span.attributes.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let segment = (span.trace_id.clone(), span.segment_id.clone().unwrap_or_else(|| span.span_id.clone()));
            let (found, children) = segments.entry(segment).or_default();
            let own = Span {
                id: span.span_id.clone(),
                parent: span.parent_span_id.clone(),
                op: span.op.clone(),
                description: span.name.clone(),
                status: span.status.clone(),
                start: span.json["start_timestamp"].as_f64().unwrap_or_default(),
                end: span.json["end_timestamp"].as_f64().unwrap_or_default(),
                data: span.attributes.clone().into_iter().collect(),
            };
            if !span.is_segment {
                children.push(own);
                continue;
            }
            let is_browser = text("sentry.sdk.name").starts_with("sentry.javascript.");
            let links = span.json["links"].as_array().into_iter().flatten();
            *found = Some(Transaction {
                service: if is_browser { "browser".to_owned() } else { text("service.name") },
                trace_id: span.trace_id.clone(),
                dsc: texts(envelope.trace()),
                links: links.map(|link| string(&link["span_id"])).collect(),
                root: own,
                spans: Vec::new(),
                words: &STREAM,
            });
        }
    }
    segments.into_values().filter_map(|(segment, spans)| Some(Transaction { spans, ..segment? })).collect()
}

/// The entries of a map whose values are texts.
fn texts(map: Option<&Map<String, Value>>) -> BTreeMap<String, String> {
    let text = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
    map.into_iter().flatten().map(text).collect()
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
        let is_browser = event["platform"] == "javascript";
        let links = root["links"].as_array().into_iter().flatten();
        Self {
            service: if is_browser { "browser".to_owned() } else { string(&resource["service.name"]) },
            trace_id: string(&root["trace_id"]),
            dsc: texts(dsc),
            links: links.map(|link| string(&link["span_id"])).collect(),
            root: Span::new(root, &event["transaction"], event),
            spans: event["spans"].as_array().into_iter().flatten().map(Span::from_child).collect(),
            words: &TRANSACTIONS,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(spans: &Value, public_key: &str) -> Envelope {
        let trace = json!({ "trace": { "trace_id": "t", "public_key": public_key } });
        let kind = "application/vnd.sentry.items.span.v2+json";
        let item = json!({ "type": "span", "item_count": 1, "content_type": kind });
        let payload = json!({ "version": 2, "items": spans });
        Envelope::parse(format!("{trace}\n{item}\n{payload}").as_bytes()).unwrap()
    }

    fn span(id: &str, segment: &str, sdk: &str) -> Value {
        let text = |value: &str| json!({ "type": "string", "value": value });
        json!({
            "trace_id": "t", "span_id": id, "name": id, "is_segment": id == segment,
            "attributes": {
                "sentry.segment.id": text(segment), "service.name": text("gateway"), "sentry.sdk.name": text(sdk),
            },
        })
    }

    #[test]
    fn a_segment_has_its_spans_from_all_envelopes() {
        let envelopes = [
            envelope(&json!([span("child", "root", "rust"), span("lost", "not here", "rust")]), "early"),
            envelope(&json!([span("root", "root", "rust"), span("page", "page", "sentry.javascript.browser")]), "late"),
        ];
        let found = transactions(&envelopes);
        let services: Vec<_> = found.iter().map(|segment| (&*segment.root.id, &*segment.service)).collect();
        assert_eq!(services, [("page", "browser"), ("root", "gateway")]);
        assert_eq!((found[1].spans.len(), &*found[1].spans[0].id), (1, "child"));
        assert_eq!((&*found[1].dsc["public_key"], found[1].words), ("late", &STREAM));
    }
}
