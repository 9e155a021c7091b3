//! The numbers that the application can read.

use std::{collections::BTreeMap, fmt, ops::AddAssign};

use super::{counts::Counts, drop_reason::DropReason};

/// How much was dropped for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Spans, roots of transactions included.
    pub spans: u64,
    /// Transactions. A span that was dropped before its trace was assembled counts only if it was a local root.
    pub transactions: u64,
    /// Error events.
    pub errors: u64,
    /// Logs.
    pub logs: u64,
    /// The size of these logs, as Sentry counts it for quotas: their bodies, and the keys and values of their attributes.
    pub log_bytes: u64,
    /// Metrics, as items: a counter's sum, a gauge's value or a histogram's value. A measurement that is dropped before it is in
    /// an item counts as one.
    pub metrics: u64,
    /// The size of these metrics, as Sentry counts it for quotas: their names and values, and the keys and values of their
    /// attributes.
    pub metric_bytes: u64,
    /// Check-ins of cron monitors.
    pub check_ins: u64,
}

impl From<Counts> for Dropped {
    fn from(counts: Counts) -> Self {
        let Counts { transactions, spans, errors, logs, log_bytes, metrics, metric_bytes, check_ins } = counts;
        Self { spans, transactions, errors, logs, log_bytes, metrics, metric_bytes, check_ins }
    }
}

/// How much was cut off to keep within Sentry's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trimmed {
    /// Names, values and texts that were shortened or left out.
    pub values: u64,
    /// The bytes that were removed.
    pub bytes: u64,
}

impl AddAssign for Trimmed {
    fn add_assign(&mut self, other: Self) {
        self.values += other.values;
        self.bytes += other.bytes;
    }
}

/// What has happened so far, in numbers.
///
/// At rest (nothing is open, pending or in flight) `spans_received` is `spans_sent` plus `spans_spooled` plus the spans
/// in `dropped`; `logs_received`, `metrics_received` and `check_ins_received` are the same sums for logs, metrics and check-ins.
/// Envelopes that another process stored in the spool directory count as received when they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sampled spans that ended and reached the exporter, and one for each local root that the sampler decided against.
    pub spans_received: u64,
    /// Spans in envelopes that the server accepted, roots of transactions included.
    pub spans_sent: u64,
    /// Transactions that the server accepted.
    pub transactions_sent: u64,
    /// Error events that the server accepted.
    pub errors_sent: u64,
    /// Logs that reached the exporter, without those that a filter for severities or targets left out.
    pub logs_received: u64,
    /// Logs in envelopes that the server accepted.
    pub logs_sent: u64,
    /// Logs in envelopes of this process that are on disk, to be sent later.
    pub logs_spooled: u64,
    /// Logs that are not yet sent, dropped or kept on disk.
    pub logs_pending: u64,
    /// Metrics that were collected: one for each counter and gauge of a flush, and one for each value that a histogram kept.
    pub metrics_received: u64,
    /// Metrics in envelopes that the server accepted.
    pub metrics_sent: u64,
    /// Metrics in envelopes of this process that are on disk, to be sent later.
    pub metrics_spooled: u64,
    /// Metrics that are not yet sent, dropped or kept on disk. What instruments have measured since the last flush is not yet
    /// in it.
    pub metrics_pending: u64,
    /// Check-ins of cron monitors that jobs made: one when a job starts and one when it ends.
    pub check_ins_received: u64,
    /// Check-ins in envelopes that the server accepted.
    pub check_ins_sent: u64,
    /// Check-ins in envelopes of this process that are on disk, to be sent later.
    pub check_ins_spooled: u64,
    /// Check-ins that are not yet sent, dropped or kept on disk.
    pub check_ins_pending: u64,
    /// Envelopes that wait to be sent or for their answer.
    pub envelopes_in_flight: u64,
    /// Spans in envelopes of this process that are on disk, to be sent later.
    pub spans_spooled: u64,
    /// Spans that are not yet sent, dropped or kept on disk.
    pub spans_pending: u64,
    /// The estimated bytes of spans that wait for their local root or for conversion.
    pub pending_bytes: u64,
    /// Bytes of serialised envelopes that wait to be sent.
    pub queued_bytes: u64,
    /// What was shortened before it was sent.
    pub trimmed: Trimmed,
    /// What was not delivered, by reason. A reason that never occurred is left out.
    pub dropped: BTreeMap<DropReason, Dropped>,
}

impl AddAssign for Dropped {
    fn add_assign(&mut self, more: Self) {
        self.spans += more.spans;
        self.transactions += more.transactions;
        self.errors += more.errors;
        self.logs += more.logs;
        self.log_bytes += more.log_bytes;
        self.metrics += more.metrics;
        self.metric_bytes += more.metric_bytes;
        self.check_ins += more.check_ins;
    }
}

