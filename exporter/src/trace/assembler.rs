//! Groups ended spans into traces. The rules are in the guide, page `delivery`, section "When a span leaves".
//!
//! Spans arrive in the order in which they ended, with traces mixed. Nothing here knows a clock, a thread or a lock: time
//! is an argument.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use opentelemetry::{SpanId, TraceId};

use super::{
    context::TraceContext,
    ended::EndedSpan,
    sent::Sent,
    trace::{Fate, Trace},
    waiting::{Group, Waiting},
};
use crate::account::Counts;

/// How long spans wait for a local root that is still open.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(300);

/// How many traces may wait for late spans at a time. Where more end within the grace, spans are many, and memory is
/// better spent on those whose root is open.
const MAX_GRACED: usize = 256;

/// How long spans wait, and of how many traces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitLimits {
    /// How long a trace waits for late spans when its root has ended; without a value, as long as the door suggests.
    pub(crate) grace: Option<Duration>,
    /// How many traces may wait.
    pub(crate) traces: usize,
}

impl Default for WaitLimits {
    fn default() -> Self {
        Self { grace: None, traces: 100_000 }
    }
}

/// What is known outside of the assembler.
pub(crate) trait OpenRoots {
    /// The local roots of a trace that have begun and not ended, as far as they are known.
    fn open_roots(&self, trace_id: TraceId) -> Vec<SpanId>;
}

/// Turns ended spans into traces.
#[derive(Debug)]
pub(crate) struct Assembler {
    limits: WaitLimits,
    waiting: HashMap<TraceId, Waiting, RandomState>,
    /// All that wait, by when they are looked at next.
    due: BTreeSet<(Instant, [u8; 16])>,
    /// How many of them have something ready and wait for late spans only.
    graced: usize,
    /// How many spans wait.
    spans: usize,
    sent: Sent,
}

impl Assembler {
    pub(crate) fn new(limits: WaitLimits) -> Self {
        Self { limits, waiting: HashMap::default(), due: BTreeSet::new(), graced: 0, spans: 0, sent: Sent::default() }
    }

    /// Takes in one span that has ended. `default_grace` applies if the application did not set one.
    pub(crate) fn push(&mut self, span: EndedSpan, now: Instant, default_grace: Duration) {
        let trace_id = span.span_context.trace_id();
        let is_ready = span.is_local_root() || self.sent.has(trace_id, span.parent_span_id);
        let waiting = match self.waiting.entry(trace_id) {
            Entry::Occupied(waiting) => waiting.into_mut(),
            Entry::Vacant(vacant) => {
                let due = now + MAX_WAIT;
                self.due.insert((due, trace_id.to_bytes()));
                vacant.insert(Waiting::new(now, due))
            }
        };
        self.spans += 1;
        if !is_ready {
            return waiting.add_below(span);
        }
        if !waiting.has_ready() {
            self.graced += 1;
            self.due.remove(&(waiting.due, trace_id.to_bytes()));
            waiting.due = now + self.limits.grace.unwrap_or(default_grace).min(MAX_WAIT);
            self.due.insert((waiting.due, trace_id.to_bytes()));
        }
        waiting.add_ready(span);
    }

    /// Returns what is due, and what exceeds the limits.
    pub(crate) fn expire(&mut self, now: Instant, roots: &impl OpenRoots) -> Vec<Trace> {
        let mut expired = Vec::new();
        // Those that are ready are due first, so they also make room first.
        while let Some(&(due, trace_id)) = self.due.first() {
            let is_over_limit = self.waiting.len() > self.limits.traces || self.graced > MAX_GRACED;
            if due > now && !is_over_limit {
                break;
            }
            expired.extend(self.take_next(TraceId::from_bytes(trace_id), roots));
        }
        expired
    }

    /// Returns everything that waits.
    pub(crate) fn drain(&mut self, roots: &impl OpenRoots) -> Vec<Trace> {
        let all: Vec<_> = self.waiting.keys().copied().collect();
        all.into_iter().flat_map(|trace_id| self.take_all(trace_id, roots)).collect()
    }

    /// Returns what would be due next, if anything waits: first those whose root has ended.
    pub(crate) fn drain_oldest(&mut self, roots: &impl OpenRoots) -> Vec<Trace> {
        let oldest = self.due.first().map(|(_, trace_id)| TraceId::from_bytes(*trace_id));
        oldest.map(|trace_id| self.take_next(trace_id, roots)).unwrap_or_default()
    }

    /// Removes the spans of a trace of which others were dropped; returns what is lost with them, and their bytes.
    pub(crate) fn discard(&mut self, trace_id: TraceId) -> (Counts, usize) {
        let (mut counts, mut bytes) = (Counts::default(), 0);
        for span in self.remove(trace_id).into_iter().flat_map(Waiting::into_spans) {
            counts += Counts { transactions: u64::from(span.is_local_root()), ..Counts::spans(1) };
            bytes += span.size();
        }
        (counts, bytes)
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many spans wait.
    pub(crate) const fn len(&self) -> usize {
        self.spans
    }

    /// Takes out what is ready of a trace; if nothing is, everything.
    fn take_next(&mut self, trace_id: TraceId, roots: &impl OpenRoots) -> Vec<Trace> {
        let Some(mut waiting) = self.remove(trace_id) else { return Vec::new() };
        if !waiting.has_ready() {
            return self.leave(trace_id, waiting.take_all(&roots.open_roots(trace_id)));
        }
        let groups = waiting.take_ready();
        if waiting.count() > 0 {
            waiting.due = waiting.since + MAX_WAIT;
            self.spans += waiting.count();
            self.due.insert((waiting.due, trace_id.to_bytes()));
            self.waiting.insert(trace_id, waiting);
        }
        self.leave(trace_id, groups)
    }

    fn take_all(&mut self, trace_id: TraceId, roots: &impl OpenRoots) -> Vec<Trace> {
        let Some(mut waiting) = self.remove(trace_id) else { return Vec::new() };
        self.leave(trace_id, waiting.take_all(&roots.open_roots(trace_id)))
    }

    fn remove(&mut self, trace_id: TraceId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&trace_id)?;
        self.due.remove(&(waiting.due, trace_id.to_bytes()));
        self.graced -= usize::from(waiting.has_ready());
        self.spans -= waiting.count();
        Some(waiting)
    }

    fn leave(&mut self, trace_id: TraceId, groups: Vec<Group>) -> Vec<Trace> {
        let mut traces = Vec::with_capacity(groups.len());
        for Group { spans, fate } in groups {
            let context = match (fate, spans.first()) {
                (Fate::Whole, Some(root)) => Some(Arc::new(TraceContext::of(root))),
                _ => self.sent.context(trace_id).cloned(),
            };
            self.sent.remember(trace_id, &spans, context.as_ref());
            traces.push(Trace { context, spans, fate });
        }
        traces
    }
}
