//! The settings of metrics.

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sentry_exporter::MetricEvent;

use super::builder::SentryBuilder;

impl SentryBuilder {
    /// Sets whether the measurements of the [`meter_provider`](crate::Sentry::meter_provider) are sent to Sentry as metrics.
    /// Then [`install`](Self::install) makes it the global one. Defaults to `false`.
    ///
    /// ```
    /// use opentelemetry::metrics::MeterProvider;
    /// use opentelemetry_sentry::Sentry;
    ///
    /// let sentry = Sentry::builder().with_dsn("").with_metrics(true).build()?;
    /// let meter = sentry.meter_provider().meter("shop");
    /// meter.u64_counter("orders").build().add(1, &[]);
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    pub const fn with_metrics(mut self, on: bool) -> Self {
        self.metrics = on;
        self
    }

    /// Sets another meter provider that gets every measurement too, such as the one of an OTLP pipeline: OpenTelemetry has one
    /// global meter provider only. `Sentry` does not flush it or shut it down. Defaults to none.
    pub fn with_inner_meter_provider(mut self, provider: impl MeterProvider + Send + Sync + 'static) -> Self {
        self.inner_meters = Some(Box::new(provider));
        self
    }

    /// Sets a hook that can change each metric before it is sent, or drop it by returning `None`. Defaults to none. See
    /// [`MetricEvent`].
    ///
    /// ```
    /// use opentelemetry_sentry::Sentry;
    ///
    /// let builder = Sentry::builder().with_metrics(true).with_before_send_metric(|mut metric| {
    ///     metric.attributes.remove("http.route");
    ///     Some(metric)
    /// });
    /// ```
    pub fn with_before_send_metric(
        self,
        f: impl Fn(MetricEvent) -> Option<MetricEvent> + Send + Sync + 'static,
    ) -> Self {
        self.with_exporter(|exporter| exporter.with_before_send_metric(f))
    }
}
