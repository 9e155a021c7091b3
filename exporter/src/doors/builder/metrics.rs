//! Which metrics are sent.

use wildmatch::WildMatch;

use super::SentryExporterBuilder;
use crate::packing::MetricEvent;

impl SentryExporterBuilder {
    /// Sets a hook that may change each metric before it is sent, or drop it by returning `None`. A panic also drops it. It runs
    /// on the exporter's thread, after the measurements of a flush were summed. See [`MetricEvent`] for an example. Defaults to
    /// none.
    pub fn with_before_send_metric(
        mut self,
        f: impl Fn(MetricEvent) -> Option<MetricEvent> + Send + Sync + 'static,
    ) -> Self {
        self.options.rules.hooks.set_metric(f);
        self
    }

    /// Adds names of metrics that are not sent. `*` matches any text, and `?` one character. Their instruments cost nothing,
    /// and they are in no statistics. Defaults to none.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder().with_ignore_metrics(["tokio.*", "process.uptime"]).build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_ignore_metrics(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.options.ignored_metrics.extend(names.into_iter().map(|name| WildMatch::new(name.as_ref())));
        self
    }
}
