//! The door for OpenTelemetry's own span processors.

use std::{sync::Arc, time::Duration};

use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};

use crate::{
    account::Stats,
    engine::{Engine, FlushError},
};

/// How long a flush without a timeout may take, as in the SDK's processors.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Turns ended spans into Sentry transactions and delivers them.
///
/// `export` hands the spans to the exporter's thread and never waits for the network. Spans whose local root has not
/// ended yet wait for it, across any number of batches. Without a DSN and without Spotlight all spans are discarded.
///
/// See the [crate documentation](crate) for an example and for the advantages of
/// [`SentrySpanProcessor`](crate::SentrySpanProcessor).
#[derive(Debug)]
pub struct SentryExporter {
    engine: Option<Arc<Engine>>,
}

impl SentryExporter {
    pub(crate) const fn new(engine: Option<Arc<Engine>>) -> Self {
        Self { engine }
    }

    /// What was received, sent and dropped so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.as_ref().map(|engine| engine.stats()).unwrap_or_default()
    }

    pub(crate) const fn engine(&self) -> Option<&Arc<Engine>> {
        self.engine.as_ref()
    }

    pub(crate) fn into_engine(self) -> Option<Arc<Engine>> {
        self.engine
    }
}

impl SpanExporter for SentryExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if let Some(engine) = self.engine() {
            for mut span in batch {
                if let Some(place) = engine.place(&mut span) {
                    place.fill(span);
                }
            }
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        sdk_result(self.engine().map_or(Ok(()), |engine| engine.flush(FLUSH_TIMEOUT)))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        sdk_result(self.engine().map_or(Ok(()), |engine| engine.shutdown(timeout)))
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(engine) = self.engine() {
            engine.set_resource(resource.clone());
        }
    }
}

pub(crate) fn sdk_result(result: Result<(), FlushError>) -> OTelSdkResult {
    result.map_err(|error| match error {
        FlushError::AlreadyShutdown => OTelSdkError::AlreadyShutdown,
        FlushError::Timeout(timeout) => OTelSdkError::Timeout(timeout),
        FlushError::CheckInsKeptOnDisk { .. }
        | FlushError::CheckInsUndelivered { .. }
        | FlushError::Forked
        | FlushError::KeptOnDisk { .. }
        | FlushError::LogsKeptOnDisk { .. }
        | FlushError::LogsUndelivered { .. }
        | FlushError::MetricsKeptOnDisk { .. }
        | FlushError::MetricsUndelivered { .. }
        | FlushError::OnWorkerThread
        | FlushError::Stopped
        | FlushError::Undelivered { .. }
        | FlushError::Waiting => OTelSdkError::InternalFailure(error.to_string()),
    })
}
