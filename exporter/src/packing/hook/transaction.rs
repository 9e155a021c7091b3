//! Transactions and spans, as hooks see them.

use std::collections::BTreeMap;

use opentelemetry_sentry_semantics::{Source, cut};
use serde_json::{Map, Value, json};

use super::fields::{put_maps, take_map, take_tags, take_text, text_field, trace_of};
use crate::convert::{STATUSES, transaction_name};

/// A transaction that is about to be sent, as a hook sees it.
///
/// A hook is set by [`with_before_send_transaction`](crate::SentryExporterBuilder::with_before_send_transaction).
/// Values that Sentry would reject (an empty name, an unknown status, a tag with a line break) are made valid after the
/// hook.
///
/// ```
/// use opentelemetry_sentry_exporter::SentryExporter;
///
/// let exporter = SentryExporter::builder()
///     .with_before_send_transaction(|mut event| {
///         if event.name.starts_with("GET /internal/") {
///             return None;
///         }
///         event.tags.insert("tenant".to_owned(), "acme".to_owned());
///         event.data.remove("db.query.text");
///         Some(event)
///     })
///     .build()?;
/// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TransactionEvent {
    /// Its name, such as `GET /users/:id`.
    pub name: String,
    /// How the name was made, such as from a route.
    pub source: Source,
    /// The kind of work, such as `http.server`.
    pub op: Option<String>,
    /// The outcome in Sentry's words, such as `ok` or `internal_error`.
    pub status: String,
    /// Its attributes.
    pub data: Map<String, Value>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The user: `id`, `email`, `username`, `ip_address`.
    pub user: Map<String, Value>,
    /// All its spans except the root, which is the transaction itself.
    pub spans: Vec<SpanEvent>,
    /// The fields that a hook cannot change, as JSON.
    pub(super) rest: Map<String, Value>,
}

/// A span that is about to be sent, as a hook sees it.
///
/// A hook is set by [`with_before_send_span`](crate::SentryExporterBuilder::with_before_send_span). Of a streamed span it can
/// change the description, which is its name, the op and the attributes; a changed status has no effect.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpanEvent {
    /// Its description. A root has the name of the transaction.
    pub description: String,
    /// The kind of work, such as `db`.
    pub op: Option<String>,
    /// The outcome in Sentry's words, such as `ok` or `internal_error`.
    pub status: String,
    /// Its attributes.
    pub data: Map<String, Value>,
    /// The fields that a hook cannot change, as JSON.
    pub(super) rest: Map<String, Value>,
}

impl TransactionEvent {
    /// The event's id, 32 digits.
    #[must_use]
    pub fn event_id(&self) -> &str {
        text_field(&self.rest, "event_id")
    }

    /// The trace's id, 32 digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        let trace = self.rest.get("contexts").and_then(|contexts| contexts.get("trace"));
        trace.and_then(|trace| trace.get("trace_id")).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn from_json(mut rest: Map<String, Value>) -> Self {
        let name = take_text(&mut rest, "transaction").unwrap_or_default();
        let source = rest.get("transaction_info").and_then(|info| info.get("source")).and_then(Value::as_str);
        let source = source.and_then(Source::from_word).unwrap_or_default();
        let tags = take_tags(&mut rest);
        let user = take_map(&mut rest, "user");
        let spans = match rest.remove("spans") {
            Some(Value::Array(spans)) => spans.into_iter().filter_map(SpanEvent::from_json).collect(),
            _ => Vec::new(),
        };
        let mut nothing = Map::new();
        let trace = trace_of(&mut rest).unwrap_or(&mut nothing);
        let op = take_text(trace, "op");
        let status = take_text(trace, "status").unwrap_or_default();
        let data = take_map(trace, "data");
        Self { name, source, op, status, data, tags, user, spans, rest }
    }

    pub(super) fn into_json(self) -> Map<String, Value> {
        let Self { name, source, op, status, data, tags, user, spans, mut rest } = self;
        if let Some(trace) = trace_of(&mut rest) {
            put_span_fields(trace, op, status, data);
        }
        rest.insert("transaction".to_owned(), transaction_name(&name).into());
        rest.insert("transaction_info".to_owned(), json!({ "source": source.as_str() }));
        put_maps(&mut rest, tags, user);
        let spans = spans.into_iter().map(|span| Value::Object(span.into_json())).collect();
        rest.insert("spans".to_owned(), Value::Array(spans));
        rest
    }
}

impl SpanEvent {
    /// The span's id, 16 digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        text_field(&self.rest, "span_id")
    }

    /// The id of its parent, if it has one.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<&str> {
        self.rest.get("parent_span_id").and_then(Value::as_str)
    }

    pub(crate) fn from_json(span: Value) -> Option<Self> {
        let Value::Object(mut rest) = span else { return None };
        Some(Self {
            description: take_text(&mut rest, "description").unwrap_or_default(),
            op: take_text(&mut rest, "op"),
            status: take_text(&mut rest, "status").unwrap_or_default(),
            data: take_map(&mut rest, "data"),
            rest,
        })
    }

    pub(super) fn into_json(self) -> Map<String, Value> {
        let Self { description, op, status, data, mut rest } = self;
        put_span_fields(&mut rest, op, status, data);
        rest.insert("description".to_owned(), description.into());
        rest
    }
}

/// A status that Sentry knows.
pub(super) fn known_status(status: &str) -> &str {
    if STATUSES.contains(&status) { status } else { "unknown_error" }
}

fn put_span_fields(span: &mut Map<String, Value>, op: Option<String>, status: String, data: Map<String, Value>) {
    if let Some(op) = op.filter(|op| !op.is_empty()) {
        span.insert("op".to_owned(), cut(&op, 128).into());
    }
    span.insert("status".to_owned(), known_status(&status).into());
    span.insert("data".to_owned(), Value::Object(data));
}
