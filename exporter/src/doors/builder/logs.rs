//! Which log records are sent, and how many may wait.

use super::SentryExporterBuilder;
use crate::{packing::LogEvent, trace::LogFilter};

impl SentryExporterBuilder {
    /// Sets whether span events become logs when their span ends. Defaults to `false`.
    ///
    /// It is for applications that have log lines as span events only, such as `tracing` events under the layer of
    /// `tracing-opentelemetry`. Events in traces that are not sampled and lines outside of any span are missed, and a span has
    /// at most 128 events. If a `SentryLogProcessor` uses this exporter this setting has no effect, because each line would
    /// be sent twice. Measurements stay measurements.
    pub const fn with_logs_from_span_events(mut self, on: bool) -> Self {
        self.options.rules.logs_from_span_events = on;
        self
    }

    /// Sets a hook that may change each log before it is sent, or drop it by returning `None`. A panic also drops it. It runs
    /// on the exporter's thread. See [`LogEvent`] for an example. Defaults to none.
    pub fn with_before_send_log(mut self, f: impl Fn(LogEvent) -> Option<LogEvent> + Send + Sync + 'static) -> Self {
        self.options.rules.hooks.set_log(f);
        self
    }

    /// Adds filters for log records that are not sent, by target and level. A `SentryLogProcessor` applies them before it
    /// copies the record, and says so to an appender that asks first; such records are in no statistics. See [`LogFilter`] for
    /// an example. Defaults to no filters.
    pub fn with_ignore_logs(mut self, filters: impl IntoIterator<Item = impl Into<LogFilter>>) -> Self {
        self.options.log_filters.add(filters);
        self
    }

    /// Sets how many log records may wait to be converted. Above it a record is dropped and counted as
    /// [`QueueOverflow`](crate::DropReason::QueueOverflow). They take at most about 8 MiB, whatever the limit. Defaults to
    /// 1000, the limit of Sentry's specification.
    pub const fn with_log_limit(mut self, records: usize) -> Self {
        self.options.engine.log_limit = records;
        self
    }
}
