//! Where a sampler records its decisions about traces that have no [`RemoteTrace`].

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use opentelemetry::TraceId;

use crate::{
    __shared::{Arrivals, Databases, Feedback, Streaming},
    decision::Decision,
    remote_trace::RemoteTrace,
};

/// The latest decisions about traces that began in this process, outside any extracted context.
///
/// A trace that begins without `extract` (in a cron job or a command line tool) has no [`RemoteTrace`] in its `Context`,
/// and a sampler cannot put one there. So the sampler records its decision here, and `inject` looks it up by trace id.
/// Pass the same log to sampler, propagator and exporter.
///
/// The log has a fixed size and one slot per hash of the trace id. A newer trace replaces an older one in the same slot;
/// the older trace's outgoing headers then lack the transaction's name and the rate. The decision itself is not lost: it
/// is also in the span context. Entries need not be removed, so they cannot leak.
pub struct DecisionLog {
    /// One lock per slot: with one for all, every local root of the process would wait for the others.
    slots: Box<[Slot]>,
    feedback: Feedback,
    /// Set if spans are streamed.
    streaming: OnceLock<Streaming>,
    arrivals: Arrivals,
    databases: Databases,
}

/// The trace id is stored beside its decision because several traces share a slot.
type Slot = Mutex<Option<(TraceId, Arc<Decision>)>>;

impl DecisionLog {
    /// The number of slots. They take 160 KiB and hold minutes of local roots in all but the busiest processes.
    pub const SLOTS: usize = 4096;

    /// Records a decision.
    pub fn record(&self, trace_id: TraceId, decision: Arc<Decision>) {
        let slot = &self.slots[slot_of(trace_id)];
        // A poisoned slot is still valid: nothing panics between taking the lock and replacing the whole value.
        let previous = slot.lock().unwrap_or_else(PoisonError::into_inner).replace((trace_id, decision));
        // This may free the older decision, and the lock must not be held for that. It ended with the line above.
        drop(previous);
    }

    /// The decision about a trace: from its [`RemoteTrace`] if that has one, otherwise from this log.
    #[must_use]
    pub fn find(&self, remote: Option<&RemoteTrace>, trace_id: TraceId) -> Option<Arc<Decision>> {
        let noted = remote.and_then(|remote| remote.decision(trace_id));
        noted.map(Arc::clone).or_else(|| self.get(trace_id))
    }

    /// The decision about a trace, if this log still has it.
    #[must_use]
    pub fn get(&self, trace_id: TraceId) -> Option<Arc<Decision>> {
        let slot = self.slots[slot_of(trace_id)].lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().filter(|(id, _)| *id == trace_id).map(|(_, decision)| Arc::clone(decision))
    }

    /// What sampler and exporter report to each other.
    #[doc(hidden)]
    #[must_use]
    pub const fn feedback(&self) -> &Feedback {
        &self.feedback
    }

    /// Notes that spans are streamed. The first call counts.
    #[doc(hidden)]
    pub fn stream(&self, streaming: Streaming) {
        self.streaming.get_or_init(|| streaming);
    }

    /// What is shared if spans are streamed.
    #[doc(hidden)]
    #[must_use]
    pub fn streaming(&self) -> Option<&Streaming> {
        self.streaming.get()
    }

    /// What propagator and sampler count of requests.
    #[doc(hidden)]
    #[must_use]
    pub const fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// Which spans are of databases.
    #[doc(hidden)]
    #[must_use]
    pub const fn databases(&self) -> &Databases {
        &self.databases
    }
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self {
            slots: (0..Self::SLOTS).map(|_| Slot::default()).collect(),
            feedback: Feedback::default(),
            streaming: OnceLock::new(),
            arrivals: Arrivals::default(),
            databases: Databases::default(),
        }
    }
}

impl fmt::Debug for DecisionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 4096 slots are not worth printing.
        f.debug_struct("DecisionLog").field("feedback", &self.feedback).finish_non_exhaustive()
    }
}

/// The slot of a trace.
fn slot_of(trace_id: TraceId) -> usize {
    let bits = u128::from_be_bytes(trace_id.to_bytes());
    // Some generators leave one half of the id constant (a timestamp or zeros), so both halves count.
    // Multiplying by 2^64 divided by the golden ratio spreads neighbouring ids over the highest 12 bits: 4096 slots.
    let mixed = (bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 52) as usize % DecisionLog::SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_trace_replaces_an_older_one_in_the_same_slot_only() {
        let id = |number: u128| TraceId::from_bytes(number.to_be_bytes());
        let (first, other) = (id(1), id(2));
        let same_slot = (3..).map(id).find(|id| slot_of(*id) == slot_of(first)).expect("a collision");
        let log = DecisionLog::default();
        for trace_id in [first, other, same_slot] {
            log.record(trace_id, Arc::new(Decision::new(Some(true))));
        }
        assert_eq!([first, other, same_slot].map(|id| log.get(id).is_some()), [false, true, true]);
    }

    #[test]
    fn the_cell_of_a_remote_trace_comes_before_the_log() {
        let trace_id = TraceId::from_bytes([1; 16]);
        let (log, remote) = (DecisionLog::default(), RemoteTrace::default());
        log.record(trace_id, Arc::new(Decision::new(Some(false))));
        let sampled = |remote| log.find(remote, trace_id).and_then(|decision| decision.sampled);
        assert_eq!((sampled(None), sampled(Some(&remote))), (Some(false), Some(false)));
        assert!(remote.decide(trace_id, &Arc::new(Decision::new(Some(true)))));
        assert_eq!((sampled(None), sampled(Some(&remote))), (Some(false), Some(true)));
    }
}
