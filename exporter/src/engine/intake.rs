//! Where the application's threads leave ended spans, and the worker picks them up.
//!
//! A caller pays for three things: an estimate of the span's size; a lock, which is held for one push and chosen by
//! trace id, so that threads with different traces seldom share one; and a wake-up of the worker when a local root has
//! ended or many spans wait.

mod starts;

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sentry_protocol::{__shared::not_sampled, Decision, SampleRand};
use tokio::sync::Notify;

use self::starts::Starts;
use crate::{
    account::{Counts, DropReason, Ledger},
    trace::{EndedSpan, OpenRoots, Segment, TraceContext, TraceLifecycle},
};

/// More than most machines have request threads, and few enough to visit on every wake-up.
const SHARDS: usize = 16;

/// After this many spans in a shard the worker is woken, even if no local root has ended.
const WAKE_EVERY: usize = 256;

/// How many incomplete traces each shard remembers, in order to drop the rest of their spans too.
const MAX_DROPPED_TRACES: usize = 4096;

/// Spans for which a shard keeps its memory after a burst.
const MAX_ROOM: usize = 256;

/// Ended spans on their way to the worker, and the local roots that are still open.
pub(crate) struct Intake {
    shards: [Mutex<Shard>; SHARDS],
    /// Bytes of all spans that were accepted and are not converted yet, here, in the assembler or in the machine. The
    /// limit would not bound the memory if it counted only the spans in the shards.
    pending: AtomicUsize,
    /// In a stream a span is lost alone, and knows its local root.
    is_stream: bool,
    /// The limit for `pending`. A span above it is dropped.
    limit: usize,
    /// The send queue is full. An overflow is then counted as the queue's and not as the buffer's, so that the reason
    /// names the setting or the network that is to blame.
    is_stuck: AtomicBool,
    /// The door reports every local root that begins. Without this the machine would not know whether a short grace is
    /// enough for late spans.
    knows_roots: AtomicBool,
    /// Wakes the worker for a trace that may be complete.
    root_ended: Notify,
    /// Wakes the worker when it must make room. It is separate from `root_ended`, which the worker ignores if it will
    /// pick up spans soon anyway.
    crowded: Notify,
}

#[derive(Debug, Default)]
struct Shard {
    /// Why it accepts no more spans, once it does not. It is read under the lock. As an atomic, a span could be pushed
    /// after the worker's last pick-up and be in no count.
    closed: Option<DropReason>,
    /// In the order in which they ended.
    spans: Vec<EndedSpan>,
    /// Without it, spans that leave before their root would have no `trace` header.
    open: HashMap<TraceId, OpenTrace>,
    /// The spans that have started, in a stream.
    starts: Starts,
    dropped: DroppedTraces,
}

/// A trace with local roots that have begun and not ended.
#[derive(Debug)]
struct OpenTrace {
    /// One trace can have several in a process: one for each request that continues it.
    roots: Vec<SpanId>,
    /// The sampler's decision; `None` if another sampler than Sentry's decided.
    decided: Option<(Arc<Decision>, SampleRand)>,
}

/// Traces that lost a span to an overflow. An incomplete trace misleads, so the rest of it is dropped too. This ends
/// when the pressure is over, because a trace can be open for days.
#[derive(Debug, Default)]
struct DroppedTraces {
    all: HashSet<TraceId>,
    /// `all` in the order of arrival. Without it the oldest could not make room, and the set would grow without limit.
    order: VecDeque<TraceId>,
    /// Those that the worker does not know yet. It must discard the spans that it holds of them.
    new: Vec<TraceId>,
}

impl DroppedTraces {
    fn add(&mut self, trace_id: TraceId) {
        if self.all.insert(trace_id) {
            self.new.push(trace_id);
            self.order.push_back(trace_id);
        }
        if self.order.len() > MAX_DROPPED_TRACES {
            if let Some(oldest) = self.order.pop_front() {
                self.all.remove(&oldest);
            }
            // A worker that is blocked for long may miss some: it then sends what it holds of them.
            self.new.truncate(MAX_DROPPED_TRACES);
        }
    }
}

