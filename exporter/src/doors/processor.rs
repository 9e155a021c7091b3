//! The front door that loses nothing.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    Context,
    trace::{Span as _, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use opentelemetry_sentry_protocol::__shared::own_thread;

use super::exporter::{FLUSH_TIMEOUT, SentryExporter, sdk_result};
use crate::{
    account::Stats,
    engine::{Engine, FlushError},
    transport::Problem,
};

/// Hands ended spans to the engine that assembles, converts and delivers them.
///
/// It takes the place of OpenTelemetry's batch processor. A call costs the application one short lock; nothing waits
/// for the network, and when the network cannot keep up, memory is bounded and each loss is counted in
/// [`stats`](Self::stats). Cloning is cheap, and clones are the same processor.
///
/// See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct SentrySpanProcessor {
    engine: Option<Arc<Engine>>,
}

impl SentrySpanProcessor {
    /// What was received, sent and dropped so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.as_ref().map(|engine| engine.stats()).unwrap_or_default()
    }

    /// Asks the server whether it takes our DSN, and returns what is wrong; an empty list if nothing is. It may take as
    /// long as `timeout`.
    ///
    /// ```no_run
    /// # use opentelemetry_sentry_exporter::{SentryExporter, SentrySpanProcessor};
    /// # let processor = SentrySpanProcessor::from(SentryExporter::builder().build()?);
    /// for problem in processor.check(std::time::Duration::from_secs(5)) {
    ///     eprintln!("{problem}");
    /// }
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    #[must_use]
    pub fn check(&self, timeout: Duration) -> Vec<Problem> {
        self.engine.as_ref().map_or_else(|| vec![Problem::NoDsn], |engine| engine.check(timeout))
    }

    /// Sends everything that has ended so far, whether or not its local root has, and waits until it has arrived.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout`, if a span could not be delivered since the last flush, or after a shutdown.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.flush(timeout))
    }

    /// Takes no more spans, and sends what there is.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout` (what is left is then dropped and counted), if a span could not be delivered
    /// since the last flush, or the second time.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.shutdown(timeout))
    }
}

impl From<SentryExporter> for SentrySpanProcessor {
    fn from(exporter: SentryExporter) -> Self {
        let engine = exporter.into_engine();
        if let Some(engine) = &engine {
            engine.expect_roots();
        }
        Self { engine }
    }
}

impl SpanProcessor for SentrySpanProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        // Most spans have a parent in this process.
        let parent = cx.span();
        let is_local_root = !parent.span_context().is_valid() || parent.span_context().is_remote();
        let span = span.span_context();
        if !is_local_root || !span.is_sampled() || own_thread::is_marked() {
            return;
        }
        if let Some(engine) = &self.engine {
            engine.started(span.trace_id(), span.span_id(), cx);
        }
    }

    fn on_end(&self, span: SpanData) {
        if let Some(engine) = self.engine.as_ref().filter(|_| !own_thread::is_marked()) {
            engine.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        sdk_result(self.flush(FLUSH_TIMEOUT))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        sdk_result(self.shutdown(timeout))
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(engine) = &self.engine {
            engine.set_resource(resource.clone());
        }
    }
}
