//! What arrived by OTLP, for a test.

use crate::{
    LocalIngest,
    journal::Journal,
    otlp::{Otlp, OtlpLog, OtlpSpan},
    typed::only,
};

impl LocalIngest {
    /// All spans that arrived by OTLP and were answered with a 2xx status, in the order in which they were sent.
    ///
    /// `ingest.wait_until(timeout, |_| ingest.otlp_spans().len() == 2)` waits for two.
    #[must_use]
    pub fn otlp_spans(&self) -> Vec<OtlpSpan> {
        self.journal.read(Journal::otlp).iter().flat_map(Otlp::spans).collect()
    }

    /// The span with this name that arrived by OTLP.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the spans.
    #[must_use]
    #[track_caller]
    pub fn otlp_span(&self, name: &str) -> OtlpSpan {
        only("OTLP span", name, &self.otlp_spans(), |one| one.name == name, |one| &one.name).clone()
    }

    /// All logs that arrived by OTLP and were answered with a 2xx status, in the order in which they were sent.
    #[must_use]
    pub fn otlp_logs(&self) -> Vec<OtlpLog> {
        self.journal.read(Journal::otlp).iter().flat_map(Otlp::logs).collect()
    }

    /// The log that arrived by OTLP and whose body contains this text.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the logs.
    #[must_use]
    #[track_caller]
    pub fn otlp_log(&self, part: &str) -> OtlpLog {
        only("OTLP log", part, &self.otlp_logs(), |one| one.body.contains(part), |one| &one.body).clone()
    }
}
