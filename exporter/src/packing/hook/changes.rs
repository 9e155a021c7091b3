//! What hooks changed in a span of a transaction that then leaves as a streamed span.

use opentelemetry_sentry_semantics::cut;
use serde_json::{Map, Value};

use super::{SpanEvent, streamed::typed, transaction::known_status};
use crate::{
    convert::{StreamedSpan, streamed_key},
    packing::contain::contain,
};

/// What hooks changed in a span. Only that is applied to its streamed form: names and attributes that no hook touched are
/// those that the span would have without hooks.
#[derive(Debug)]
pub(crate) struct Changes {
    name: Option<String>,
    op: Option<String>,
    /// Its status, if a hook has set another one.
    status: Option<String>,
    /// Attributes with other values, or without any, under the names of streamed spans.
    attributes: Vec<(String, Option<Value>)>,
}

impl Changes {
    /// The differences between a span before and after the hooks.
    pub(crate) fn between(before: SpanEvent, after: SpanEvent) -> Self {
        let SpanEvent { data: old, .. } = before;
        let removed = old.keys().filter(|key| !after.data.contains_key(*key));
        let removed: Vec<_> = removed.filter_map(|key| Some((streamed_key(key)?.to_owned(), None))).collect();
        let changed = after.data.into_iter().filter(|(key, value)| old.get(key) != Some(value));
        let changed = changed.filter_map(|(key, value)| Some((streamed_key(&key)?.to_owned(), typed(None, value))));
        Self {
            name: Some(after.description).filter(|name| *name != before.description && !name.is_empty()),
            op: after.op.filter(|op| before.op.as_ref() != Some(op)).map(|op| cut(&op, 128).to_owned()),
            status: Some(after.status).filter(|status| *status != before.status),
            attributes: removed.into_iter().chain(changed).collect(),
        }
    }

    /// The streamed span after the hooks; `None` if it has no JSON.
    pub(crate) fn applied_to(&self, span: &StreamedSpan<'_>) -> Option<Value> {
        match contain("serialisation", || serde_json::to_value(span))? {
            Ok(Value::Object(mut span)) => {
                self.apply(&mut span);
                Some(Value::Object(span))
            }
            _ => None,
        }
    }

    fn apply(&self, span: &mut Map<String, Value>) {
        if let Some(name) = &self.name {
            span.insert("name".to_owned(), name.as_str().into());
        }
        let word = self.status.as_deref().map(known_status);
        let is_ok = word.map(|word| matches!(word, "ok" | "cancelled"));
        if let Some(is_ok) = is_ok {
            span.insert("status".to_owned(), if is_ok { "ok" } else { "error" }.into());
        }
        let Some(Value::Object(attributes)) = span.get_mut("attributes") else { return };
        let mut put = |key: &str, value: Option<Value>| match value {
            Some(value) => attributes.insert(key.to_owned(), value),
            None => attributes.remove(key),
        };
        if let Some(op) = &self.op {
            put("sentry.op", typed(None, op.as_str().into()));
        }
        if let (Some(word), Some(is_ok)) = (word, is_ok) {
            put("sentry.status.message", if is_ok { None } else { typed(None, word.into()) });
        }
        for (key, value) in &self.attributes {
            put(key, value.clone());
        }
    }
}
