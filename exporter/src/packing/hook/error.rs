//! Error events, as hooks see them.

use std::collections::BTreeMap;

use opentelemetry_sentry_semantics::cut;
use serde_json::{Map, Value};

use super::fields::{put_maps, take_map, take_tags, take_text, text_field};
use crate::convert::{MAX_VALUE, UNKNOWN_TYPE, transaction_name};

/// The levels that Sentry knows.
const LEVELS: [&str; 5] = ["debug", "info", "warning", "error", "fatal"];

/// An error event that is about to be sent, as a hook sees it.
///
/// A hook is set by [`with_before_send_error`](crate::SentryExporterBuilder::with_before_send_error). Values that Sentry
/// would reject (an unknown level, a tag with a line break) are made valid after the hook.
///
/// ```
/// use opentelemetry_sentry_exporter::SentryExporter;
///
/// let exporter = SentryExporter::builder()
///     .with_exceptions_as_errors(true)
///     .with_before_send_error(|mut event| {
///         if event.message.contains("connection reset") {
///             event.fingerprint = vec!["network".to_owned()];
///         }
///         Some(event)
///     })
///     .build()?;
/// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ErrorEvent {
    /// The type of the exception that was raised, such as `shop::NoStock`; `Error` if none is known.
    pub exception_type: String,
    /// Its message.
    pub message: String,
    /// The level in Sentry's words: `fatal`, `error`, `warning`, `info` or `debug`.
    pub level: String,
    /// The name of the transaction in which it happened.
    pub transaction: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The user: `id`, `email`, `username`, `ip_address`.
    pub user: Map<String, Value>,
    /// How Sentry groups it: events with the same texts are one issue. `{{ default }}` stands for Sentry's own grouping.
    /// Empty by default.
    pub fingerprint: Vec<String>,
    /// The fields that a hook cannot change, as JSON.
    rest: Map<String, Value>,
}

impl ErrorEvent {
    /// The event's id, 32 digits.
    #[must_use]
    pub fn event_id(&self) -> &str {
        text_field(&self.rest, "event_id")
    }

    pub(super) fn from_json(mut rest: Map<String, Value>) -> Self {
        let mut nothing = Map::new();
        let raised = raised(&mut rest).unwrap_or(&mut nothing);
        Self {
            exception_type: take_text(raised, "type").unwrap_or_default(),
            message: take_text(raised, "value").unwrap_or_default(),
            level: take_text(&mut rest, "level").unwrap_or_default(),
            transaction: take_text(&mut rest, "transaction").unwrap_or_default(),
            tags: take_tags(&mut rest),
            user: take_map(&mut rest, "user"),
            fingerprint: Vec::new(),
            rest,
        }
    }

    pub(super) fn into_json(self) -> Map<String, Value> {
        let Self { exception_type, message, level, transaction, tags, user, fingerprint, mut rest } = self;
        if let Some(raised) = raised(&mut rest) {
            // Sentry rejects an exception without a type and a message.
            let exception_type = if exception_type.is_empty() { UNKNOWN_TYPE.to_owned() } else { exception_type };
            raised.insert("type".to_owned(), exception_type.into());
            raised.insert("value".to_owned(), cut(&message, MAX_VALUE).into());
        }
        let level = LEVELS.into_iter().find(|known| *known == level).unwrap_or("error");
        rest.insert("level".to_owned(), level.into());
        // That of a log record is not always known.
        if !transaction.is_empty() || !rest.contains_key("logger") {
            rest.insert("transaction".to_owned(), transaction_name(&transaction).into());
        }
        put_maps(&mut rest, tags, user);
        if !fingerprint.is_empty() {
            rest.insert("fingerprint".to_owned(), fingerprint.into());
        }
        rest
    }
}

/// The exception that was raised, which follows its causes.
fn raised(event: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    event.get_mut("exception")?.get_mut("values")?.as_array_mut()?.last_mut()?.as_object_mut()
}
