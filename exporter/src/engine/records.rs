//! The engine's side of log records: what the thread that emits one pays for.

use opentelemetry::{Context, InstrumentationScope, TraceId, logs::Severity};
use opentelemetry_sdk::logs::SdkLogRecord;
use opentelemetry_sentry_protocol::{RemoteTrace, SampleRand};

use super::{
    Engine,
    logs::{RecordKind, severity, severity_number, target},
};
use crate::{
    convert::EXCEPTION_KEYS,
    trace::{SeverityNumber, TraceContext},
};

impl Engine {
    /// Notes that a log processor uses it.
    pub(crate) fn expect_logs(&self) {
        self.shared.logs.expect_records();
    }

    /// Whether a record is wanted that does not exist yet.
    pub(crate) fn wants_log(&self, severity: Severity, target: &str) -> bool {
        !is_internal(target) && !self.log_filters.ignore(severity_number(severity), target)
    }

    /// Takes a record that was emitted on this thread.
    pub(crate) fn log(&self, record: &SdkLogRecord, scope: &InstrumentationScope) {
        let severity = severity(record);
        let target = target(record, scope);
        if is_internal(target) || self.log_filters.ignore(severity, target) {
            return;
        }
        let is_error = severity >= SeverityNumber::ERROR && self.makes_errors && has_exception(record);
        let kind = if is_error { RecordKind::Error(self.decided_context(record)) } else { RecordKind::Line };
        self.shared.logs.push(record, scope, kind, &self.shared.ledger);
    }

    /// What the sampler decided about the trace of a record. It is asked on the thread that emits, because a trace that is
    /// not sampled leaves nothing else behind.
    fn decided_context(&self, record: &SdkLogRecord) -> Option<TraceContext> {
        let trace_id = record.trace_context()?.trace_id;
        Context::map_current(|cx| self.context_of(cx, trace_id))
    }

    fn context_of(&self, cx: &Context, trace_id: TraceId) -> Option<TraceContext> {
        let remote = RemoteTrace::from_context(cx);
        let decision = self.decisions.find(remote, trace_id)?;
        let incoming = remote.and_then(|remote| remote.incoming(trace_id));
        let rand = incoming.map_or_else(|| SampleRand::from_trace_id(trace_id), |incoming| incoming.sample_rand);
        Some(TraceContext::of_decision(&decision, rand))
    }
}

/// Whether a record is of OpenTelemetry or of this library (their features `internal-logs`). One that says that the queue is
/// full would make it fuller. No module has such a target: crates of an application have `::` in theirs, or another name.
#[inline]
fn is_internal(target: &str) -> bool {
    const NAMES: [&str; 4] = ["", "_sdk", "-http", "_http"];
    let rest = target.strip_prefix("opentelemetry");
    rest.is_some_and(|rest| rest.starts_with("-sentry") || NAMES.contains(&rest))
}

/// Whether a record has an attribute that makes it an error event.
fn has_exception(record: &SdkLogRecord) -> bool {
    record.attributes_iter().any(|(key, _)| EXCEPTION_KEYS.contains(&key.as_str()))
}
