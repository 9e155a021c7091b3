//! Where the application's threads leave ended spans, and the worker picks them up.
//!
//! This is all that a caller pays for: an estimate of the span's size, a lock that nobody holds for longer than a push
//! takes, chosen by trace id so that threads with different traces do not meet, and a wake-up when a local root has
//! ended or too much waits.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use opentelemetry::TraceId;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_protocol::{Decision, SampleRand};
use tokio::sync::Notify;

use crate::{
    account::{Counts, DropReason, Ledger},
    trace::{EndedSpan, TraceContext},
};

/// More shards than most machines run request threads, few enough to walk over on every wake-up.
const SHARDS: usize = 16;

/// Spans in a shard that are worth a wake-up, whatever they wait for.
const HEAP: usize = 256;

/// How many traces of which a span was dropped are remembered in each shard, so that the rest of them goes, too.
const DOOMED: usize = 4096;

/// Spans for which a shard keeps room.
const MAX_ROOM: usize = 256;

/// Ended spans on their way to the worker, and what is known of local roots that are still open.
#[derive(Debug)]
pub(crate) struct Intake {
    shards: [Mutex<Shard>; SHARDS],
    /// Bytes of all spans that were taken in and are not converted yet, wherever they wait.
    pending: AtomicUsize,
    limit: usize,
    /// Whether it is for the network that everything waits.
    is_stuck: AtomicBool,
    knows_roots: AtomicBool,
    root_ended: Notify,
    crowded: Notify,
}

#[derive(Debug, Default)]
struct Shard {
    is_closed: bool,
    /// In the order in which they ended.
    spans: Vec<EndedSpan>,
    open: HashMap<TraceId, OpenTrace>,
    doomed: DroppedTraces,
}

/// A trace with local roots that have begun and not ended.
#[derive(Debug)]
struct OpenTrace {
    roots: usize,
    /// Unless another sampler than Sentry's decided.
    decided: Option<(Arc<Decision>, SampleRand)>,
}

/// Traces of which a span was dropped.
#[derive(Debug, Default)]
struct DroppedTraces {
    all: HashSet<TraceId>,
    order: VecDeque<TraceId>,
    /// Those that the worker has not been told of.
    new: Vec<TraceId>,
}

impl DroppedTraces {
    fn add(&mut self, trace_id: TraceId) {
        if self.all.insert(trace_id) {
            self.new.push(trace_id);
            self.order.push_back(trace_id);
        }
        if self.order.len() > DOOMED {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.all.remove(&oldest));
        }
    }
}

