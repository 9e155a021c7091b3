//! What a sampler decided for a local root, and where those who come after can read it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use opentelemetry::TraceId;

use crate::{DynamicSamplingContext, RemoteTrace, SampleRate};

/// What was decided for a local root.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether Sentry gets the trace; `None` leaves it to the services downstream (tracing is off here).
    pub sampled: Option<bool>,
    /// Whether the spans are recorded here: those of sampled traces are, and all if others want them.
    pub recorded: bool,
    /// The rate, if it was applied here; `None` when the decision was inherited.
    pub sample_rate: Option<SampleRate>,
    /// The transaction's name, when it is one that Sentry may group by (its source is not a URL).
    pub transaction: Option<Arc<str>>,
    /// The frozen context that came in, with the decision written into it if it was made here.
    pub frozen: Option<DynamicSamplingContext>,
}

/// The last decisions about traces that began in this process, outside of any extracted context.
///
/// A trace that begins without `extract` (a cron job, a command line tool) has no
/// [`RemoteTrace`](crate::RemoteTrace) in its `Context`, and a sampler cannot put one there. So it notes its decision
/// here, where `inject` looks it up by trace id.
///
/// The log has a fixed size and one slot per hash of the trace id: a newer trace takes the place of an older one with
/// the same slot. What is then lost is the transaction's name and the rate in that older trace's outgoing headers;
/// the decision itself is also in its span context. Nothing has to be removed, so nothing can leak.
pub struct DecisionLog {
    slots: Box<[Slot]>,
    unsampled: AtomicU64,
    held_back: AtomicU64,
    halvings: AtomicU32,
}

type Slot = Mutex<Option<(TraceId, Arc<Decision>)>>;

impl DecisionLog {
    /// How many decisions are kept: 160 KiB of slots, and minutes of local roots in all but the busiest process.
    pub const SLOTS: usize = 4096;

    /// Notes a decision.
    pub fn record(&self, trace_id: TraceId, decision: Arc<Decision>) {
        let slot = &self.slots[slot_of(trace_id)];
        // A poisoned slot holds a whole value: nothing panics between taking the lock and writing.
        let previous = slot.lock().unwrap_or_else(PoisonError::into_inner).replace((trace_id, decision));
        drop(previous); // after the lock is free again
    }

    /// The decision about a trace: from the cell of its context if that has one, else from here.
    #[must_use]
    pub fn find(&self, remote: Option<&RemoteTrace>, trace_id: TraceId) -> Option<Arc<Decision>> {
        let noted = remote.and_then(|remote| remote.decision(trace_id));
        noted.map(Arc::clone).or_else(|| self.get(trace_id))
    }

    /// Counts a local root that was not sampled, and that nobody upstream had decided about.
    pub fn count_unsampled(&self) {
        self.unsampled.fetch_add(1, Ordering::Relaxed);
    }

    /// How many local roots were not sampled.
    #[must_use]
    pub fn unsampled(&self) -> u64 {
        self.unsampled.load(Ordering::Relaxed)
    }

    /// Counts a local root that would have been sampled if the server could keep up.
    pub fn count_held_back(&self) {
        self.held_back.fetch_add(1, Ordering::Relaxed);
    }

    /// How many local roots were not sampled because the server could not keep up.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// How often rates are halved for now, because the server cannot keep up.
    #[must_use]
    pub fn halvings(&self) -> u32 {
        self.halvings.load(Ordering::Relaxed)
    }

    /// Sets how often rates are halved.
    pub fn set_halvings(&self, halvings: u32) {
        self.halvings.store(halvings, Ordering::Relaxed);
    }

    /// The decision about a trace, if it is still known.
    #[must_use]
    pub fn get(&self, trace_id: TraceId) -> Option<Arc<Decision>> {
        let slot = self.slots[slot_of(trace_id)].lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().filter(|(id, _)| *id == trace_id).map(|(_, decision)| Arc::clone(decision))
    }
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self {
            slots: (0..Self::SLOTS).map(|_| Slot::default()).collect(),
            unsampled: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
            halvings: AtomicU32::new(0),
        }
    }
}

impl fmt::Debug for DecisionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionLog").field("unsampled", &self.unsampled()).finish_non_exhaustive()
    }
}

/// Trace ids are random, but not every generator fills all bits; mixing both halves takes whatever is there.
fn slot_of(trace_id: TraceId) -> usize {
    let bits = u128::from_be_bytes(trace_id.to_bytes());
    let mixed = (bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 52) as usize % DecisionLog::SLOTS
}
