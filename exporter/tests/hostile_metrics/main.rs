//! Metrics of applications that panic, call back, end, or measure what makes no sense: everything is counted, and nothing else
//! is lost.

mod calls;
mod ends;
mod inner;
mod texts;

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sentry_exporter::{
    SentryExporter, SentryExporterBuilder, SentryMeterProvider, Stats,
    testing::{LocalIngest, Metric},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A meter provider whose metrics go to an ingest.
pub(crate) struct Metrics {
    pub(crate) ingest: LocalIngest,
    pub(crate) provider: SentryMeterProvider,
}

impl Metrics {
    pub(crate) fn start(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Self {
        let ingest = LocalIngest::start().expect("a free port");
        let exporter = set_up(SentryExporter::builder().with_dsn(ingest.dsn())).build().expect("a valid setup");
        Self { ingest, provider: SentryMeterProvider::from(exporter) }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("")
    }

    /// The values that arrived, by name.
    pub(crate) fn values(&self) -> BTreeMap<String, Vec<f64>> {
        let mut values = BTreeMap::<_, Vec<_>>::new();
        self.ingest
            .metrics()
            .into_iter()
            .for_each(|Metric { name, value, .. }| values.entry(name).or_default().push(value));
        values
    }

    pub(crate) fn flush(&self) -> BTreeMap<String, Vec<f64>> {
        assert_eq!(self.provider.flush(PATIENCE), Ok(()));
        self.values()
    }
}

pub(crate) fn is_balanced(stats: &Stats) -> bool {
    stats.metrics_received == stats.metrics_sent + stats.metrics_dropped()
}
