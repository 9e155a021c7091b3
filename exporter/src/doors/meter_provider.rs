//! The door for metrics.

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry::{
    InstrumentationScope,
    metrics::{Meter, MeterProvider},
};
use opentelemetry_sdk::Resource;

use super::{
    meter::{SentryMeter, contained},
    sharing::shares_engine,
};
use crate::{
    account::Stats,
    engine::{Engine, FlushError},
};

/// Sends metrics to Sentry: the sum of each counter, the last value of each gauge, and the raw values of each histogram.
///
/// It takes the place of the SDK's meter provider, whose histograms are bucketed before an exporter sees them. Every meter and
/// instrument of OpenTelemetry works with it, and so does `tracing_opentelemetry::MetricsLayer`. There are no views and no
/// readers: instruments are collected every five seconds, at a flush and at the shutdown, on the exporter's thread, where
/// callbacks of observable instruments run too.
///
/// A value of a histogram belongs to the trace and the span that are active when it is recorded. Of more than 100 values of one
/// series in five seconds, 100 are sent: a fair sample, with its rate.
///
/// ```
/// use opentelemetry::{KeyValue, metrics::MeterProvider};
/// use opentelemetry_sentry_exporter::{SentryExporter, SentryMeterProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ingest = opentelemetry_sentry_exporter::testing::LocalIngest::start()?;
/// # let dsn = ingest.dsn();
/// let exporter = SentryExporter::builder().with_dsn(dsn).with_release("shop@1.2.3").build()?;
/// let provider = SentryMeterProvider::from(exporter);
///
/// let meter = provider.meter("shop");
/// let orders = meter.u64_counter("orders").build();
/// orders.add(2, &[KeyValue::new("plan", "free")]);
/// orders.add(3, &[KeyValue::new("plan", "free")]);
/// let latency = meter.f64_histogram("checkout.duration").with_unit("ms").build();
/// latency.record(12.5, &[]);
///
/// provider.shutdown(std::time::Duration::from_secs(2))?;
/// # assert_eq!(provider.stats().metrics_sent, 2);
/// # assert_eq!(ingest.metric("orders").value, 5.0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SentryMeterProvider {
    engine: Option<Arc<Engine>>,
    inner: Option<Arc<dyn MeterProvider + Send + Sync>>,
}

impl fmt::Debug for SentryMeterProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentryMeterProvider").finish_non_exhaustive()
    }
}

impl SentryMeterProvider {
    const fn new(engine: Option<Arc<Engine>>) -> Self {
        Self { engine, inner: None }
    }

    /// A provider that sends nothing to Sentry. With [`with_inner`](Self::with_inner) it still forwards.
    #[must_use]
    pub const fn disabled() -> Self {
        Self::new(None)
    }

    /// Sets another meter provider that gets every measurement too, such as the one of an OTLP pipeline. OpenTelemetry has one
    /// global meter provider only. Callbacks run for both. A panic of the inner provider costs what it was called for. It is
    /// not flushed or shut down here. Defaults to none.
    #[must_use]
    pub fn with_inner(mut self, provider: impl MeterProvider + Send + Sync + 'static) -> Self {
        self.inner = Some(Arc::new(provider));
        self
    }

    /// Sets the resource, for metrics without spans: with a tracer provider it is that provider's. Defaults to none.
    #[must_use]
    pub fn with_resource(self, resource: Resource) -> Self {
        if let Some(engine) = &self.engine {
            engine.set_resource(resource);
        }
        self
    }

    /// What was received, sent and dropped so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.as_ref().map(|engine| engine.stats()).unwrap_or_default()
    }

    /// Collects all instruments, sends everything, also spans and logs, and waits until the server has accepted it.
    ///
    /// # Errors
    ///
    /// See [`SentrySpanProcessor::flush`](crate::SentrySpanProcessor::flush).
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.flush(timeout))
    }

    /// Collects all instruments one last time, sends everything, and ends the exporter's thread. What is measured later is
    /// counted as dropped.
    ///
    /// # Errors
    ///
    /// See [`SentrySpanProcessor::shutdown`](crate::SentrySpanProcessor::shutdown).
    pub fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.shutdown(timeout))
    }
}

shares_engine!(SentryMeterProvider, "For metrics without spans.");

impl MeterProvider for SentryMeterProvider {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        let inner = self.inner.as_ref().and_then(|inner| contained(|| inner.meter_with_scope(scope.clone())));
        let store = self.engine.as_ref().map(|engine| Arc::clone(engine.metrics()));
        Meter::new(Arc::new(SentryMeter { store, scope, inner }))
    }
}
