//! Which streamed spans leave together, and when?
//!
//! A bucket has the spans of one trace with one context, because an envelope has one context. Nothing waits for a local
//! root. Like the assembler, it has no clock, no thread and no lock: time is an argument.

use std::{
    collections::{BTreeSet, HashMap},
    iter, mem,
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;
use opentelemetry::TraceId;
use web_time::Instant;

use super::{
    context::TraceContext,
    ended::{EndedSpan, push_before},
    pick_up::PickUp,
    split::MAX_SPANS,
};

/// How long spans wait for others of their bucket.
pub(crate) const MAX_BUCKET_WAIT: Duration = Duration::from_secs(5);

/// The same after a local root has ended: most of its spans have ended as well, and a waterfall without them is empty.
pub(crate) const WAIT_AFTER_ROOT: Duration = Duration::from_millis(500);

/// The most bytes of a bucket. One span alone may have more.
pub(crate) const MAX_BUCKET: usize = 5_000_000;

/// The most contexts of one trace that wait at a time. Each local root of a trace may have one of its own; if there are
/// more, the oldest leaves early, so that finding the right one stays cheap.
const MAX_CONTEXTS: usize = 16;

/// Spans that leave together.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) trace_id: TraceId,
    /// `None` if it is not known; a minimal one is then made, because Sentry refuses streamed spans without any.
    pub(crate) context: Option<Arc<TraceContext>>,
    /// At least one, in the order in which they ended.
    pub(crate) spans: Vec<EndedSpan>,
}

impl Bucket {
    /// The sum of the sizes of its spans.
    pub(crate) fn size(&self) -> usize {
        self.spans.iter().map(EndedSpan::size).sum()
    }
}

/// All buckets that wait. Nothing is lost here: what comes in goes out.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    /// Most traces have one context, so the lists are short.
    waiting: HashMap<TraceId, Vec<Waiting>, RandomState>,
    /// The same, by the time at which each is due and its number. Without it each wake-up would have to look at all.
    due: BTreeSet<(Instant, u64, [u8; 16])>,
    next_number: u64,
    spans: usize,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    due: Instant,
    size: usize,
    bucket: Bucket,
}

impl Waiting {
    fn key(&self) -> (Instant, u64, [u8; 16]) {
        (self.due, self.number, self.bucket.trace_id.to_bytes())
    }

    fn has_room(&self, size: usize) -> bool {
        self.size + size <= MAX_BUCKET
    }

    fn is_full(&self) -> bool {
        self.bucket.spans.len() >= MAX_SPANS || self.size >= MAX_BUCKET
    }
}

impl Buckets {
    /// Adds a span, after which as many of its trace are added, and returns the buckets that are full.
    pub(crate) fn push(
        &mut self,
        span: EndedSpan,
        following: usize,
        context: Option<Arc<TraceContext>>,
        pick_up: PickUp,
    ) -> Vec<Bucket> {
        let (trace_id, size) = (span.span_context.trace_id(), span.size());
        let mut full = Vec::new();
        let place = self.place(trace_id, context.as_ref());
        let has_room = place.is_some_and(|place| self.waiting[&trace_id][place].has_room(size));
        let place = match place {
            Some(place) if has_room => place,
            _ => {
                full.extend(place.and_then(|place| self.take(trace_id, place)));
                full.extend(self.make_room(trace_id));
                self.open(trace_id, context, pick_up.since + MAX_BUCKET_WAIT)
            }
        };
        let Some(waiting) = self.waiting.get_mut(&trace_id).and_then(|all| all.get_mut(place)) else { return full };
        if span.is_local_root() {
            self.due.remove(&waiting.key());
            waiting.due = waiting.due.min(pick_up.now + WAIT_AFTER_ROOT);
            self.due.insert(waiting.key());
        }
        waiting.size += size;
        push_before(following, &mut waiting.bucket.spans, span);
        self.spans += 1;
        if waiting.is_full() {
            full.extend(self.take(trace_id, place));
        }
        full
    }

    /// Where the bucket of a context is among those of its trace. A span whose context is not known goes with any of its
    /// trace, and what waits without one gets the first that is known: otherwise a root that was not noted at its start
    /// would leave apart from its children.
    fn place(&mut self, trace_id: TraceId, context: Option<&Arc<TraceContext>>) -> Option<usize> {
        let all = self.waiting.get_mut(&trace_id)?;
        let Some(context) = context else { return all.len().checked_sub(1) };
        let is_it = |known: &Arc<TraceContext>| Arc::ptr_eq(known, context) || known == context;
        let same = all.iter().position(|waiting| waiting.bucket.context.as_ref().is_some_and(is_it));
        same.or_else(|| {
            let unknown = all.iter().position(|waiting| waiting.bucket.context.is_none())?;
            all[unknown].bucket.context = Some(Arc::clone(context));
            Some(unknown)
        })
    }

    /// Takes the oldest bucket of a trace that has too many.
    fn make_room(&mut self, trace_id: TraceId) -> Option<Bucket> {
        let all = self.waiting.get(&trace_id).filter(|all| all.len() >= MAX_CONTEXTS)?;
        let (oldest, _) = all.iter().enumerate().min_by_key(|(_, waiting)| waiting.number)?;
        self.take(trace_id, oldest)
    }

    fn open(&mut self, trace_id: TraceId, context: Option<Arc<TraceContext>>, due: Instant) -> usize {
        let number = self.next_number;
        self.next_number += 1;
        let bucket = Bucket { trace_id, context, spans: Vec::new() };
        let waiting = Waiting { number, due, size: 0, bucket };
        self.due.insert(waiting.key());
        let all = self.waiting.entry(trace_id).or_default();
        all.push(waiting);
        all.len() - 1
    }

    fn take(&mut self, trace_id: TraceId, place: usize) -> Option<Bucket> {
        let all = self.waiting.get_mut(&trace_id)?;
        let waiting = all.swap_remove(place);
        if all.is_empty() {
            self.waiting.remove(&trace_id);
        }
        self.due.remove(&waiting.key());
        self.spans -= waiting.bucket.spans.len();
        Some(waiting.bucket)
    }

    /// The buckets that are due.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Bucket> {
        let mut all = Vec::new();
        while self.next_expiry().is_some_and(|due| due <= now) {
            all.extend(self.take_first());
        }
        all
    }

    /// The bucket that is due first, to make room.
    pub(crate) fn take_first(&mut self) -> Option<Bucket> {
        let (_, number, trace_id) = *self.due.first()?;
        let trace_id = TraceId::from_bytes(trace_id);
        let place = self.waiting.get(&trace_id)?.iter().position(|waiting| waiting.number == number)?;
        self.take(trace_id, place)
    }

    /// All buckets of a trace.
    pub(crate) fn take_trace(&mut self, trace_id: TraceId) -> Vec<Bucket> {
        iter::from_fn(|| self.take(trace_id, 0)).collect()
    }

    /// All buckets, in the order in which they were opened.
    pub(crate) fn drain(&mut self) -> Vec<Bucket> {
        self.due.clear();
        self.spans = 0;
        let mut all: Vec<_> = mem::take(&mut self.waiting).into_values().flatten().collect();
        all.sort_unstable_by_key(|waiting| waiting.number);
        all.into_iter().map(|waiting| waiting.bucket).collect()
    }

    /// When the next bucket is due.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.due.first().map(|(due, ..)| *due)
    }

    /// How many spans wait.
    pub(crate) const fn len(&self) -> usize {
        self.spans
    }
}

#[cfg(test)]
mod tests;
