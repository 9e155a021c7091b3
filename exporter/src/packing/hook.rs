//! The application's hooks.
//!
//! Hooks need owned values, which cost time. An event is converted to them only if there is a hook.
//!
//! | file | contains |
//! | --- | --- |
//! | `transaction` | transactions and spans, as hooks see them |
//! | `error`, `log`, `metric` | error events, logs and metrics, as hooks see them |
//! | `streamed` | streamed spans: the same as hooks see them, and back |
//! | `changes` | what hooks changed in a span that then leaves as a streamed span |
//! | `fields` | their fields as JSON |

mod changes;
mod error;
mod fields;
mod log;
#[cfg(feature = "metrics")]
mod metric;
mod streamed;
mod transaction;

use std::{collections::HashSet, fmt, mem, sync::Arc};

use opentelemetry_sentry_semantics::Source;
use serde_json::Value;

pub(crate) use self::changes::Changes;
use self::fields::{flatten, trace_of};
#[cfg(feature = "metrics")]
pub use self::metric::MetricEvent;
pub use self::{
    error::ErrorEvent,
    log::LogEvent,
    transaction::{SpanEvent, TransactionEvent},
};
use super::contain::contain;
use crate::{
    convert::transaction_name,
    trace::{EndedSpan, LogLine, MAX_SPANS},
};

/// A span in the hands of a hook. Its values are cut when the hook returns and also when it panics: unwinding would free
/// them by recursion.
struct Lent<'a>(&'a mut SpanEvent);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        flatten(&mut self.0.data);
    }
}

type BeforeTransaction = dyn Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync;
type BeforeError = dyn Fn(ErrorEvent) -> Option<ErrorEvent> + Send + Sync;
type BeforeLog = dyn Fn(LogEvent) -> Option<LogEvent> + Send + Sync;
#[cfg(feature = "metrics")]
type BeforeMetric = dyn Fn(MetricEvent) -> Option<MetricEvent> + Send + Sync;
type BeforeSpan = dyn Fn(&mut SpanEvent) + Send + Sync;

/// The application's hooks.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    transaction: Option<Arc<BeforeTransaction>>,
    span: Option<Arc<BeforeSpan>>,
    error: Option<Arc<BeforeError>>,
    log: Option<Arc<BeforeLog>>,
    #[cfg(feature = "metrics")]
    metric: Option<Arc<BeforeMetric>>,
}

/// A transaction after the hooks.
#[derive(Debug)]
pub(crate) struct HookedTransaction {
    pub(crate) event: Value,
    pub(crate) name: String,
    /// The number of its spans, including the root.
    pub(crate) spans: usize,
    /// The spans that leave beside it.
    pub(crate) beside: Vec<SpanEvent>,
}

impl HookedTransaction {
    /// Takes these spans out of the event. They leave beside it.
    pub(crate) fn set_aside(&mut self, spans: &[EndedSpan]) {
        let ids: HashSet<_> = spans.iter().map(|span| span.span_context.span_id().to_string()).collect();
        let Some(Value::Array(all)) = self.event.get_mut("spans") else { return };
        let is_out = |span: &Value| span["span_id"].as_str().is_some_and(|id| ids.contains(id));
        let (out, stay): (Vec<_>, Vec<_>) = mem::take(all).into_iter().partition(is_out);
        *all = stay;
        self.spans -= out.len();
        self.beside.extend(out.into_iter().filter_map(SpanEvent::from_json));
    }
}

/// What the hooks made of an event.
#[derive(Debug)]
pub(crate) enum Hooked<T> {
    Kept(T),
    Dropped,
    Failed,
}

impl<T> Hooked<T> {
    /// Runs hooks. If one panics, the event has failed.
    fn by(hooks: impl FnOnce() -> Option<T>) -> Self {
        match contain("before_send hook", hooks) {
            Some(Some(event)) => Self::Kept(event),
            Some(None) => Self::Dropped,
            None => Self::Failed,
        }
    }
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

    pub(crate) fn set_error(&mut self, hook: impl Fn(ErrorEvent) -> Option<ErrorEvent> + Send + Sync + 'static) {
        self.error = Some(Arc::new(hook));
    }

