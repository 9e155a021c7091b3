//! Transactions, spans, streamed spans, errors, logs and metrics as a test reads them.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use crate::unit;

/// A transaction that arrived.
///
/// ```
/// # fn check(ingest: &opentelemetry_sentry_testing::LocalIngest) {
/// let request = ingest.transaction("GET /products/:id");
/// assert_eq!((request.op.as_deref(), request.status.as_str()), (Some("http.server"), "ok"));
/// let query = request.span("SELECT * FROM products");
/// assert_eq!(query.parent_span_id.as_ref(), Some(&request.span_id));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transaction {
    /// Its name, such as `GET /products/:id`.
    pub name: String,
    /// How the name was made, such as `route`.
    pub source: String,
    /// The kind of work, such as `http.server`.
    pub op: Option<String>,
    /// The outcome in Sentry's words, such as `ok`.
    pub status: String,
    /// The trace's id, 32 digits.
    pub trace_id: String,
    /// The id of its root span, 16 digits.
    pub span_id: String,
    /// The id of the root's parent, which is in another transaction or service.
    pub parent_span_id: Option<String>,
    /// The attributes of the root.
    pub data: Map<String, Value>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// All its spans except the root, in the order in which they were sent.
    pub spans: Vec<Span>,
    /// The whole event, for everything else.
    pub json: Value,
}

/// A span of a [`Transaction`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// Its description, such as `SELECT * FROM products`.
    pub name: String,
    /// The kind of work, such as `db`.
    pub op: Option<String>,
    /// The outcome in Sentry's words, such as `ok`.
    pub status: String,
    /// Its id, 16 digits.
    pub span_id: String,
    /// The id of its parent.
    pub parent_span_id: Option<String>,
    /// Its attributes.
    pub data: Map<String, Value>,
    /// The whole span, for everything else.
    pub json: Value,
}

/// A streamed span that arrived.
///
/// ```
/// # fn check(ingest: &opentelemetry_sentry_testing::LocalIngest) {
/// let request = ingest.span("GET /products/:id");
/// assert_eq!((request.op.as_deref(), request.is_segment), (Some("http.server"), true));
/// let query = ingest.span("SELECT products");
/// assert_eq!(query.parent_span_id.as_ref(), Some(&request.span_id));
/// assert_eq!(query.segment_id.as_ref(), Some(&request.span_id));
/// assert_eq!(query.attributes["db.system.name"], "postgresql");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamedSpan {
    /// Its name, such as `GET /products/:id`.
    pub name: String,
    /// The kind of work, such as `http.server`.
    pub op: Option<String>,
    /// `ok` or `error`.
    pub status: String,
    /// The trace's id, 32 digits.
    pub trace_id: String,
    /// Its id, 16 digits.
    pub span_id: String,
    /// The id of its parent.
    pub parent_span_id: Option<String>,
    /// Whether it is a local root.
    pub is_segment: bool,
    /// The id of the local root above it, or its own if it is one.
    pub segment_id: Option<String>,
    /// The values of its attributes, without their types.
    pub attributes: BTreeMap<String, Value>,
    /// The whole span, for everything else.
    pub json: Value,
}

/// An error event that arrived.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ErrorEvent {
    /// The type of the exception that was raised, such as `shop::NoStock`.
    pub exception_type: String,
    /// Its message.
    pub message: String,
    /// The level in Sentry's words, such as `error`.
    pub level: String,
    /// The name of the transaction in which it happened.
    pub transaction: String,
    /// The trace's id, 32 digits.
    pub trace_id: String,
    /// The id of the span in which it happened, 16 digits.
    pub span_id: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The whole event, for everything else.
    pub json: Value,
}

/// A log that arrived.
///
/// ```
/// # fn check(ingest: &opentelemetry_sentry_testing::LocalIngest) {
/// let log = ingest.log("order placed");
/// assert_eq!((log.level.as_str(), log.severity_number), ("info", Some(9)));
/// assert_eq!(log.attributes["order.items"], 3);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Log {
    /// Its text.
    pub body: String,
    /// The level in Sentry's words, such as `info`.
    pub level: String,
    /// The severity in OpenTelemetry's numbers, from 1 to 24.
    pub severity_number: Option<u64>,
    /// The trace's id, 32 digits.
    pub trace_id: String,
    /// The id of the span in which it was written, 16 digits.
    pub span_id: Option<String>,
    /// The values of its attributes, without their types.
    pub attributes: BTreeMap<String, Value>,
    /// The whole log, for everything else.
    pub json: Value,
}

