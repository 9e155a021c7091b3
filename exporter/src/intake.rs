//! Where the application's threads leave ended spans, and the worker picks them up.
//!
//! This is all that a caller pays for: a lock that nobody holds for longer than a push takes, chosen by trace id so
//! that threads with different traces do not meet, and a wake-up when a local root has ended or too much waits.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use opentelemetry::{Array, KeyValue, SpanId, TraceId, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_protocol::semconv;
use tokio::sync::Notify;

use crate::loss::{DropReason, Ledger, Load};

/// More shards than most machines run request threads, few enough to walk over on every wake-up.
const SHARDS: usize = 16;

/// Ended spans on their way to the worker.
#[derive(Debug)]
pub(crate) struct Intake {
    shards: [Mutex<Vec<SpanData>>; SHARDS],
    /// Bytes of all spans that were taken in and are not converted yet, wherever they wait.
    pending: AtomicUsize,
    limit: usize,
    closed: AtomicBool,
    wake: Notify,
}

impl Intake {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: Default::default(),
            pending: AtomicUsize::new(0),
            limit,
            closed: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Takes in one span. Spans that are recorded for others only are none of ours.
    pub(crate) fn push(&self, span: SpanData, ledger: &Ledger) {
        if !span.span_context.is_sampled() || is_for_others(&span) {
            return;
        }
        ledger.received(1);
        // A broken id generator: one such span would make Sentry refuse its whole transaction.
        if !span.span_context.is_valid() {
            return ledger.dropped(DropReason::Invalid, Load::spans(1));
        }
        let size = size_of_span(&span);
        let is_root = is_local_root(&span);
        let before = self.pending.fetch_add(size, Ordering::Relaxed);
        if before + size > self.limit {
            self.release(size);
            return ledger.dropped(DropReason::BufferOverflow, Load::spans(1));
        }
        let mut shard = lock(&self.shards[shard_of(span.span_context.trace_id())]);
        // Looked at under the lock: after the worker's last `drain` no span can slip in.
        if self.closed.load(Ordering::Acquire) {
            drop(shard);
            self.release(size);
            return ledger.dropped(DropReason::Shutdown, Load::spans(1));
        }
        shard.push(span);
        drop(shard);
        if is_root || before + size >= self.crowded_at() {
            self.wake.notify_one();
        }
    }

    /// Whether so much waits that those who wait longest should be sent without their root.
    pub(crate) fn is_crowded(&self) -> bool {
        self.pending.load(Ordering::Relaxed) >= self.crowded_at()
    }

    const fn crowded_at(&self) -> usize {
        self.limit / 2
    }

    /// Waits until there is something to pick up.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Picks up everything, the spans of a trace in the order in which they ended.
    pub(crate) fn drain(&self) -> impl Iterator<Item = SpanData> {
        self.shards.iter().flat_map(|shard| mem::take(&mut *lock(shard)))
    }

    /// Gives back the bytes of spans that wait no longer.
    pub(crate) fn release(&self, bytes: usize) {
        self.pending.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// Whether the sampler records this trace although it decided that Sentry does not get it.
fn is_for_others(span: &SpanData) -> bool {
    span.attributes.iter().any(|attribute| attribute.key.as_str() == semconv::NOT_SAMPLED)
}

/// A local root has no parent, or one in another process.
pub(crate) fn is_local_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote
}

/// An estimate of what a span holds in memory, in bytes.
pub(crate) fn size_of_span(span: &SpanData) -> usize {
    let events =
        span.events.iter().map(|event| size_of_val(event) + event.name.len() + size_of_attributes(&event.attributes));
    let links = span.links.iter().map(|link| size_of_val(link) + size_of_attributes(&link.attributes));
    let status = match &span.status {
        Status::Error { description } => description.len(),
        Status::Ok | Status::Unset => 0,
    };
    let own = size_of_val(span) + span.name.len() + status + size_of_attributes(&span.attributes);
    own + events.chain(links).sum::<usize>()
}

fn size_of_attributes(attributes: &[KeyValue]) -> usize {
    let size =
        |attribute: &KeyValue| size_of_val(attribute) + attribute.key.as_str().len() + size_of_value(&attribute.value);
    attributes.iter().map(size).sum()
}

fn size_of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::Bool(values)) => values.len(),
        Value::Array(Array::I64(values)) => size_of_val(values.as_slice()),
        Value::Array(Array::F64(values)) => size_of_val(values.as_slice()),
        Value::Array(Array::String(values)) => values.iter().map(|text| size_of_val(text) + text.as_str().len()).sum(),
        _ => 0,
    }
}

fn shard_of(trace_id: TraceId) -> usize {
    trace_id.to_bytes()[15] as usize % SHARDS
}

fn lock(shard: &Mutex<Vec<SpanData>>) -> MutexGuard<'_, Vec<SpanData>> {
    // A push that panicked (out of memory) leaves a whole vector behind.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
