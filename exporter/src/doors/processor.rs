//! The door that loses nothing: a span processor of its own.

use std::{sync::Arc, thread, time::Duration};

use opentelemetry::{
    Context,
    trace::{Span as _, Status, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use opentelemetry_sentry_protocol::__shared::{monitored, own_thread};

use super::{
    exporter::{FLUSH_TIMEOUT, SentryExporter, sdk_result},
    membership::Membership,
};
use crate::{
    account::Stats,
    engine::{Engine, FlushError},
    transport::Problem,
};

/// Hands ended spans to the engine that assembles, converts and delivers them.
///
/// It takes the place of OpenTelemetry's batch processor. A call costs the application one short lock; nothing waits
/// for the network, and when the network cannot keep up, memory is bounded and each loss is counted in
/// [`stats`](Self::stats). Cloning is cheap, and clones are the same processor. Several tracer providers may have one:
/// it ends with the last of them.
///
/// See the [crate documentation](crate) for an example.
#[derive(Debug)]
pub struct SentrySpanProcessor {
    engine: Option<Arc<Engine>>,
    membership: Membership,
}

impl Clone for SentrySpanProcessor {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), membership: Membership::default() }
    }
}

impl SentrySpanProcessor {
    pub(super) const fn engine(&self) -> Option<&Arc<Engine>> {
        self.engine.as_ref()
    }

    /// What was received, sent and dropped so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.as_ref().map(|engine| engine.stats()).unwrap_or_default()
    }

    /// Asks the server whether it accepts the DSN, and returns all problems with the setup. It waits for up to
    /// `timeout`.
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

    /// Sends all spans that have ended so far, even if their local root is still open, and waits until the server has
    /// accepted them.
    ///
    /// # Errors
    ///
    /// If this takes longer than `timeout`, if a span was lost since the last flush, if spans are kept on disk for
    /// later, or after a shutdown. See [`FlushError`].
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.flush(timeout))
    }

    /// Sends what is complete, and waits until the server has accepted it: all traces whose local root has ended, all streamed
    /// spans, log lines and measurements. Spans below a local root that is still open stay, so no other request is torn. It
    /// is for the end of a request or an invocation, and blocks no thread.
    ///
    /// It needs no runtime. A blocking HTTP client that holds the exporter's thread holds this future beyond `timeout`, too;
    /// `web::FlushLayer` of the crate `opentelemetry-sentry` has a timer for that. To drop the future is no loss.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn flush_ended(&self, timeout: Duration) -> Result<(), FlushError> {
        match &self.engine {
            Some(engine) => engine.flush_ended(timeout).await,
            None => Ok(()),
        }
    }

    /// Accepts no more spans, sends all that have ended so far, and ends the exporter's thread.
    ///
    /// What is not delivered within `timeout` is kept on disk if there is a spool directory; otherwise it is dropped
    /// and counted.
    ///
    /// # Errors
    ///
    /// If a span was lost since the last flush or is kept on disk for later, or if the exporter was shut down before.
    /// See
    /// [`FlushError`].
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
        Self { engine, membership: Membership::default() }
    }
}

impl SpanProcessor for SentrySpanProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        if let Some(engine) = &self.engine {
            engine.databases().started(|| span.span_context().span_id());
        }
        let parent = cx.span();
        let is_local_root = !parent.span_context().is_valid() || parent.span_context().is_remote();
        let cx_of_span = span.span_context();
        let (trace_id, span_id) = (cx_of_span.trace_id(), cx_of_span.span_id());
        let is_monitored = monitored::is_marked(trace_id);
        // As transactions, most spans have a parent in this process and cost nothing beyond this check.
        let is_noted = |engine: &&Arc<Engine>| is_local_root || is_monitored || engine.is_stream();
        let Some(engine) = self.engine.as_ref().filter(is_noted) else { return };
        if own_thread::is_marked() {
            return;
        }
        if is_monitored && !job_started(engine, span) {
            monitored::clear();
        }
        if !cx_of_span.is_sampled() {
            return;
        }
        if !is_local_root && engine.is_stream() {
            engine.child_started(trace_id, span_id, parent.span_context().span_id(), || span.exported_data());
        } else if is_local_root {
            let is_for_sentry = engine.started(trace_id, span_id, cx);
            // Other samplers leave no mark.
            if !is_monitored && engine.has_other_sampler() {
                job_started(engine, span);
            }
            if is_for_sentry {
                engine.segment_started(trace_id, span_id, || span.exported_data());
            }
        }
    }

    fn on_end(&self, mut span: SpanData) {
        if let Some(engine) = self.engine.as_ref().filter(|_| !own_thread::is_marked()) {
            // A panic ends it before its status was set.
            if span.status == Status::Unset && thread::panicking() {
                span.status = Status::error("internal_error");
            }
            if let Some(place) = engine.place(&mut span) {
                place.fill(span);
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        sdk_result(self.flush(FLUSH_TIMEOUT))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let Some(engine) = &self.engine else { return Ok(()) };
        sdk_result(self.membership.shut_down(engine, timeout))
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(engine) = &self.engine {
            // A tracer provider calls this once, when it is built.
            self.membership.join(engine);
            engine.set_resource(resource.clone());
        }
    }
}

/// Checks in for a span that starts, if it is a job of a cron monitor. Returns whether it is. To read a span copies it.
fn job_started(engine: &Engine, span: &Span) -> bool {
    span.exported_data().is_some_and(|span| engine.job_started(&span))
}