/// A metric that arrived.
///
/// ```
/// # fn check(ingest: &opentelemetry_sentry_testing::LocalIngest) {
/// let metric = ingest.metric("orders");
/// assert_eq!((metric.metric_type.as_str(), metric.value), ("counter", 5.0));
/// assert_eq!(metric.attributes["plan"], "free");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, such as `orders`.
    pub name: String,
    /// `counter`, `gauge` or `distribution`.
    pub metric_type: String,
    /// The sum of a counter, the value of a gauge, or one value of a histogram.
    pub value: f64,
    /// The unit in Sentry's words, such as `millisecond`. Of a unit that Sentry does not know it stores none, and neither is
    /// it here; `json` has it.
    pub unit: Option<String>,
    /// The trace's id, 32 digits.
    pub trace_id: String,
    /// The id of the span in which it was measured, 16 digits.
    pub span_id: Option<String>,
    /// The values of its attributes, without their types.
    pub attributes: BTreeMap<String, Value>,
    /// The whole metric, for everything else.
    pub json: Value,
}

impl Metric {
    pub(crate) fn from_json(json: Value) -> Self {
        Self {
            name: text(&json["name"]),
            metric_type: text(&json["type"]),
            value: json["value"].as_f64().unwrap_or(f64::NAN),
            unit: json["unit"].as_str().and_then(unit::known).map(str::to_owned),
            trace_id: text(&json["trace_id"]),
            span_id: some_text(&json["span_id"]),
            attributes: values(&json["attributes"]),
            json,
        }
    }
}

impl Transaction {
    pub(crate) fn from_json(json: Value) -> Self {
        let trace = &json["contexts"]["trace"];
        Self {
            name: text(&json["transaction"]),
            source: text(&json["transaction_info"]["source"]),
            op: some_text(&trace["op"]),
            status: text(&trace["status"]),
            trace_id: text(&trace["trace_id"]),
            span_id: text(&trace["span_id"]),
            parent_span_id: some_text(&trace["parent_span_id"]),
            data: map(&trace["data"]),
            tags: tags(&json),
            spans: json["spans"].as_array().into_iter().flatten().cloned().map(Span::from_json).collect(),
            json,
        }
    }

    /// The span with this description.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the spans.
    #[must_use]
    #[track_caller]
    pub fn span(&self, name: &str) -> &Span {
        only("span", name, &self.spans, |span| span.name == name, |span| &span.name)
    }
}

impl Span {
    fn from_json(json: Value) -> Self {
        Self {
            name: text(&json["description"]),
            op: some_text(&json["op"]),
            status: text(&json["status"]),
            span_id: text(&json["span_id"]),
            parent_span_id: some_text(&json["parent_span_id"]),
            data: map(&json["data"]),
            json,
        }
    }
}

impl StreamedSpan {
    pub(crate) fn from_json(json: Value) -> Self {
        let attributes = values(&json["attributes"]);
        let of = |key| attributes.get(key).and_then(some_text);
        Self {
            name: text(&json["name"]),
            op: of("sentry.op"),
            status: text(&json["status"]),
            trace_id: text(&json["trace_id"]),
            span_id: text(&json["span_id"]),
            parent_span_id: some_text(&json["parent_span_id"]),
            is_segment: json["is_segment"].as_bool().unwrap_or_default(),
            segment_id: of("sentry.segment.id"),
            attributes,
            json,
        }
    }
}

impl Log {
    pub(crate) fn from_json(json: Value) -> Self {
        Self {
            body: text(&json["body"]),
            level: text(&json["level"]),
            severity_number: json["severity_number"].as_u64(),
            trace_id: text(&json["trace_id"]),
            span_id: some_text(&json["span_id"]),
            attributes: values(&json["attributes"]),
            json,
        }
    }
}

impl ErrorEvent {
    pub(crate) fn from_json(json: Value) -> Self {
        let trace = &json["contexts"]["trace"];
        let raised = json["exception"]["values"].as_array().and_then(|values| values.last()).unwrap_or(&Value::Null);
        Self {
            exception_type: text(&raised["type"]),
            message: text(&raised["value"]),
            level: text(&json["level"]),
            transaction: text(&json["transaction"]),
            trace_id: text(&trace["trace_id"]),
            span_id: text(&trace["span_id"]),
            tags: tags(&json),
            json,
        }
    }

    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.exception_type, self.message)
    }
}

/// The only one that matches.
#[track_caller]
pub(crate) fn only<'a, T, N: fmt::Debug>(
    kind: &str,
    wanted: &str,
    all: &'a [T],
    matches: impl Fn(&T) -> bool,
    name: impl Fn(&'a T) -> N,
) -> &'a T {
    let mut found = all.iter().filter(|one| matches(one));
    match (found.next(), found.next()) {
        (Some(one), None) => one,
        (first, _) => {
            let problem = if first.is_some() { "more than one" } else { "no" };
            let names: Vec<_> = all.iter().map(name).collect();
            panic!("{problem} {kind} {wanted:?} among {names:?}")
        }
    }
}

fn text(value: &Value) -> String {
    some_text(value).unwrap_or_default()
}

fn some_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// The values of typed attributes.
fn values(attributes: &Value) -> BTreeMap<String, Value> {
    map(attributes).into_iter().map(|(key, typed)| (key, typed["value"].clone())).collect()
}

fn tags(event: &Value) -> BTreeMap<String, String> {
    map(&event["tags"]).into_iter().map(|(key, value)| (key, text(&value))).collect()
}
