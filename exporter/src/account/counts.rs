//! How many transactions, spans, errors, logs, metrics and check-ins an envelope, a trace or a file accounts for.

use std::ops::AddAssign;

/// How many transactions, spans, errors, logs, metrics and check-ins something accounts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Counts {
    pub(crate) transactions: u64,
    pub(crate) spans: u64,
    pub(crate) errors: u64,
    pub(crate) logs: u64,
    /// The size of these logs, as Sentry counts it for quotas.
    pub(crate) log_bytes: u64,
    pub(crate) metrics: u64,
    /// The size of these metrics, as Sentry counts it for quotas.
    pub(crate) metric_bytes: u64,
    /// Check-ins of cron monitors.
    pub(crate) check_ins: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Saturating: a damaged file can contain any number.
        self.transactions = self.transactions.saturating_add(other.transactions);
        self.spans = self.spans.saturating_add(other.spans);
        self.errors = self.errors.saturating_add(other.errors);
        self.logs = self.logs.saturating_add(other.logs);
        self.log_bytes = self.log_bytes.saturating_add(other.log_bytes);
        self.metrics = self.metrics.saturating_add(other.metrics);
        self.metric_bytes = self.metric_bytes.saturating_add(other.metric_bytes);
        self.check_ins = self.check_ins.saturating_add(other.check_ins);
    }
}

impl Counts {
    /// Nothing.
    pub(crate) const NOTHING: Self =
        Self { transactions: 0, spans: 0, errors: 0, logs: 0, log_bytes: 0, metrics: 0, metric_bytes: 0, check_ins: 0 };

    /// One error event.
    pub(crate) const ERROR: Self = Self::errors(1);

    /// One check-in.
    pub(crate) const CHECK_IN: Self = Self::check_ins(1);

    /// Check-ins.
    pub(crate) const fn check_ins(check_ins: usize) -> Self {
        Self { check_ins: check_ins as u64, ..Self::NOTHING }
    }

    /// Error events.
    pub(crate) const fn errors(errors: usize) -> Self {
        Self { errors: errors as u64, ..Self::NOTHING }
    }

    /// Spans that are not part of a transaction yet.
    pub(crate) const fn spans(spans: usize) -> Self {
        Self { spans: spans as u64, ..Self::NOTHING }
    }

    /// One transaction with this number of spans, its root included.
    pub(crate) const fn transaction(spans: usize) -> Self {
        Self { transactions: 1, ..Self::spans(spans) }
    }

    /// One log of this size.
    pub(crate) const fn log(bytes: u64) -> Self {
        Self { logs: 1, log_bytes: bytes, ..Self::NOTHING }
    }

    /// One metric of this size.
    #[cfg(any(test, feature = "metrics"))]
    pub(crate) const fn metric(bytes: u64) -> Self {
        Self { metrics: 1, metric_bytes: bytes, ..Self::NOTHING }
    }
}