impl Intake {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: Default::default(),
            pending: AtomicUsize::new(0),
            limit,
            is_stuck: AtomicBool::new(false),
            knows_roots: AtomicBool::new(false),
            root_ended: Notify::new(),
            crowded: Notify::new(),
        }
    }

    /// A local root has begun, and this was decided about its trace, if we know.
    pub(crate) fn started(&self, trace_id: TraceId, decided: Option<(Arc<Decision>, SampleRand)>) {
        let open = OpenTrace { roots: 0, decided };
        lock(self.shard(trace_id)).open.entry(trace_id).or_insert(open).roots += 1;
    }

    /// What is known of a trace whose local root has not ended.
    pub(crate) fn context(&self, trace_id: TraceId) -> Option<TraceContext> {
        let shard = lock(self.shard(trace_id));
        let (decision, sample_rand) = shard.open.get(&trace_id)?.decided.as_ref()?;
        Some(TraceContext::of_decision(decision, *sample_rand))
    }

    /// Notes that [`started`](Self::started) is called for every local root from now on.
    pub(crate) fn expect_roots(&self) {
        self.knows_roots.store(true, Ordering::Relaxed);
    }

    /// Whether [`started`](Self::started) is called for every local root.
    pub(crate) fn knows_roots(&self) -> bool {
        self.knows_roots.load(Ordering::Relaxed)
    }

    /// Whether it is known of a trace that none of its local roots is open.
    pub(crate) fn is_over(&self, trace_id: TraceId) -> bool {
        self.knows_roots() && !lock(self.shard(trace_id)).open.contains_key(&trace_id)
    }

    /// Takes in one span. If too much waits it is dropped, and with it the whole of its trace: a trace with holes is
    /// worth less than none.
    pub(crate) fn push(&self, span: SpanData, ledger: &Ledger) {
        if !span.span_context.is_sampled() {
            return;
        }
        let span = EndedSpan::from(span);
        let size = span.size();
        let is_root = span.is_local_root();
        let trace_id = span.span_context.trace_id();
        let before = self.pending.fetch_add(size, Ordering::Relaxed);
        let mut shard = lock(self.shard(trace_id));
        if is_root && !shard.open.is_empty() {
            shard.ended(trace_id);
        }
        // Looked at under the lock: after the worker's last `drain` no span can slip in.
        let refused = if shard.is_closed {
            Some(DropReason::Shutdown)
        } else if before + size > self.limit || shard.doomed.all.contains(&trace_id) {
            shard.doomed.add(trace_id);
            let is_stuck = self.is_stuck.load(Ordering::Relaxed);
            Some(if is_stuck { DropReason::QueueOverflow } else { DropReason::BufferOverflow })
        } else {
            shard.spans.push(span);
            None
        };
        let is_heap = refused.is_none() && shard.spans.len() % HEAP == 0;
        drop(shard);
        if let Some(reason) = refused {
            self.release(size);
            ledger.received(1);
            ledger.dropped(reason, Counts { transactions: u64::from(is_root), ..Counts::spans(1) });
        }
        if is_heap || before + size >= self.crowded_at() {
            self.crowded.notify_one();
        } else if is_root {
            self.root_ended.notify_one();
        }
    }

    /// Whether so much waits that those who wait longest should be sent without their root.
    pub(crate) fn is_crowded(&self) -> bool {
        self.pending() >= self.crowded_at()
    }

    /// Bytes of spans that wait.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stuck(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    const fn crowded_at(&self) -> usize {
        self.limit / 2
    }

    /// Waits until a local root has ended.
    pub(crate) async fn root_ended(&self) {
        self.root_ended.notified().await;
    }

    /// Waits until much waits.
    pub(crate) async fn crowded(&self) {
        self.crowded.notified().await;
    }

    /// Picks up all spans, those of a trace in the order in which they ended, and the traces of which some were dropped.
    pub(crate) fn drain(&self, spans: &mut Vec<EndedSpan>, doomed: &mut Vec<TraceId>) {
        let mut picked = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            mem::swap(&mut shard.spans, &mut picked);
            doomed.append(&mut shard.doomed.new);
            drop(shard);
            spans.append(&mut picked);
            // The next shard gets this one's room; what a burst needed is not kept.
            picked.shrink_to(MAX_ROOM);
        }
    }

    /// Gives back the bytes of spans that wait no longer.
    pub(crate) fn release(&self, bytes: usize) {
        self.pending.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn close(&self) {
        self.shards.iter().for_each(|shard| lock(shard).is_closed = true);
    }

    /// Spans that the worker has not picked up; it will not any more.
    pub(crate) fn abandon(&self) -> usize {
        self.shards.iter().map(|shard| mem::take(&mut lock(shard).spans).len()).sum()
    }

    fn shard(&self, trace_id: TraceId) -> &Mutex<Shard> {
        &self.shards[trace_id.to_bytes()[15] as usize % SHARDS]
    }
}

impl Shard {
    fn ended(&mut self, trace_id: TraceId) {
        if let Entry::Occupied(mut open) = self.open.entry(trace_id) {
            open.get_mut().roots -= 1;
            if open.get().roots == 0 {
                open.remove();
            }
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A push that panicked (out of memory) leaves whole values behind.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
