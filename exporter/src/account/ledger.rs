//! The counters of everything that was received, sent, kept on disk and dropped.

use std::{
    fmt, mem,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use opentelemetry_sentry_protocol::{DecisionLog, Unsampled};

use super::{
    counts::Counts,
    drop_reason::DropReason,
    stats::{Dropped, Stats, Trimmed},
};

/// What the sampler decided against. Of a trace it counts the local root alone, because the spans below that are not known;
/// of a stream it counts each span.
pub(crate) fn unsampled(decisions: &DecisionLog) -> impl Iterator<Item = (DropReason, Dropped)> {
    let is_stream = decisions.streaming().is_some();
    let reasons = [
        (DropReason::Backpressure, Unsampled::Backpressure),
        (DropReason::Ignored, Unsampled::Ignored),
        (DropReason::SampleRate, Unsampled::SampleRate),
    ];
    let counts = reasons.map(|(reason, why)| (reason, decisions.feedback().unsampled(why)));
    counts.into_iter().filter(|(_, spans)| *spans > 0).map(move |(reason, spans)| {
        let transactions = if is_stream { 0 } else { spans };
        (reason, Dropped { spans, transactions, ..Dropped::default() })
    })
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Ledger {
    /// A shutdown ran out of time while a blocking HTTP client held the worker. It counted everything pending as
    /// dropped, so what the worker reports afterwards must not be counted a second time.
    settled: AtomicBool,
    received: AtomicU64,
    logs_received: AtomicU64,
    metrics_received: AtomicU64,
    check_ins_received: AtomicU64,
    sent: Counters,
    /// What is on disk now. Unlike the others it also goes down.
    spooled: Counters,
    in_flight: AtomicU64,
    queued_bytes: AtomicU64,
    trimmed_values: AtomicU64,
    trimmed_bytes: AtomicU64,
    dropped: [Counters; DropReason::ALL.len()],
}

#[derive(Default)]
struct Counters {
    spans: AtomicU64,
    transactions: AtomicU64,
    errors: AtomicU64,
    logs: AtomicU64,
    log_bytes: AtomicU64,
    metrics: AtomicU64,
    metric_bytes: AtomicU64,
    check_ins: AtomicU64,
}

impl Counters {
    fn add(&self, counts: Counts) {
        self.spans.fetch_add(counts.spans, Ordering::Relaxed);
        self.transactions.fetch_add(counts.transactions, Ordering::Relaxed);
        self.errors.fetch_add(counts.errors, Ordering::Relaxed);
        self.logs.fetch_add(counts.logs, Ordering::Relaxed);
        self.log_bytes.fetch_add(counts.log_bytes, Ordering::Relaxed);
        self.metrics.fetch_add(counts.metrics, Ordering::Relaxed);
        self.metric_bytes.fetch_add(counts.metric_bytes, Ordering::Relaxed);
        self.check_ins.fetch_add(counts.check_ins, Ordering::Relaxed);
    }

    fn subtract(&self, counts: Counts) {
        self.spans.fetch_sub(counts.spans, Ordering::Relaxed);
        self.transactions.fetch_sub(counts.transactions, Ordering::Relaxed);
        self.errors.fetch_sub(counts.errors, Ordering::Relaxed);
        self.logs.fetch_sub(counts.logs, Ordering::Relaxed);
        self.log_bytes.fetch_sub(counts.log_bytes, Ordering::Relaxed);
        self.metrics.fetch_sub(counts.metrics, Ordering::Relaxed);
        self.metric_bytes.fetch_sub(counts.metric_bytes, Ordering::Relaxed);
        self.check_ins.fetch_sub(counts.check_ins, Ordering::Relaxed);
    }

    fn read(&self) -> Counts {
        Counts {
            spans: read(&self.spans),
            transactions: read(&self.transactions),
            errors: read(&self.errors),
            logs: read(&self.logs),
            log_bytes: read(&self.log_bytes),
            metrics: read(&self.metrics),
            metric_bytes: read(&self.metric_bytes),
            check_ins: read(&self.check_ins),
        }
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl fmt::Debug for Ledger {
    /// Without the counters of reasons that never occurred: it may end up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledger").field(&self.stats()).finish()
    }
}

impl Ledger {
    pub(crate) fn received(&self, spans: u64) {
        self.received.fetch_add(spans, Ordering::Relaxed);
    }

    pub(crate) fn logs_received(&self, logs: u64) {
        self.logs_received.fetch_add(logs, Ordering::Relaxed);
    }

    pub(crate) fn metrics_received(&self, metrics: u64) {
        self.metrics_received.fetch_add(metrics, Ordering::Relaxed);
    }

    pub(crate) fn check_ins_received(&self, check_ins: u64) {
        self.check_ins_received.fetch_add(check_ins, Ordering::Relaxed);
    }

    /// An envelope was accepted.
    pub(crate) fn sent(&self, counts: Counts) {
        if !self.is_settled() {
            self.sent.add(counts);
        }
    }

    /// An envelope was kept on disk.
    pub(crate) fn spooled(&self, counts: Counts) {
        if !self.is_settled() {
            self.spooled.add(counts);
        }
    }

    /// An envelope that was kept on disk was removed from there.
    pub(crate) fn unspooled(&self, counts: Counts) {
        if !self.is_settled() {
            self.spooled.subtract(counts);
        }
    }

    /// Whether envelopes of this process are on disk.
    pub(crate) fn has_spooled(&self) -> bool {
        self.spooled.read() != Counts::default()
    }

    pub(crate) fn dropped(&self, reason: DropReason, counts: Counts) {
        if !self.is_settled() {
            self.dropped[reason as usize].add(counts);
        }
    }

    pub(crate) fn trimmed(&self, trimmed: Trimmed) {
        self.trimmed_values.fetch_add(trimmed.values, Ordering::Relaxed);
        self.trimmed_bytes.fetch_add(trimmed.bytes, Ordering::Relaxed);
    }

    /// Ends the account, because an HTTP client blocks the worker: what is pending, and every span that is received from
    /// now on, counts as dropped by the shutdown. [`stats`](Self::stats) computes it, so that no span that moves
    /// meanwhile is counted twice.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }

    /// Whether the account has ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    pub(crate) fn set_in_flight(&self, envelopes: usize, queued_bytes: usize) {
        self.in_flight.store(envelopes as u64, Ordering::Relaxed);
        self.queued_bytes.store(queued_bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        // `received` is read last, so that a reader never sees more spans sent than received.
        let dropped = DropReason::ALL.into_iter().map(|reason| (reason, self.dropped[reason as usize].read().into()));
        let dropped = dropped.filter(|(_, dropped)| *dropped != Dropped::default()).collect();
        let sent = self.sent.read();
        let mut stats = Stats {
            dropped,
            spans_sent: sent.spans,
            transactions_sent: sent.transactions,
            errors_sent: sent.errors,
            logs_sent: sent.logs,
            metrics_sent: sent.metrics,
            check_ins_sent: sent.check_ins,
            envelopes_in_flight: read(&self.in_flight),
            trimmed: Trimmed { values: read(&self.trimmed_values), bytes: read(&self.trimmed_bytes) },
            queued_bytes: read(&self.queued_bytes),
            spans_spooled: read(&self.spooled.spans),
            logs_spooled: read(&self.spooled.logs),
            metrics_spooled: read(&self.spooled.metrics),
            check_ins_spooled: read(&self.spooled.check_ins),
            spans_received: read(&self.received),
            logs_received: read(&self.logs_received),
            metrics_received: read(&self.metrics_received),
            check_ins_received: read(&self.check_ins_received),
            ..Stats::default()
        };
        let accounted = stats.spans_sent + stats.spans_dropped() + stats.spans_spooled;
        stats.spans_pending = stats.spans_received.saturating_sub(accounted);
        let accounted = stats.logs_sent + stats.logs_dropped() + stats.logs_spooled;
        stats.logs_pending = stats.logs_received.saturating_sub(accounted);
        let accounted = stats.metrics_sent + stats.metrics_dropped() + stats.metrics_spooled;
        stats.metrics_pending = stats.metrics_received.saturating_sub(accounted);
        let accounted = stats.check_ins_sent + stats.check_ins_dropped() + stats.check_ins_spooled;
        stats.check_ins_pending = stats.check_ins_received.saturating_sub(accounted);
        let Stats { spans_pending, logs_pending, metrics_pending, check_ins_pending, .. } = stats;
        if self.is_settled() && spans_pending + logs_pending + metrics_pending + check_ins_pending > 0 {
            let dropped = stats.dropped.entry(DropReason::Shutdown).or_default();
            dropped.spans += mem::take(&mut stats.spans_pending);
            dropped.logs += mem::take(&mut stats.logs_pending);
            dropped.metrics += mem::take(&mut stats.metrics_pending);
            dropped.check_ins += mem::take(&mut stats.check_ins_pending);
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn received_is_sent_plus_dropped_plus_spooled_plus_pending() {
        let ledger = Ledger::default();
        ledger.received(10);
        ledger.sent(Counts::transaction(4));
        ledger.dropped(DropReason::Invalid, Counts::spans(1));
        ledger.spooled(Counts::transaction(2));
        ledger.logs_received(4);
        ledger.sent(Counts::log(10));
        ledger.dropped(DropReason::Invalid, Counts::log(20));
        ledger.spooled(Counts::log(30));
        ledger.metrics_received(4);
        ledger.sent(Counts::metric(10));
        ledger.dropped(DropReason::Invalid, Counts::metric(20));
        ledger.spooled(Counts::metric(30));
        ledger.check_ins_received(10);
        ledger.sent(Counts::CHECK_IN);
        ledger.dropped(DropReason::Invalid, Counts::check_ins(2));
        ledger.spooled(Counts::check_ins(3));
        let stats = ledger.stats();
        let metrics = (stats.metrics_sent, stats.metrics_dropped(), stats.metrics_spooled, stats.metrics_pending);
        assert_eq!((metrics, stats.dropped[&DropReason::Invalid].metric_bytes), ((1, 1, 1, 1), 20));
        assert_eq!((stats.logs_sent, stats.logs_dropped(), stats.logs_spooled, stats.logs_pending), (1, 1, 1, 1));
        assert_eq!(stats.dropped[&DropReason::Invalid].log_bytes, 20);
        let check_ins = (stats.check_ins_sent, stats.check_ins_dropped(), stats.check_ins_spooled);
        assert_eq!((check_ins, stats.check_ins_pending), ((1, 2, 3), 4));
        assert_eq!((stats.spans_sent, stats.spans_dropped(), stats.spans_spooled, stats.spans_pending), (4, 1, 2, 3));
        assert_eq!(stats.dropped.keys().collect::<Vec<_>>(), [&DropReason::Invalid]);
    }

    #[test]
    fn a_reason_that_never_occurred_is_in_no_statistics() {
        let ledger = Ledger::default();
        ledger.received(1);
        ledger.sent(Counts::transaction(1));
        ledger.dropped(DropReason::Invalid, Counts::default());
        assert_eq!(ledger.stats().dropped, BTreeMap::new());
        ledger.settle();
        assert_eq!(ledger.stats().dropped, BTreeMap::new(), "nothing was pending");
    }

    #[test]
    fn what_a_blocked_worker_reports_after_it_was_settled_is_not_counted_twice() {
        let ledger = Ledger::default();
        ledger.received(3);
        ledger.settle();
        ledger.sent(Counts::transaction(3));
        ledger.dropped(DropReason::NetworkError, Counts::spans(3));
        ledger.settle();
        ledger.received(2);
        ledger.logs_received(1);
        ledger.metrics_received(2);
        ledger.check_ins_received(1);
        let stats = ledger.stats();
        assert_eq!((stats.spans_received, stats.spans_sent, stats.spans_pending), (5, 0, 0));
        let dropped = stats.dropped[&DropReason::Shutdown];
        assert_eq!((dropped.spans, dropped.logs, stats.logs_pending), (5, 1, 0));
        assert_eq!((dropped.metrics, stats.metrics_pending), (2, 0));
        assert_eq!((dropped.check_ins, stats.check_ins_pending), (1, 0));
    }
}
