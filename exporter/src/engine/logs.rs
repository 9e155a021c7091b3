//! Where the application's threads leave log records, and the worker picks them up.
//!
//! | file | contains |
//! | --- | --- |
//! | `capture` | copies a record, on the thread that emits it |
//! | `any_value` | nested values as text |
//! | `tape` | the copies, and how they become lines on the worker's thread |

#[cfg(feature = "logs")]
mod any_value;
#[cfg(feature = "logs")]
mod capture;
#[cfg_attr(not(feature = "logs"), expect(dead_code, reason = "without the feature no record comes in"))]
mod tape;

use std::{
    fmt, mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

#[cfg(feature = "logs")]
use opentelemetry::{InstrumentationScope, TraceId};
#[cfg(feature = "logs")]
use opentelemetry_sdk::logs::SdkLogRecord;
use tokio::sync::Notify;

#[cfg(feature = "logs")]
use self::capture::Prepared;
#[cfg(feature = "logs")]
pub(crate) use self::capture::{severity, severity_number, target};
use self::tape::Tape;
#[cfg(feature = "logs")]
use crate::{
    account::{Counts, Trimmed},
    trace::TraceContext,
};
use crate::{
    account::{DropReason, Ledger},
    packing::MAX_LOGS,
    trace::LogLine,
};

/// Threads with different traces seldom share one. Records outside of any trace share the first.
const SHARDS: usize = 8;

/// Bytes for which each list of a shard keeps its memory after a burst.
const MAX_ROOM: usize = 64 << 10;

/// How many bytes of records may wait: the default number of records with eight kilobytes each.
#[cfg(feature = "logs")]
const MAX_BYTES: usize = 8 << 20;

/// How many bytes of records fill an envelope, as far as it can be known before they are JSON. Nearly all have less when there
/// are enough of them.
const MANY_BYTES: usize = 800_000;

/// Log records on their way to the worker.
pub(crate) struct LogIntake {
    shards: [Mutex<Shard>; SHARDS],
    /// Records that were accepted and are not packed yet, here or in the machine. The limit would not bound the memory if
    /// it counted only the records in the shards.
    waiting: AtomicUsize,
    /// The bytes of these records.
    bytes: AtomicUsize,
    /// The limit for `waiting`. A record above it is dropped.
    #[cfg(feature = "logs")]
    limit: usize,
    /// How many records the worker picks up at once: as many as fill an envelope, or as may wait if these are fewer. Without
    /// the latter, records of a small limit would be dropped until the timer.
    many: usize,
    /// The size of the attributes that every log has. A record that is dropped counts with it.
    default_size: AtomicU64,
    /// A log processor uses this engine. Span events then make no logs: each line would be sent twice.
    has_processor: AtomicBool,
    /// A record with an exception waits. Without it the exception would wait for the other records of an envelope before it
    /// waits for its span.
    is_urgent: AtomicBool,
    /// Wakes the worker: to set a timer for the first record, or because an envelope is full.
    arrived: Notify,
}

#[derive(Default)]
struct Shard {
    /// Why it accepts no more records, once it does not. See the intake of spans.
    closed: Option<DropReason>,
    tape: Tape,
    /// Empty, with memory, for the time in which the worker reads the other one. Without it the threads that log would
    /// allocate anew after each pick-up.
    spare: Tape,
}

impl fmt::Debug for LogIntake {
    /// Leaves out the records: they contain user data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogIntake").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl LogIntake {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: Default::default(),
            waiting: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            #[cfg(feature = "logs")]
            limit,
            many: limit.clamp(1, MAX_LOGS),
            default_size: AtomicU64::new(0),
            has_processor: AtomicBool::new(false),
            is_urgent: AtomicBool::new(false),
            arrived: Notify::new(),
        }
    }

    /// Accepts a record, or drops it if too many wait.
    #[cfg(feature = "logs")]
    pub(crate) fn push(&self, record: &SdkLogRecord, scope: &InstrumentationScope, kind: RecordKind, ledger: &Ledger) {
        let (is_error, context) = match kind {
            RecordKind::Line => (false, None),
            RecordKind::Error(context) => (true, context.map(Box::new)),
        };
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit || self.bytes.load(Ordering::Relaxed) >= MAX_BYTES {
            return self.refuse(record, scope, DropReason::QueueOverflow, ledger);
        }
        let prepared = Prepared::of(record);
        let trace_id = record.trace_context().map_or(TraceId::INVALID, |context| context.trace_id);
        let mut shard = lock(&self.shards[trace_id.to_bytes()[15] as usize % SHARDS]);
        if let Some(reason) = shard.closed {
            drop(shard);
            return self.refuse(record, scope, reason, ledger);
        }
        let (size, cut) = capture::write(&mut shard.tape, (record, scope), prepared, context);
        // Under the lock: the worker must not subtract it before.
        let bytes_before = self.bytes.fetch_add(size, Ordering::Relaxed);
        drop(shard);
        if cut != Trimmed::default() {
            ledger.trimmed(cut);
        }
        let is_urgent = is_error && !self.is_urgent.swap(true, Ordering::Relaxed);
        let is_full = (before + 1) % self.many == 0 || bytes_before / MANY_BYTES < (bytes_before + size) / MANY_BYTES;
        if before == 0 || is_full || is_urgent {
            self.arrived.notify_one();
        }
    }

    #[cfg(feature = "logs")]
    #[cold]
    fn refuse(&self, record: &SdkLogRecord, scope: &InstrumentationScope, reason: DropReason, ledger: &Ledger) {
        self.release(1, 0);
        let size = capture::size(record, scope) as u64 + self.default_size.load(Ordering::Relaxed);
        ledger.logs_received(1);
        ledger.dropped(reason, Counts::log(size.max(1)));
    }

    /// Picks up all records, in the order in which they were emitted within a trace.
    ///
    /// It counts them as received under the shard's lock, so that `stats` never misses a record between the two.
    pub(crate) fn drain(&self, ledger: &Ledger) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for place in &self.shards {
            let mut shard = lock(place);
            if shard.tape.records.is_empty() {
                continue;
            }
            let spare = mem::take(&mut shard.spare);
            let mut tape = mem::replace(&mut shard.tape, spare);
            ledger.logs_received(tape.records.len() as u64);
            drop(shard);
            tape.drain(&mut lines);
            // The shard gets its memory back, but not that of a burst.
            tape.shrink(MAX_ROOM);
            lock(place).spare = tape;
        }
        // The sort is stable, so records of one time keep their order.
        lines.sort_by_key(|line| line.time);
        lines
    }

    /// Whether a record came that should be packed at once; it is said once.
    pub(crate) fn take_urgency(&self) -> bool {
        self.is_urgent.swap(false, Ordering::Relaxed)
    }

    /// How many records wait, here or in the machine.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether an envelope is full of the records that wait.
    pub(crate) fn is_envelope_full(&self) -> bool {
        self.waiting() >= self.many || self.bytes.load(Ordering::Relaxed) >= MANY_BYTES
    }

    /// Notes that records with these bytes were packed or dropped.
    pub(crate) fn release(&self, records: usize, bytes: usize) {
        self.waiting.fetch_sub(records, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Waits for the first record, or until an envelope is full.
    pub(crate) async fn wait(&self) {
        self.arrived.notified().await;
    }

    /// Reads something together with the number of records in the shards. No record moves from here to the ledger
    /// meanwhile, so the two numbers add up.
    pub(crate) fn read_with_waiting<T>(&self, read: impl FnOnce() -> T) -> (u64, T) {
        let shards: Vec<_> = self.shards.iter().map(lock).collect();
        (shards.iter().map(|shard| shard.tape.records.len() as u64).sum(), read())
    }

    /// Accepts no more records: from now on they are dropped for this reason, or for an earlier one.
    pub(crate) fn close(&self, reason: DropReason) {
        self.shards.iter().for_each(|shard| _ = lock(shard).closed.get_or_insert(reason));
    }

    pub(crate) fn set_default_size(&self, size: u64) {
        self.default_size.store(size, Ordering::Relaxed);
    }

    #[cfg(feature = "logs")]
    pub(crate) fn expect_records(&self) {
        self.has_processor.store(true, Ordering::Relaxed);
    }

    /// Whether a log processor uses this engine.
    pub(crate) fn has_processor(&self) -> bool {
        self.has_processor.load(Ordering::Relaxed)
    }
}

/// What a record may become beside a log.
#[cfg(feature = "logs")]
#[derive(Debug)]
pub(crate) enum RecordKind {
    Line,
    /// It has an exception, which may become an error event in this context.
    Error(Option<TraceContext>),
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A push can panic only when memory runs out, and leaves every value intact.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