impl Intake {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: Default::default(),
            pending: AtomicUsize::new(0),
            limit,
            is_stream: false,
            is_stuck: AtomicBool::new(false),
            knows_roots: AtomicBool::new(false),
            root_ended: Notify::new(),
            crowded: Notify::new(),
        }
    }

    pub(crate) fn with_lifecycle(mut self, lifecycle: TraceLifecycle) -> Self {
        self.is_stream = lifecycle.is_stream();
        self
    }

    /// Whether spans are streamed, so that each start is to be noted.
    pub(crate) const fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Notes that a local root of a stream has begun, and with which name. Its decision was noted before.
    pub(crate) fn segment_started(&self, trace_id: TraceId, span_id: SpanId, name: &str, is_ignored: bool) {
        let segment = Segment::new(span_id, name, self.context(trace_id)).with_ignored(is_ignored);
        lock(self.shard(trace_id)).starts.root(trace_id, Arc::new(segment));
    }

    /// Notes that another span of a stream has begun. Returns its nearest ancestor that is sent.
    pub(crate) fn child_started(&self, trace_id: TraceId, span_id: SpanId, parent: SpanId, is_ignored: bool) -> SpanId {
        lock(self.shard(trace_id)).starts.child((trace_id, span_id), parent, is_ignored)
    }

    /// Notes that a local root has begun, and the sampler's decision about its trace, if it is known.
    pub(crate) fn started(&self, trace_id: TraceId, span_id: SpanId, decided: Option<(Arc<Decision>, SampleRand)>) {
        let open = OpenTrace { roots: Vec::with_capacity(1), decided };
        lock(self.shard(trace_id)).open.entry(trace_id).or_insert(open).roots.push(span_id);
    }

    /// The context of a trace whose local root has not ended.
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

    /// Accepts one span. Above the limit the span and the rest of its trace are dropped.
    pub(crate) fn push(&self, span: impl Into<EndedSpan>, ledger: &Ledger) {
        let mut span = span.into();
        if !span.span_context.is_sampled() {
            return;
        }
        let (size, is_root) = (span.size(), span.is_local_root());
        let trace_id = span.span_context.trace_id();
        let before = self.pending.fetch_add(size, Ordering::Relaxed);
        let mut shard = lock(self.shard(trace_id));
        if is_root && !shard.open.is_empty() {
            shard.ended(trace_id, span.span_context.span_id());
        }
        if self.is_stream {
            shard.complete(&mut span);
        }
        let refused = if shard.closed.is_some() {
            shard.closed
        } else if span.is_ignored && span.events.is_empty() {
            // One with events goes on, because its exceptions are not ignored.
            Some(DropReason::Ignored)
        } else if before + size > self.limit || shard.dropped.all.contains(&trace_id) {
            if !self.is_stream {
                shard.dropped.add(trace_id);
            }
            let is_stuck = self.is_stuck.load(Ordering::Relaxed);
            Some(if is_stuck { DropReason::QueueOverflow } else { DropReason::BufferOverflow })
        } else {
            None
        };
        let Some(reason) = refused else {
            shard.spans.push(span);
            let is_many = shard.spans.len() % WAKE_EVERY == 0;
            drop(shard);
            if is_many || before + size >= self.crowded_at() {
                self.crowded.notify_one();
            } else if is_root {
                self.root_ended.notify_one();
            }
            return;
        };
        drop(shard);
        self.release(size);
        if is_for_sentry(&span) {
            ledger.received(1);
            let transactions = u64::from(is_root && !self.is_stream);
            ledger.dropped(reason, Counts { transactions, ..Counts::spans(1) });
        }
        if !reason.is_wanted() {
            self.crowded.notify_one();
        }
    }

    /// Whether so many bytes wait that the oldest spans should be sent without their root.
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
    pub(crate) async fn wait_for_root(&self) {
        self.root_ended.notified().await;
    }

    /// Waits until the worker must make room.
    pub(crate) async fn wait_for_crowd(&self) {
        self.crowded.notified().await;
    }

    /// Picks up all spans, in the order in which they ended within a trace, and the traces that lost a span.
    ///
    /// It counts the spans as received under the shard's lock, so that `stats` never misses a span between the two.
    pub(crate) fn drain(&self, spans: &mut Vec<EndedSpan>, dropped: &mut Vec<TraceId>, ledger: &Ledger) {
        let mut picked = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            mem::swap(&mut shard.spans, &mut picked);
            dropped.append(&mut shard.dropped.new);
            picked.retain(|span| {
                let is_ours = is_for_sentry(span);
                if !is_ours {
                    self.release(span.size());
                }
                is_ours
            });
            ledger.received(picked.len() as u64);
            drop(shard);
            spans.append(&mut picked);
            // The next shard gets this vector. The memory of a burst is released.
            picked.shrink_to(MAX_ROOM);
        }
    }

    /// Accepts spans again of traces that lost some, because the pressure is over.
    pub(crate) fn forgive(&self) {
        for shard in &self.shards {
            let dropped = &mut lock(shard).dropped;
            dropped.all.clear();
            dropped.order.clear();
        }
    }

    /// Reads something together with the number of spans that wait to be picked up. No span moves from here to the ledger
    /// meanwhile, so the two numbers add up.
    pub(crate) fn read_with_waiting<T>(&self, read: impl FnOnce() -> T) -> (u64, T) {
        let shards: Vec<_> = self.shards.iter().map(lock).collect();
        let waiting = shards.iter().flat_map(|shard| &shard.spans).filter(|span| is_for_sentry(span)).count();
        (waiting as u64, read())
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> u64 {
        self.read_with_waiting(|| ()).0
    }

    /// Returns the bytes of spans that are converted or dropped.
    pub(crate) fn release(&self, bytes: usize) {
        self.pending.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Accepts no more spans: from now on they are dropped for this reason, or for an earlier one.
    pub(crate) fn close(&self, reason: DropReason) {
        self.shards.iter().for_each(|shard| _ = lock(shard).closed.get_or_insert(reason));
    }

    /// Removes the spans that the worker will never pick up, and counts them as received. Returns their number.
    pub(crate) fn abandon(&self, ledger: &Ledger) -> u64 {
        let (mut spans, mut dropped) = (Vec::new(), Vec::new());
        self.drain(&mut spans, &mut dropped, ledger);
        spans.len() as u64
    }

    fn shard(&self, trace_id: TraceId) -> &Mutex<Shard> {
        &self.shards[trace_id.to_bytes()[15] as usize % SHARDS]
    }
}

impl fmt::Debug for Intake {
    /// Leaves out the spans: they contain user data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("pending", &self.pending()).finish_non_exhaustive()
    }
}

