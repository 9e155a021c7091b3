//! What became of every span? One place counts what was received, sent and dropped, and why.

use std::{
    collections::BTreeMap,
    fmt,
    ops::AddAssign,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use opentelemetry_sentry_protocol::__shared::Feedback;

/// Why something was not delivered. The words are those of Sentry's [client reports].
///
/// [client reports]: https://develop.sentry.dev/sdk/telemetry/client-reports/
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The sampler kept less for a while, as the server could not keep up.
    Backpressure,
    /// The hook for transactions returned none, or took spans out of one.
    BeforeSend,
    /// Too many bytes of ended spans were waiting to be worked on.
    BufferOverflow,
    /// It was kept on disk, and then too old, too much or damaged.
    CacheOverflow,
    /// A filter says that it is of no interest.
    Ignored,
    /// It could not be serialised, or the HTTP client panicked.
    InternalSdkError,
    /// It has no valid id, or is larger than Sentry accepts even without its long values.
    Invalid,
    /// The server could not be reached or did not answer in time.
    NetworkError,
    /// Too many bytes of serialised envelopes were waiting to be sent, and those that waited to become one had to go.
    QueueOverflow,
    /// The server had said that it takes no more of these for now.
    RateLimitBackoff,
    /// The server answered 429: this project sends more than it may. It counts them itself.
    RateLimited,
    /// The sampler decided against a trace that nobody upstream had decided about.
    SampleRate,
    /// The server refused it with another status.
    SendError,
    /// It ended after the shutdown, or was not delivered when the shutdown's time was over.
    Shutdown,
}

impl DropReason {
    const ALL: [Self; 14] = [
        Self::Backpressure,
        Self::BeforeSend,
        Self::BufferOverflow,
        Self::CacheOverflow,
        Self::Ignored,
        Self::InternalSdkError,
        Self::Invalid,
        Self::NetworkError,
        Self::QueueOverflow,
        Self::RateLimitBackoff,
        Self::RateLimited,
        Self::SampleRate,
        Self::SendError,
        Self::Shutdown,
    ];

    /// Whether the application asked for it; everything else is a loss.
    #[must_use]
    pub const fn is_wanted(self) -> bool {
        matches!(self, Self::Backpressure | Self::BeforeSend | Self::Ignored | Self::SampleRate)
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backpressure => "backpressure",
            Self::BeforeSend => "before_send",
            Self::BufferOverflow => "buffer_overflow",
            Self::CacheOverflow => "cache_overflow",
            Self::Ignored => "ignored",
            Self::InternalSdkError => "internal_sdk_error",
            Self::Invalid => "invalid",
            Self::NetworkError => "network_error",
            Self::QueueOverflow => "queue_overflow",
            Self::RateLimitBackoff => "ratelimit_backoff",
            Self::RateLimited => "rate_limited",
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
    /// Error events.
    pub errors: u64,
}

/// How much was cut off to keep within Sentry's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trimmed {
    /// Names, values and texts that were shortened or left out.
    pub values: u64,
    /// The bytes that they lost.
    pub bytes: u64,
}

impl AddAssign for Trimmed {
    fn add_assign(&mut self, other: Self) {
        self.values += other.values;
        self.bytes += other.bytes;
    }
}

/// What something stands for that is sent or dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    pub(crate) transactions: u64,
    pub(crate) spans: u64,
    pub(crate) errors: u64,
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        // What a damaged file says of itself may be anything.
        self.transactions = self.transactions.saturating_add(other.transactions);
        self.spans = self.spans.saturating_add(other.spans);
        self.errors = self.errors.saturating_add(other.errors);
    }
}

impl Load {
    /// One error event.
    pub(crate) const ERROR: Self = Self { transactions: 0, spans: 0, errors: 1 };

    /// Spans that are no transaction yet.
    pub(crate) const fn spans(spans: usize) -> Self {
        Self { transactions: 0, spans: spans as u64, errors: 0 }
    }

    /// One transaction of so many spans, itself among them.
    pub(crate) const fn transaction(spans: usize) -> Self {
        Self { transactions: 1, ..Self::spans(spans) }
    }
}

/// What has happened so far, in numbers.
///
/// At rest (nothing is open, pending or in flight) `spans_received` is `spans_sent` plus the spans in `dropped`; with
/// a directory for what could not be delivered, plus `spans_spooled`. What is taken from that directory again, also if
/// another process put it there, counts as received once more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sampled spans that ended and were handed to us, and one for each local root that our sampler decided against.
    pub spans_received: u64,
    /// Spans in envelopes that the server accepted, transactions among them.
    pub spans_sent: u64,
    /// Transactions that the server accepted.
    pub transactions_sent: u64,
    /// Error events that the server accepted.
    pub errors_sent: u64,
    /// Envelopes that wait to be sent or for their answer.
    pub envelopes_in_flight: u64,
    /// Spans in envelopes that were kept on disk, to be sent later.
    pub spans_spooled: u64,
    /// Spans that were neither sent nor dropped yet, nor kept on disk.
    pub spans_pending: u64,
    /// Bytes of spans that wait for their local root or to be converted, as estimated.
    pub pending_bytes: u64,
    /// Bytes of serialised envelopes that wait to be sent.
    pub queued_bytes: u64,
    /// What was shortened before it was sent.
    pub trimmed: Trimmed,
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

