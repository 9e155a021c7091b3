//! Groups ended spans into traces. The rules are in the guide, page `delivery`, section "When a span leaves".
//!
//! Spans arrive in the order in which they ended, with traces mixed. The assembler has no clock, no thread and no lock:
//! time is an argument.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;
use opentelemetry::{SpanId, TraceId};
use web_time::Instant;

use super::{
    context::TraceContext,
    ended::EndedSpan,
    sent::Sent,
    trace::{Fate, Trace},
    waiting::{Group, Waiting},
};
use crate::account::Counts;

/// How long spans wait for a local root that is still open. Some roots stay open for days.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(300);

/// How many traces may wait for late spans at a time. If more end within the grace, the service is so busy that the
/// memory is needed for spans whose root is open.
const MAX_GRACED: usize = 256;

/// How long spans wait, and how many traces may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitLimits {
    /// How long a trace waits for late spans after its root has ended. `None` is the default of the door.
    pub(crate) grace: Option<Duration>,
    /// The most traces that may wait.
    pub(crate) traces: usize,
}

impl Default for WaitLimits {
    fn default() -> Self {
        Self { grace: None, traces: 100_000 }
    }
}

/// The local roots that are open. The intake knows them, because only the doors see spans begin.
pub(crate) trait OpenRoots {
    /// The local roots of a trace that have begun and not ended; empty under another span processor.
    fn open_roots(&self, trace_id: TraceId) -> Vec<SpanId>;
}

/// Turns ended spans into traces.
#[derive(Debug)]
pub(crate) struct Assembler {
    limits: WaitLimits,
    waiting: HashMap<TraceId, Waiting, RandomState>,
    /// The same traces, by the time at which each is due. Without it each wake-up would have to look at all of them.
    due: BTreeSet<(Instant, [u8; 16])>,
    /// How many traces have a root that has ended and wait for late spans only. Without this limit a busy service would
    /// hold all traces of the last 50 ms.
    graced: usize,
    /// How many spans wait, for the account: if the worker ends, they are counted as dropped.
    spans: usize,
    /// Without it, a span that ends after its parent was sent would wait for that parent until `MAX_WAIT`.
    sent: Sent,
}

impl Assembler {
    pub(crate) fn new(limits: WaitLimits) -> Self {
        Self { limits, waiting: HashMap::default(), due: BTreeSet::new(), graced: 0, spans: 0, sent: Sent::default() }
    }

    /// Adds one span that has ended, after which as many of its trace are added. `default_grace` applies if the application
    /// did not set a grace.
    pub(crate) fn push(&mut self, span: EndedSpan, following: usize, now: Instant, default_grace: Duration) {
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
            return waiting.add_below(span, following);
        }
        if !waiting.has_ready() {
            self.graced += 1;
            self.due.remove(&(waiting.due, trace_id.to_bytes()));
            waiting.due = now + self.limits.grace.unwrap_or(default_grace).min(MAX_WAIT);
            self.due.insert((waiting.due, trace_id.to_bytes()));
        }
        waiting.add_ready(span);
    }

    /// Returns the traces that are due, and those that exceed the limits.
    pub(crate) fn expire(&mut self, now: Instant, roots: &impl OpenRoots) -> Vec<Trace> {
        let mut expired = Vec::new();
        // Traces whose root has ended are due first, so they also make room first.
        while let Some(&(due, trace_id)) = self.due.first() {
            let is_over_limit = self.waiting.len() > self.limits.traces || self.graced > MAX_GRACED;
            if due > now && !is_over_limit {
                break;
            }
            expired.extend(self.take_next(TraceId::from_bytes(trace_id), roots));
        }
        expired
    }

    /// Returns all spans that wait.
    pub(crate) fn drain(&mut self, roots: &impl OpenRoots) -> Vec<Trace> {
        let all: Vec<_> = self.waiting.keys().copied().collect();
        all.into_iter().flat_map(|trace_id| self.take_all(trace_id, roots)).collect()
    }

    /// Returns the spans of a trace whose local root has ended. What is below a root that is still open stays.
    pub(crate) fn take_ended(&mut self, trace_id: TraceId, roots: &impl OpenRoots) -> Vec<Trace> {
        let is_ready = self.waiting.get(&trace_id).is_some_and(Waiting::has_ready);
        if is_ready { self.take_next(trace_id, roots) } else { Vec::new() }
    }

    /// The same of all traces.
    pub(crate) fn take_all_ended(&mut self, roots: &impl OpenRoots) -> Vec<Trace> {
        let ended = self.waiting.iter().filter(|(_, waiting)| waiting.has_ready()).map(|(trace_id, _)| *trace_id);
        ended.collect::<Vec<_>>().into_iter().flat_map(|trace_id| self.take_next(trace_id, roots)).collect()
    }

    /// Returns the spans that would be due next; first those whose root has ended.
    pub(crate) fn drain_oldest(&mut self, roots: &impl OpenRoots) -> Vec<Trace> {
        let oldest = self.due.first().map(|(_, trace_id)| TraceId::from_bytes(*trace_id));
        oldest.map(|trace_id| self.take_next(trace_id, roots)).unwrap_or_default()
    }

    /// Removes the spans of a trace that lost others. Returns what is lost with them, and their bytes.
    pub(crate) fn discard(&mut self, trace_id: TraceId) -> (Counts, usize) {
        let (mut counts, mut bytes) = (Counts::default(), 0);
        for span in self.remove(trace_id).into_iter().flat_map(Waiting::into_spans) {
            counts += Counts { transactions: u64::from(span.is_local_root()), ..Counts::spans(1) };
            bytes += span.size();
        }
        (counts, bytes)
    }

    /// When [`expire`](Self::expire) returns something next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many spans wait.
    pub(crate) const fn len(&self) -> usize {
        self.spans
    }

    /// Removes the roots of a trace that have ended and the late spans, with their descendants; all spans if there are
    /// none of these.
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

    /// Makes traces of groups that leave, and remembers them as sent.
    fn leave(&mut self, trace_id: TraceId, groups: Vec<Group>) -> Vec<Trace> {
        let mut traces = Vec::with_capacity(groups.len());
        for Group { spans, fate } in groups {
            let context = match (fate, spans.first()) {
                (Fate::Whole, Some(root)) => Some(Arc::new(TraceContext::of(root, root.attributes()))),
                _ => self.sent.context(trace_id).cloned(),
            };
            self.sent.remember(trace_id, &spans, context.as_ref());
            traces.push(Trace { context, spans, fate });
        }
        traces
    }
}
