//! Where the application's threads leave ended spans, and the worker picks them up.
//!
//! A caller pays for three things: a lock, which is held for one push and chosen by trace id, so that threads with
//! different traces seldom share one; one copy of the span; and a wake-up of the worker when a local root has ended or
//! many spans wait.

mod drain;
mod jobs;
mod picked_up;
mod place;
mod shard;
mod spent;
mod starts;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_protocol::{__shared::not_sampled, Decision, SampleRand};
use tokio::sync::Notify;

pub(super) use self::jobs::received;
use self::{
    jobs::Jobs,
    shard::{OpenTrace, Shard},
    spent::Spent,
    starts::Started,
};
pub(crate) use self::{picked_up::PickedUp, place::Place};
use crate::{
    account::{Counts, DropReason, Ledger},
    trace::{EndedSpan, OpenRoots, Segment, Start, TraceContext, TraceLifecycle, is_local_root, slimmed},
};

/// More than most machines have request threads, and few enough to visit on every wake-up.
const SHARDS: usize = 16;

/// Ended spans on their way to the worker, and the local roots that are still open.
pub(crate) struct Intake {
    shards: [Mutex<Shard>; SHARDS],
    /// The shard that the next portion begins with.
    next: AtomicUsize,
    /// Spans that are packed. Their bytes are pending until they are freed.
    spent: Spent,
    /// The check-ins of cron monitors.
    pub(crate) jobs: Jobs,
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

impl Intake {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: Default::default(),
            next: AtomicUsize::new(0),
            // Less than what makes the buffer count as filling: they do not wait for spans that do not come.
            spent: Spent::new(limit / 64),
            jobs: Jobs::default(),
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

    /// Notes that a local root of a stream has begun, and how. Its decision was noted before.
    pub(crate) fn segment_started(
        &self,
        trace_id: TraceId,
        span_id: SpanId,
        start: impl Into<Start>,
        is_ignored: bool,
    ) {
        let segment = Segment::new(span_id, start, self.context(trace_id)).with_ignored(is_ignored);
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

    /// Measures a span. Returns a place for it; above the limit there is none, and the span and the rest of its trace are
    /// dropped.
    pub(crate) fn place(&self, span: &mut SpanData, is_ignored: bool, ledger: &Ledger) -> Option<Place<'_>> {
        if self.is_filling() {
            // A list that grew to eight has room for seven more. The thread that made the list frees the room: on the worker's
            // thread the two would wait for each other in the allocator.
            span.attributes.shrink_to_fit();
            self.release(self.spent.free_some());
        }
        let size = slimmed(span);
        if !span.span_context.is_sampled() {
            // The sampler lets it be recorded for its cron monitor alone.
            self.jobs.ended(span, ledger);
            return None;
        }
        let (trace_id, span_id) = (span.span_context.trace_id(), span.span_context.span_id());
        let is_root = is_local_root(span);
        let pending = self.pending.fetch_add(size, Ordering::Relaxed) + size;
        let mut shard = lock(self.shard(trace_id));
        if is_root && !shard.open.is_empty() {
            shard.ended(trace_id, span_id);
        }
        let started = if self.is_stream { shard.starts.ended((trace_id, span_id)) } else { None };
        let is_ignored = is_ignored || started.as_ref().is_some_and(Started::is_ignored);
        // One with events goes on, because its exceptions are not ignored.
        let is_gone = is_ignored && span.events.is_empty();
        if let Some(reason) = self.refusal(&mut shard, trace_id, pending, is_gone) {
            drop(shard);
            self.refuse(span, size, reason, ledger);
            return None;
        }
        let is_many = shard.make_room() || pending >= self.crowded_at();
        let wakes = if is_many { Some(&self.crowded) } else { Some(&self.root_ended).filter(|_| is_root) };
        Some(Place { shard, size, started, is_ignored, wakes })
    }

    /// Why a span of this trace is not accepted, if it is not, when this many bytes would be pending with it.
    fn refusal(&self, shard: &mut Shard, trace_id: TraceId, pending: usize, is_gone: bool) -> Option<DropReason> {
        if shard.closed.is_some() {
            return shard.closed;
        }
        if is_gone {
            return Some(DropReason::Ignored);
        }
        if pending <= self.limit && !shard.dropped.all.contains(&trace_id) {
            return None;
        }
        if !self.is_stream {
            shard.dropped.add(trace_id);
        }
        let is_stuck = self.is_stuck.load(Ordering::Relaxed);
        Some(if is_stuck { DropReason::QueueOverflow } else { DropReason::BufferOverflow })
    }

    /// Counts a span that is not accepted.
    fn refuse(&self, span: &SpanData, size: usize, reason: DropReason, ledger: &Ledger) {
        self.release(size);
        self.jobs.ended(span, ledger);
        if is_for_sentry(span) {
            ledger.received(1);
            let transactions = u64::from(is_local_root(span) && !self.is_stream);
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

    /// Whether the buffer is full enough that it may overflow soon. What makes room takes time, and
    /// is done only then: a service that is not flooded has room enough.
    pub(crate) fn is_filling(&self) -> bool {
        self.pending() >= self.limit / 16
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
        let waiting = shards.iter().flat_map(|shard| shard.all()).filter(|span| is_for_sentry(span)).count();
        (waiting as u64, read())
    }

    /// Measures and accepts a span.
    #[cfg(test)]
    pub(crate) fn end(&self, mut span: SpanData, ledger: &Ledger) {
        if let Some(place) = self.place(&mut span, false, ledger) {
            place.fill(span);
        }
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> u64 {
        self.read_with_waiting(|| ()).0
    }

    /// Returns the bytes of spans that are converted or dropped.
    pub(crate) fn release(&self, bytes: usize) {
        self.pending.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Frees packed spans whose sizes have this sum. While the buffer is filling, they wait for the threads that end others.
    pub(crate) fn free(&self, spans: Vec<EndedSpan>, bytes: usize) {
        let is_kept = self.is_filling() && self.spent.add(spans, bytes).is_empty();
        if !is_kept {
            self.release(bytes);
        }
    }

    /// Frees the packed spans that wait, also while the buffer is filling.
    pub(crate) fn free_spent(&self) {
        self.release(self.spent.free_all());
    }

    /// Accepts no more spans: from now on they are dropped for this reason, or for an earlier one.
    pub(crate) fn close(&self, reason: DropReason) {
        self.shards.iter().for_each(|shard| _ = lock(shard).closed.get_or_insert(reason));
        self.jobs.close(reason);
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

/// Whether a span was sampled for Sentry. The sampler marks the spans that are recorded for other processors only.
fn is_for_sentry(span: &SpanData) -> bool {
    !span.attributes.iter().any(not_sampled::is_mark)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A push can panic only when memory runs out, and leaves every value intact.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
