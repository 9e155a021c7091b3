//! Logs, as hooks see them.

use std::collections::BTreeMap;

use opentelemetry::{KeyValue, SpanId, TraceId, Value};

use crate::trace::{LogLine, SeverityNumber};

/// A log that is about to be sent, as a hook sees it.
///
/// A hook is set by [`with_before_send_log`](crate::SentryExporterBuilder::with_before_send_log). It sees the attributes of
/// the record. Those that every log has, such as `sentry.release`, are added after it, unless it sets them.
///
/// ```
/// use opentelemetry_sentry_exporter::SentryExporter;
///
/// let exporter = SentryExporter::builder()
///     .with_before_send_log(|mut log| {
///         log.attributes.remove("user.email");
///         (!log.body.contains("heartbeat")).then_some(log)
///     })
///     .build()?;
/// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct LogEvent {
    /// The text of the line.
    pub body: String,
    /// The level in Sentry's words: `fatal`, `error`, `warn`, `info`, `debug` or `trace`. A level that the hook changes has
    /// the lowest severity number of it. Any other text changes nothing.
    pub level: String,
    /// The attributes of the record.
    pub attributes: BTreeMap<String, Value>,
    /// What a hook cannot change.
    rest: LogLine,
}

impl LogEvent {
    /// The target of the record, such as `shop::orders`. Empty if it has none.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.rest.target
    }

    /// The trace's id, if the record belongs to a trace.
    #[must_use]
    pub const fn trace_id(&self) -> Option<TraceId> {
        self.rest.trace_id
    }

    /// The id of the active span, if there was one.
    #[must_use]
    pub const fn span_id(&self) -> Option<SpanId> {
        self.rest.span_id
    }

    pub(super) fn from_line(mut line: LogLine) -> Self {
        let attributes = std::mem::take(&mut line.attributes).into_iter();
        Self {
            body: std::mem::take(&mut line.body),
            level: line.severity.level().to_owned(),
            attributes: attributes.map(|attribute| (attribute.key.into(), attribute.value)).collect(),
            rest: line,
        }
    }

    pub(super) fn into_line(self) -> LogLine {
        let Self { body, level, attributes, rest } = self;
        let is_changed = level != rest.severity.level();
        let severity = SeverityNumber::of_text(&level).filter(|_| is_changed).unwrap_or(rest.severity);
        let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        LogLine { body, severity, attributes, ..rest }
    }
}
