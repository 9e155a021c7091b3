//! The application's hooks, and the events that they see.
//!
//! Hooks need owned values, which cost time. A transaction is converted to them only if there is a hook.

use std::{
    collections::{BTreeMap, HashSet},
    fmt, mem,
    sync::Arc,
};

use opentelemetry_sentry_semantics::{Source, cut};
use serde_json::{Map, Value, json};

use super::contain::contain;
use crate::{
    convert::{STATUSES, tag_key, tag_value, transaction_name},
    trace::MAX_SPANS,
};

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
    rest: Map<String, Value>,
}

/// A span that is about to be sent, as a hook sees it.
///
/// A hook is set by [`with_before_send_span`](crate::SentryExporterBuilder::with_before_send_span).
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
    rest: Map<String, Value>,
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

    fn from_json(mut rest: Map<String, Value>) -> Self {
        let name = take_text(&mut rest, "transaction").unwrap_or_default();
        let source = rest.get("transaction_info").and_then(|info| info.get("source")).and_then(Value::as_str);
        let source = source.and_then(Source::from_word).unwrap_or_default();
        let tags = take_map(&mut rest, "tags").into_iter().filter_map(|(key, value)| Some((key, owned_text(value)?)));
        let tags = tags.collect();
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

    fn into_json(self) -> Map<String, Value> {
        let Self { name, source, op, status, data, tags, user, spans, mut rest } = self;
        if let Some(trace) = trace_of(&mut rest) {
            put_span_fields(trace, op, status, data);
        }
        rest.insert("transaction".to_owned(), transaction_name(&name).into());
        rest.insert("transaction_info".to_owned(), json!({ "source": source.as_str() }));
        let tag =
            |(key, value): (String, String)| Some((tag_key(&key).ok()?, Value::from(tag_value(&value)?.into_owned())));
        let tags: Map<_, _> = tags.into_iter().filter_map(tag).collect();
        for (key, map) in [("tags", tags), ("user", user)] {
            if !map.is_empty() {
                rest.insert(key.to_owned(), Value::Object(map));
            }
        }
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

    fn from_json(span: Value) -> Option<Self> {
        let Value::Object(mut rest) = span else { return None };
        Some(Self {
            description: take_text(&mut rest, "description").unwrap_or_default(),
            op: take_text(&mut rest, "op"),
            status: take_text(&mut rest, "status").unwrap_or_default(),
            data: take_map(&mut rest, "data"),
            rest,
        })
    }

    fn into_json(self) -> Map<String, Value> {
        let Self { description, op, status, data, mut rest } = self;
        put_span_fields(&mut rest, op, status, data);
        rest.insert("description".to_owned(), description.into());
        rest
    }
}

fn put_span_fields(span: &mut Map<String, Value>, op: Option<String>, status: String, data: Map<String, Value>) {
    if let Some(op) = op.filter(|op| !op.is_empty()) {
        span.insert("op".to_owned(), cut(&op, 128).into());
    }
    let status = if STATUSES.contains(&status.as_str()) { status } else { "unknown_error".to_owned() };
    span.insert("status".to_owned(), status.into());
    span.insert("data".to_owned(), Value::Object(data));
}

/// The depth of lists and maps below which a hook's values are replaced by null. Sentry shows less.
const MAX_DEPTH: usize = 100;

/// Cuts what is nested too deeply. Serialising and freeing a value recurse, and would overflow the worker's stack; so this
/// function does not recurse.
fn flatten(map: &mut Map<String, Value>) {
    let mut pending: Vec<_> = map.values_mut().map(|value| (value, 1)).collect();
    let mut removed = Vec::new();
    while let Some((value, depth)) = pending.pop() {
        match value {
            Value::Array(_) | Value::Object(_) if depth > MAX_DEPTH => removed.push(value.take()),
            Value::Array(all) => pending.extend(all.iter_mut().map(|value| (value, depth + 1))),
            Value::Object(all) => pending.extend(all.values_mut().map(|value| (value, depth + 1))),
            _ => {}
        }
    }
    while let Some(value) = removed.pop() {
        match value {
            Value::Array(all) => removed.extend(all),
            Value::Object(all) => removed.extend(all.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}

/// A span in the hands of a hook. Its values are cut when the hook returns and also when it panics: unwinding would free
/// them by recursion.
struct Lent<'a>(&'a mut SpanEvent);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        flatten(&mut self.0.data);
    }
}

fn trace_of(event: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    event.get_mut("contexts")?.get_mut("trace")?.as_object_mut()
}

fn text_field<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn take_text(map: &mut Map<String, Value>, key: &str) -> Option<String> {
    owned_text(map.remove(key)?)
}

fn take_map(map: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match map.remove(key) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn owned_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

type BeforeTransaction = dyn Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync;
type BeforeSpan = dyn Fn(&mut SpanEvent) + Send + Sync;

/// The application's hooks.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    transaction: Option<Arc<BeforeTransaction>>,
    span: Option<Arc<BeforeSpan>>,
}

/// The result of the hooks for a transaction.
#[derive(Debug)]
pub(crate) enum Hooked {
    /// The event, and the number of its spans, including the root.
    Kept(Value, usize),
    Dropped,
    Failed,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

impl Hooks {
    pub(crate) fn set_transaction(
        &mut self,
        hook: impl Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync + 'static,
    ) {
        self.transaction = Some(Arc::new(hook));
    }

    pub(crate) fn set_span(&mut self, hook: impl Fn(&mut SpanEvent) + Send + Sync + 'static) {
        self.span = Some(Arc::new(hook));
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.transaction.is_none() && self.span.is_none()
    }

    pub(crate) fn run(&self, event: Value) -> Hooked {
        let Value::Object(event) = event else { return Hooked::Failed };
        match contain("before_send hook", || self.apply(TransactionEvent::from_json(event))) {
            Some(Some(event)) => {
                let spans = event.spans.len() + 1;
                Hooked::Kept(Value::Object(event.into_json()), spans)
            }
            Some(None) => Hooked::Dropped,
            None => Hooked::Failed,
        }
    }

    fn apply(&self, mut event: TransactionEvent) -> Option<TransactionEvent> {
        let before = (event.name.clone(), event.source);
        if let Some(hook) = &self.span {
            let hook = |span: &mut SpanEvent| hook(Lent(span).0);
            event.spans.iter_mut().for_each(hook);
            let TransactionEvent { name, op, status, data, rest, .. } = &mut event;
            let mut root = SpanEvent {
                description: mem::take(name),
                op: op.take(),
                status: mem::take(status),
                data: mem::take(data),
                rest: trace_of(rest).cloned().unwrap_or_default(),
            };
            hook(&mut root);
            (*name, *op, *status, *data) = (root.description, root.op, root.status, root.data);
        }
        let mut event = match &self.transaction {
            Some(hook) => {
                let mut event = hook(event)?;
                let TransactionEvent { data, user, spans, .. } = &mut event;
                [data, user].into_iter().chain(spans.iter_mut().map(|span| &mut span.data)).for_each(flatten);
                event
            }
            None => event,
        };
        // A hook may add spans: keep each id once, and no more than Sentry accepts.
        let mut ids = HashSet::new();
        event.spans.retain(|span| ids.insert(span.span_id().to_owned()));
        event.spans.truncate(MAX_SPANS - 1);
        // A name that the hook has set is not a route any more.
        if event.name != before.0 && event.source == before.1 {
            event.source = Source::Custom;
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of this number of lists, each in the next, made and freed without recursion.
    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
    }

    fn depth(mut value: &Value) -> usize {
        let mut depth = 0;
        while let Some(inner) = value.get(0) {
            (value, depth) = (inner, depth + 1);
        }
        depth
    }

    #[test]
    fn what_a_hook_nests_too_deeply_is_cut() {
        for deep in [0, 1, MAX_DEPTH, MAX_DEPTH + 1, 300_000] {
            let mut map = Map::from_iter([("deep".to_owned(), nested(deep)), ("flat".to_owned(), 1.into())]);
            flatten(&mut map);
            assert_eq!(depth(&map["deep"]), deep.min(MAX_DEPTH));
            assert_eq!(map["flat"], 1);
        }
    }

    #[test]
    fn a_hook_that_nests_and_panics_overflows_no_stack() {
        let mut hooks = Hooks::default();
        hooks.set_span(|span| {
            span.data.insert("deep".to_owned(), nested(300_000));
            panic!("a bug");
        });
        // In a child, and in the root alone.
        for spans in [json!([{ "span_id": "1" }]), json!([])] {
            let event = json!({ "contexts": { "trace": {} }, "spans": spans });
            assert!(matches!(hooks.run(event), Hooked::Failed));
        }
    }

    #[test]
    fn no_hook_overflows_the_stack_by_what_it_nests() {
        let mut hooks = Hooks::default();
        hooks.set_span(|span| drop(span.data.insert("deep".to_owned(), nested(300_000))));
        hooks.set_transaction(|mut event| {
            event.user.insert("deep".to_owned(), nested(300_000));
            // A span too many, which is dropped.
            let mut again = event.spans[0].clone();
            again.data.insert("deep".to_owned(), nested(300_000));
            event.spans.push(again);
            Some(event)
        });
        let event = json!({ "contexts": { "trace": {} }, "spans": [{ "span_id": "1" }] });
        let Hooked::Kept(event, 2) = hooks.run(event) else { panic!("a root and a span") };
        let data = [&event["contexts"]["trace"]["data"], &event["spans"][0]["data"], &event["user"]];
        assert_eq!(data.map(|data| depth(&data["deep"])), [MAX_DEPTH; 3]);
    }
}