    /// Whether a hook sees whole transactions.
    pub(crate) const fn has_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether a hook sees spans.
    pub(crate) const fn has_span(&self) -> bool {
        self.span.is_some()
    }

    pub(crate) fn set_log(&mut self, hook: impl Fn(LogEvent) -> Option<LogEvent> + Send + Sync + 'static) {
        self.log = Some(Arc::new(hook));
    }

    /// Whether a hook sees logs.
    pub(crate) const fn has_log(&self) -> bool {
        self.log.is_some()
    }

    pub(crate) fn run_log(&self, line: LogLine) -> Hooked<LogLine> {
        let Some(hook) = &self.log else { return Hooked::Kept(line) };
        Hooked::by(|| hook(LogEvent::from_line(line)).map(LogEvent::into_line))
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn set_metric(&mut self, hook: impl Fn(MetricEvent) -> Option<MetricEvent> + Send + Sync + 'static) {
        self.metric = Some(Arc::new(hook));
    }

    /// Whether a hook sees metrics.
    #[cfg(feature = "metrics")]
    pub(crate) const fn has_metric(&self) -> bool {
        self.metric.is_some()
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn run_metric(&self, event: MetricEvent) -> Hooked<MetricEvent> {
        let Some(hook) = &self.metric else { return Hooked::Kept(event) };
        Hooked::by(|| hook(event))
    }

    /// Whether no hook sees transactions.
    pub(crate) const fn is_empty(&self) -> bool {
        self.transaction.is_none() && self.span.is_none()
    }

    /// Whether a hook sees error events.
    pub(crate) const fn has_error(&self) -> bool {
        self.error.is_some()
    }

    pub(crate) fn run_error(&self, event: Value) -> Hooked<Value> {
        let (Value::Object(event), Some(hook)) = (event, &self.error) else { return Hooked::Failed };
        Hooked::by(|| {
            let mut event = hook(ErrorEvent::from_json(event))?;
            flatten(&mut event.user);
            Some(Value::Object(event.into_json()))
        })
    }

    /// Runs the hooks on a transaction, and takes out the spans that then leave beside it.
    pub(crate) fn run(&self, event: Value, is_beside: impl Fn(&SpanEvent) -> bool) -> Hooked<HookedTransaction> {
        let Value::Object(event) = event else { return Hooked::Failed };
        Hooked::by(|| {
            let mut event = self.apply(TransactionEvent::from_json(event))?;
            let (beside, mut spans): (Vec<_>, Vec<_>) = mem::take(&mut event.spans).into_iter().partition(is_beside);
            // A hook may add spans: no more than Sentry accepts.
            spans.truncate(MAX_SPANS - 1);
            event.spans = spans;
            let (name, spans) = (transaction_name(&event.name).to_owned(), event.spans.len() + 1);
            Some(HookedTransaction { event: Value::Object(event.into_json()), name, spans, beside })
        })
    }

    /// Returns a streamed span as the hook has changed it; `None` if it stays as it is, also because the hook panics.
    pub(crate) fn run_streamed(&self, span: Value, status: &str) -> Option<Value> {
        let hook = self.span.as_ref()?;
        let (mut event, fields) = streamed::event(span, status)?;
        contain("before_send hook", || hook(Lent(&mut event).0))?;
        Some(fields.with(event))
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
        // A hook may add spans: keep each id once.
        let mut ids = HashSet::new();
        event.spans.retain(|span| ids.insert(span.span_id().to_owned()));
        // A name that the hook has set is not a route any more.
        if event.name != before.0 && event.source == before.1 {
            event.source = Source::Custom;
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::{fields::MAX_DEPTH, *};

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
            assert!(matches!(hooks.run(event, |_| false), Hooked::Failed));
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
        let Hooked::Kept(HookedTransaction { event, spans: 2, .. }) = hooks.run(event, |_| false) else {
            panic!("a root and a span")
        };
        let data = [&event["contexts"]["trace"]["data"], &event["spans"][0]["data"], &event["user"]];
        assert_eq!(data.map(|data| depth(&data["deep"])), [MAX_DEPTH; 3]);
    }
}