impl OpenRoots for Intake {
    fn open_roots(&self, trace_id: TraceId) -> Vec<SpanId> {
        lock(self.shard(trace_id)).open.get(&trace_id).map(|open| open.roots.clone()).unwrap_or_default()
    }
}

impl Shard {
    /// Completes a span of a stream by what is known since its start.
    fn complete(&mut self, span: &mut EndedSpan) {
        let Some(started) = self.starts.ended((span.span_context.trace_id(), span.span_context.span_id())) else {
            return;
        };
        span.is_ignored = started.is_ignored();
        if !span.is_local_root() {
            span.set_parent(started.parent);
        }
        span.segment = started.segment;
    }

    fn ended(&mut self, trace_id: TraceId, span_id: SpanId) {
        if let Entry::Occupied(mut open) = self.open.entry(trace_id) {
            let roots = &mut open.get_mut().roots;
            if let Some(place) = roots.iter().position(|root| *root == span_id) {
                roots.swap_remove(place);
            }
            if roots.is_empty() {
                open.remove();
            }
        }
    }
}

/// Whether a span was sampled for Sentry. The sampler marks the spans that are recorded for other processors only.
fn is_for_sentry(span: &EndedSpan) -> bool {
    !span.attributes.iter().any(not_sampled::is_mark)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A push can panic only when memory runs out, and leaves every value intact.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
