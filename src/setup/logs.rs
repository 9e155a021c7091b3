//! Log records: the settings of the facade, the logger provider, and the layer for `tracing`.

use opentelemetry_sentry_exporter::{LogEvent, SentryExporterBuilder};

use super::builder::SentryBuilder;

impl SentryBuilder {
    /// Sets whether log records are sent to Sentry: those of [`logger_provider`](crate::Sentry::logger_provider) and, with
    /// the feature `tracing`, the events that [`log_layer`](crate::Sentry::log_layer) sees. Defaults to `false`.
    ///
    /// ```
    /// use opentelemetry_sentry::Sentry;
    ///
    /// let sentry = Sentry::builder().with_traces_sample_rate(0.25).with_logs(true).build()?;
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    #[cfg(feature = "logs")]
    pub const fn with_logs(mut self, on: bool) -> Self {
        self.logs = on;
        self
    }

    /// Sets whether span events become logs when their span ends, for applications that have no log records. With
    /// `with_logs` it has no effect. Defaults to `false`. See [`SentryExporterBuilder::with_logs_from_span_events`].
    pub fn with_logs_from_span_events(self, on: bool) -> Self {
        self.with_exporter(|exporter| exporter.with_logs_from_span_events(on))
    }

    /// Sets a hook that may change each log before it is sent, or drop it by returning `None`. Defaults to none. See
    /// [`SentryExporterBuilder::with_before_send_log`].
    ///
    /// ```
    /// use opentelemetry_sentry::Sentry;
    ///
    /// let builder = Sentry::builder().with_before_send_log(|mut log| {
    ///     log.attributes.remove("user.email");
    ///     (log.target() != "shop::noise").then_some(log)
    /// });
    /// ```
    pub fn with_before_send_log(self, f: impl Fn(LogEvent) -> Option<LogEvent> + Send + Sync + 'static) -> Self {
        self.with_exporter(|exporter: SentryExporterBuilder| exporter.with_before_send_log(f))
    }
}
