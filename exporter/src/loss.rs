//! What became of every span? One place counts what was received, sent and dropped, and why.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Why something was not delivered. The words are those of Sentry's [client reports].
///
/// [client reports]: https://develop.sentry.dev/sdk/telemetry/client-reports/
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Too many bytes of ended spans were waiting to be worked on.
    BufferOverflow,
    /// It could not be serialised, or the HTTP client panicked.
    InternalSdkError,
    /// One span alone is larger than Sentry accepts.
    Invalid,
    /// The server could not be reached or did not answer in time.
    NetworkError,
    /// Too many bytes of serialised envelopes were waiting to be sent.
    QueueOverflow,
    /// The server answered 429: this project sends more than it may.
    RateLimited,
    /// The sampler decided against a trace that nobody upstream had decided about.
    SampleRate,
    /// The server refused it with another status.
    SendError,
    /// It ended after the shutdown, or was not delivered when the shutdown's time was over.
    Shutdown,
}

impl DropReason {
    const ALL: [Self; 9] = [
        Self::BufferOverflow,
        Self::InternalSdkError,
        Self::Invalid,
        Self::NetworkError,
        Self::QueueOverflow,
        Self::RateLimited,
        Self::SampleRate,
        Self::SendError,
        Self::Shutdown,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BufferOverflow => "buffer_overflow",
            Self::InternalSdkError => "internal_sdk_error",
            Self::Invalid => "invalid",
            Self::NetworkError => "network_error",
            Self::QueueOverflow => "queue_overflow",
            Self::RateLimited => "ratelimit_backoff",
            Self::SampleRate => "sample_rate",
            Self::SendError => "send_error",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much was dropped for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Spans, those that stand for their transaction among them.
    pub spans: u64,
    /// Transactions, as far as the spans had become any.
    pub transactions: u64,
}

/// What has happened so far, in numbers.
///
/// At rest (nothing is open, pending or in flight) `spans_received` is `spans_sent` plus the spans in `dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sampled spans that ended and were handed to us, and one for each local root that our sampler decided against.
    pub spans_received: u64,
    /// Spans in envelopes that the server accepted, transactions among them.
    pub spans_sent: u64,
    /// Transactions that the server accepted.
    pub transactions_sent: u64,
    /// Envelopes that wait to be sent or for their answer.
    pub envelopes_in_flight: u64,
    /// What was not delivered, by reason; a reason that never occurred is not in it.
    pub dropped: BTreeMap<DropReason, Dropped>,
}

impl Stats {
    /// All spans that were dropped, for whatever reason.
    #[must_use]
    pub fn spans_dropped(&self) -> u64 {
        self.dropped.values().map(|dropped| dropped.spans).sum()
    }
}

impl fmt::Display for Stats {
    /// One line, such as `spans received: 13, sent: 10, dropped: 3 (send_error 3); transactions sent: 4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans_received, spans_sent, transactions_sent, .. } = self;
        write!(f, "spans received: {spans_received}, sent: {spans_sent}, dropped: {}", self.spans_dropped())?;
        let reasons = self.dropped.iter().map(|(reason, dropped)| format!("{reason} {}", dropped.spans));
        match reasons.collect::<Vec<_>>().join(", ") {
            reasons if reasons.is_empty() => {}
            reasons => write!(f, " ({reasons})")?,
        }
        write!(f, "; transactions sent: {transactions_sent}")
    }
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Once set, nobody waits for what is still out, and it is counted already.
    settled: AtomicBool,
    received: AtomicU64,
    sent: Count,
    in_flight: AtomicU64,
    dropped: [Count; DropReason::ALL.len()],
}

#[derive(Debug, Default)]
struct Count {
    spans: AtomicU64,
    transactions: AtomicU64,
}

impl Count {
    fn add(&self, spans: usize, transactions: usize) {
        self.spans.fetch_add(spans as u64, Ordering::Relaxed);
        self.transactions.fetch_add(transactions as u64, Ordering::Relaxed);
    }
}

impl Ledger {
    pub(crate) fn received(&self, spans: usize) {
        self.received.fetch_add(spans as u64, Ordering::Relaxed);
        if self.is_settled() {
            self.dropped[DropReason::Shutdown as usize].add(spans, 0);
        }
    }

    /// One transaction of so many spans was accepted.
    pub(crate) fn sent(&self, spans: usize) {
        if !self.is_settled() {
            self.sent.add(spans, 1);
        }
    }

    /// Spans were dropped before they became a transaction.
    pub(crate) fn dropped_spans(&self, reason: DropReason, spans: usize) {
        if !self.is_settled() {
            self.dropped[reason as usize].add(spans, 0);
        }
    }

    /// One transaction of so many spans was dropped.
    pub(crate) fn dropped_transaction(&self, reason: DropReason, spans: usize) {
        if !self.is_settled() {
            self.dropped[reason as usize].add(spans, 1);
        }
    }

    /// Counts everything that is still out as dropped, for a worker that is stuck in somebody's HTTP client. A span that
    /// is received from now on is counted as dropped where it is received.
    pub(crate) fn settle(&self, reason: DropReason) {
        if self.settled.swap(true, Ordering::AcqRel) {
            return;
        }
        let stats = self.stats();
        let out = stats.spans_received.saturating_sub(stats.spans_sent + stats.spans_dropped());
        self.dropped[reason as usize].spans.fetch_add(out, Ordering::Relaxed);
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    pub(crate) fn set_in_flight(&self, envelopes: usize) {
        self.in_flight.store(envelopes as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        // Received is read last: a reader in the middle of the work never sees more sent than received.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let dropped = DropReason::ALL.into_iter().map(|reason| {
            let Count { spans, transactions } = &self.dropped[reason as usize];
            (reason, Dropped { spans: read(spans), transactions: read(transactions) })
        });
        Stats {
            dropped: dropped.filter(|(_, dropped)| *dropped != Dropped::default()).collect(),
            spans_sent: read(&self.sent.spans),
            transactions_sent: read(&self.sent.transactions),
            envelopes_in_flight: read(&self.in_flight),
            spans_received: read(&self.received),
        }
    }
}
