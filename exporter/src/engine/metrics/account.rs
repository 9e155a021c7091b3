//! What all instruments share: the limit of their memory, the clock, and the account of what they refuse.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use crate::account::{Counts, DropReason, Ledger};

/// How many bytes all series of a process may take. Further ones share one for each instrument.
const MAX_BYTES: usize = 64 << 20;

/// What all instruments share. It does not keep the engine alive.
#[derive(Debug)]
pub(crate) struct MetricAccount {
    ledger: Arc<Ledger>,
    /// Zero, or the place of the reason for which nothing more is accepted, plus one.
    closed: AtomicUsize,
    bytes: AtomicUsize,
    /// The size of the attributes that every metric has. A measurement that is refused counts with it.
    default_size: AtomicU64,
    /// Reads the time of a histogram's values.
    clock: fn() -> SystemTime,
    /// What the next sample draws from.
    seed: AtomicU64,
}

impl MetricAccount {
    pub(super) fn new(ledger: Arc<Ledger>, clock: fn() -> SystemTime, seed: u64) -> Self {
        Self {
            ledger,
            closed: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            default_size: AtomicU64::new(0),
            clock,
            seed: AtomicU64::new(seed),
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// A number of its own for each series.
    pub(super) fn seed(&self) -> u64 {
        self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }

    pub(super) fn close(&self, reason: DropReason) {
        // An earlier reason stays.
        let _ = self.closed.compare_exchange(0, reason as usize + 1, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Why nothing more is accepted, if it is not.
    pub(super) fn closed(&self) -> Option<DropReason> {
        let place = self.closed.load(Ordering::SeqCst).checked_sub(1)?;
        DropReason::ALL.get(place).copied()
    }

    /// Takes memory for a series. Returns whether there is some left.
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let more = |before: usize| before.checked_add(bytes).filter(|sum| *sum <= MAX_BYTES);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn set_default_size(&self, bytes: u64) {
        self.default_size.store(bytes, Ordering::Relaxed);
    }

    /// Counts a measurement that no series takes.
    pub(super) fn refuse(&self, reason: DropReason, bytes: usize) {
        let bytes = bytes as u64 + self.default_size.load(Ordering::Relaxed);
        self.ledger.metrics_received(1);
        self.ledger.dropped(reason, Counts::metric(bytes));
    }
}