impl Stats {
    /// All spans that were lost: dropped without the application having asked for it.
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
        let reasons = self.dropped.iter().map(|(reason, dropped)| format!("{reason} {}", dropped.spans));
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
        for (word, number) in [("sent", *errors_sent), ("dropped", errors_dropped)] {
            if number > 0 {
                write!(f, ", errors {word}: {number}")?;
            }
        }
        Ok(())
    }
}

/// What the sampler decided against; of such a trace only its local root is known.
pub(crate) fn unsampled(feedback: &Feedback) -> impl Iterator<Item = (DropReason, Dropped)> {
    let counts = [(DropReason::SampleRate, feedback.unsampled()), (DropReason::Backpressure, feedback.held_back())];
    let dropped = |(reason, count)| (reason, Dropped { spans: count, transactions: count, errors: 0 });
    counts.into_iter().filter(|(_, count)| *count > 0).map(dropped)
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Once set, nobody waits for what is still out, and it is counted already.
    settled: AtomicBool,
    received: AtomicU64,
    sent: Count,
    spooled: Count,
    in_flight: AtomicU64,
    queued_bytes: AtomicU64,
    trimmed_values: AtomicU64,
    trimmed_bytes: AtomicU64,
    dropped: [Count; DropReason::ALL.len()],
}

#[derive(Debug, Default)]
struct Count {
    spans: AtomicU64,
    transactions: AtomicU64,
    errors: AtomicU64,
}

impl Count {
    fn add(&self, load: Load) {
        self.spans.fetch_add(load.spans, Ordering::Relaxed);
        self.transactions.fetch_add(load.transactions, Ordering::Relaxed);
        self.errors.fetch_add(load.errors, Ordering::Relaxed);
    }

    fn read(&self) -> Dropped {
        Dropped { spans: read(&self.spans), transactions: read(&self.transactions), errors: read(&self.errors) }
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Ledger {
    pub(crate) fn received(&self, spans: usize) {
        self.received.fetch_add(spans as u64, Ordering::Relaxed);
        if self.is_settled() {
            self.dropped[DropReason::Shutdown as usize].add(Load::spans(spans));
        }
    }

    /// An envelope was accepted.
    pub(crate) fn sent(&self, load: Load) {
        if !self.is_settled() {
            self.sent.add(load);
        }
    }

    /// An envelope was kept on disk.
    pub(crate) fn spooled(&self, load: Load) {
        if !self.is_settled() {
            self.spooled.add(load);
        }
    }

    pub(crate) fn dropped(&self, reason: DropReason, load: Load) {
        if !self.is_settled() {
            self.dropped[reason as usize].add(load);
        }
    }

    pub(crate) fn trimmed(&self, trimmed: Trimmed) {
        self.trimmed_values.fetch_add(trimmed.values, Ordering::Relaxed);
        self.trimmed_bytes.fetch_add(trimmed.bytes, Ordering::Relaxed);
    }

    /// Counts everything that is still out as dropped, for a worker that is stuck in somebody's HTTP client. A span that
    /// is received from now on is counted as dropped where it is received.
    pub(crate) fn settle(&self, reason: DropReason) {
        if self.settled.swap(true, Ordering::AcqRel) {
            return;
        }
        let stats = self.stats();
        let out = stats.spans_pending;
        self.dropped[reason as usize].spans.fetch_add(out, Ordering::Relaxed);
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    pub(crate) fn set_in_flight(&self, envelopes: usize, queued_bytes: usize) {
        self.in_flight.store(envelopes as u64, Ordering::Relaxed);
        self.queued_bytes.store(queued_bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        // Received is read last: a reader in the middle of the work never sees more sent than received.
        let dropped = DropReason::ALL.into_iter().map(|reason| (reason, self.dropped[reason as usize].read()));
        let dropped = dropped.filter(|(_, dropped)| *dropped != Dropped::default()).collect();
        let sent = self.sent.read();
        let mut stats = Stats {
            dropped,
            spans_sent: sent.spans,
            transactions_sent: sent.transactions,
            errors_sent: sent.errors,
            envelopes_in_flight: read(&self.in_flight),
            trimmed: Trimmed { values: read(&self.trimmed_values), bytes: read(&self.trimmed_bytes) },
            queued_bytes: read(&self.queued_bytes),
            spans_spooled: read(&self.spooled.spans),
            spans_received: read(&self.received),
            ..Stats::default()
        };
        let accounted = stats.spans_sent + stats.spans_dropped() + stats.spans_spooled;
        stats.spans_pending = stats.spans_received.saturating_sub(accounted);
        stats
    }
}