impl Stats {
    /// All spans that were dropped, for any reason.
    #[must_use]
    pub fn spans_dropped(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.spans).sum()
    }

    /// All logs that were dropped, for any reason.
    #[must_use]
    pub fn logs_dropped(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.logs).sum()
    }

    /// All logs that were lost: dropped for a reason that the application did not ask for.
    #[must_use]
    pub fn logs_lost(&self) -> u64 {
        self.dropped.iter().filter(|(reason, _)| !reason.is_wanted()).map(|(_, dropped)| dropped.logs).sum()
    }

    /// All metrics that were dropped, for any reason.
    #[must_use]
    pub fn metrics_dropped(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.metrics).sum()
    }

    /// All metrics that were lost: dropped for a reason that the application did not ask for.
    #[must_use]
    pub fn metrics_lost(&self) -> u64 {
        self.dropped.iter().filter(|(reason, _)| !reason.is_wanted()).map(|(_, dropped)| dropped.metrics).sum()
    }

    /// All check-ins that were dropped, for any reason.
    #[must_use]
    pub fn check_ins_dropped(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.check_ins).sum()
    }

    /// All check-ins that were lost: dropped for a reason that the application did not ask for.
    #[must_use]
    pub fn check_ins_lost(&self) -> u64 {
        self.dropped.iter().filter(|(reason, _)| !reason.is_wanted()).map(|(_, dropped)| dropped.check_ins).sum()
    }

    /// All spans that were lost: dropped for a reason that the application did not ask for.
    #[must_use]
    pub fn spans_lost(&self) -> u64 {
        self.dropped.iter().filter(|(reason, _)| !reason.is_wanted()).map(|(_, dropped)| dropped.spans).sum()
    }
}

impl fmt::Display for Stats {
    /// One line, such as `spans received: 13, sent: 10, dropped: 3 (send_error 3); transactions sent: 4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans_received, spans_sent, transactions_sent, errors_sent, .. } = self;
        write!(f, "spans received: {spans_received}, sent: {spans_sent}, dropped: {}", self.spans_dropped())?;
        let reasons = self.dropped.iter().filter(|(_, dropped)| dropped.spans > 0);
        let reasons = reasons.map(|(reason, dropped)| format!("{reason} {}", dropped.spans));
        match reasons.collect::<Vec<_>>().join(", ") {
            reasons if reasons.is_empty() => {}
            reasons => write!(f, " ({reasons})")?,
        }
        for (word, number) in [("kept on disk", self.spans_spooled), ("pending", self.spans_pending)] {
            if number > 0 {
                write!(f, ", {word}: {number}")?;
            }
        }
        write!(f, "; transactions sent: {transactions_sent}")?;
        let errors_dropped: u64 = self.dropped.values().map(|dropped| dropped.errors).sum();
        let logs = [("sent", self.logs_sent), ("dropped", self.logs_dropped()), ("kept on disk", self.logs_spooled)];
        let errors = [("sent", *errors_sent), ("dropped", errors_dropped)];
        let errors = errors.map(|(word, number)| ("errors", word, number));
        let logs = logs.map(|(word, number)| ("logs", word, number));
        let metrics =
            [("sent", self.metrics_sent), ("dropped", self.metrics_dropped()), ("kept on disk", self.metrics_spooled)];
        let metrics = metrics.map(|(word, number)| ("metrics", word, number));
        let check_ins = [
            ("sent", self.check_ins_sent),
            ("dropped", self.check_ins_dropped()),
            ("kept on disk", self.check_ins_spooled),
        ];
        let check_ins = check_ins.map(|(word, number)| ("check-ins", word, number));
        for (kind, word, number) in errors.into_iter().chain(logs).chain(metrics).chain(check_ins) {
            if number > 0 {
                write!(f, ", {kind} {word}: {number}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_lists_no_reason_without_spans() {
        let dropped = |spans, errors| Dropped {
            spans,
            errors,
            logs: errors,
            metrics: errors,
            check_ins: errors,
            ..Dropped::default()
        };
        let dropped = [(DropReason::RateLimited, dropped(0, 2)), (DropReason::SendError, dropped(3, 0))];
        let stats = Stats { spans_received: 3, dropped: BTreeMap::from(dropped), ..Stats::default() };
        let text = "spans received: 3, sent: 0, dropped: 3 (send_error 3); transactions sent: 0, errors dropped: 2, logs dropped: 2, metrics dropped: 2, check-ins dropped: 2";
        assert_eq!(stats.to_string(), text);
    }
}
