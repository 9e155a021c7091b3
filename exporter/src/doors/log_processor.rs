//! The door for log records.

use std::{sync::Arc, time::Duration};

use opentelemetry::{InstrumentationScope, logs::Severity};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogProcessor, SdkLogRecord},
};
use opentelemetry_sentry_protocol::__shared::own_thread;

use super::{
    exporter::{FLUSH_TIMEOUT, sdk_result},
    membership::Membership,
    sharing::shares_engine,
};
use crate::{
    account::Stats,
    engine::{Engine, FlushError},
};

/// Sends log records to Sentry as logs.
///
/// It is a processor for any logger provider, beside other processors, which see each record as it was. `emit` copies the
/// record and never waits for the network. Logs leave in envelopes of up to 100, at the latest after five seconds.
///
/// A log belongs to the trace and the span that are active when it is emitted. In a trace that is not sampled it belongs to
/// the trace alone, because its span is never sent. Outside of any trace all logs of a process have the same trace id.
///
/// ```
/// use opentelemetry::logs::{LogRecord, Logger, LoggerProvider, Severity};
/// use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
/// use opentelemetry_sentry_exporter::{SentryExporter, SentryLogProcessor, SentrySpanProcessor};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ingest = opentelemetry_sentry_exporter::testing::LocalIngest::start()?;
/// # let dsn = ingest.dsn();
/// let exporter = SentryExporter::builder().with_dsn(dsn).with_release("shop@1.2.3").build()?;
/// let spans = SentrySpanProcessor::from(exporter);
/// let logs = SentryLogProcessor::from(&spans); // one thread and one queue for both
///
/// let tracer_provider = SdkTracerProvider::builder().with_span_processor(spans).build();
/// let logger_provider = SdkLoggerProvider::builder().with_log_processor(logs).build();
///
/// let logger = logger_provider.logger("shop");
/// let mut record = logger.create_log_record();
/// record.set_severity_number(Severity::Info);
/// record.set_body("order placed".into());
/// record.add_attribute("order.items", 3);
/// logger.emit(record);
///
/// logger_provider.shutdown()?;
/// tracer_provider.shutdown()?;
/// # assert_eq!(ingest.envelopes()[0].items()[0].item_type(), "log");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct SentryLogProcessor {
    engine: Option<Arc<Engine>>,
    membership: Membership,
}

impl Clone for SentryLogProcessor {
    fn clone(&self) -> Self {
        Self::new(self.engine.clone())
    }
}

impl SentryLogProcessor {
    fn new(engine: Option<Arc<Engine>>) -> Self {
        Self { engine, membership: Membership::default() }
    }

    /// What was received, sent and dropped so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.as_ref().map(|engine| engine.stats()).unwrap_or_default()
    }

    /// Sends all logs that were emitted so far, and all spans that have ended, and waits until the server has accepted them.
    ///
    /// # Errors
    ///
    /// See [`SentrySpanProcessor::flush`](crate::SentrySpanProcessor::flush).
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.flush(timeout))
    }

    /// Accepts no more logs and spans, sends all that there are, and ends the exporter's thread.
    ///
    /// # Errors
    ///
    /// See [`SentrySpanProcessor::shutdown`](crate::SentrySpanProcessor::shutdown).
    pub fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.shutdown(timeout))
    }
}

shares_engine!(SentryLogProcessor, "For logs without spans.");

impl LogProcessor for SentryLogProcessor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if let Some(engine) = self.engine.as_ref().filter(|_| !own_thread::is_marked()) {
            engine.log(record, scope);
        }
    }

    fn event_enabled(&self, severity: Severity, target: &str, _: Option<&str>) -> bool {
        let is_enabled = |engine: &Arc<Engine>| engine.wants_log(severity, target);
        self.engine.as_ref().is_some_and(is_enabled) && !own_thread::is_marked()
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
            // A logger provider calls this once, when it is built.
            self.membership.join(engine);
            engine.expect_logs();
            engine.set_resource(resource.clone());
        }
    }
}
