//! Gathers ended spans until they leave: into traces, or into buckets. The lifecycle is chosen once, here.

use std::sync::Arc;

use opentelemetry::TraceId;
use web_time::Instant;

use super::{
    assembler::{Assembler, OpenRoots, WaitLimits},
    buckets::{Bucket, Buckets},
    context::TraceContext,
    ended::EndedSpan,
    lifecycle::TraceLifecycle,
    pick_up::PickUp,
    trace::Trace,
};
use crate::account::Counts;

/// Gathers ended spans until they leave.
#[derive(Debug)]
pub(crate) enum Gatherer {
    Assembler(Assembler),
    Buckets(Buckets),
}

/// Spans that leave together.
#[derive(Debug)]
pub(crate) enum Gathered {
    Trace(Trace),
    Bucket(Bucket),
}

impl Gatherer {
    pub(crate) fn new(lifecycle: TraceLifecycle, limits: WaitLimits) -> Self {
        match lifecycle {
            TraceLifecycle::Transactions => Self::Assembler(Assembler::new(limits)),
            TraceLifecycle::Stream => Self::Buckets(Buckets::default()),
        }
    }

    /// Adds a span that has ended, after which as many of its trace are added. Returns what is full.
    pub(crate) fn push(&mut self, span: EndedSpan, following: usize, pick_up: PickUp) -> Vec<Gathered> {
        match self {
            Self::Assembler(assembler) => {
                assembler.push(span, following, pick_up.now, pick_up.grace);
                Vec::new()
            }
            Self::Buckets(buckets) => {
                let context = context(&span);
                in_buckets(buckets.push(span, following, context, pick_up))
            }
        }
    }

    /// What is due, or exceeds the limits.
    pub(crate) fn expire(&mut self, now: Instant, roots: &impl OpenRoots) -> Vec<Gathered> {
        match self {
            Self::Assembler(assembler) => in_traces(assembler.expire(now, roots)),
            Self::Buckets(buckets) => in_buckets(buckets.expire(now)),
        }
    }

    /// All spans that wait.
    pub(crate) fn drain(&mut self, roots: &impl OpenRoots) -> Vec<Gathered> {
        match self {
            Self::Assembler(assembler) => in_traces(assembler.drain(roots)),
            Self::Buckets(buckets) => in_buckets(buckets.drain()),
        }
    }

    /// The spans of a trace that can leave now and leave no gap: those below a local root that has ended, and all that are
    /// streamed.
    pub(crate) fn take_ended(&mut self, trace_id: TraceId, roots: &impl OpenRoots) -> Vec<Gathered> {
        match self {
            Self::Assembler(assembler) => in_traces(assembler.take_ended(trace_id, roots)),
            Self::Buckets(buckets) => in_buckets(buckets.take_trace(trace_id)),
        }
    }

    /// The same of all traces.
    pub(crate) fn take_all_ended(&mut self, roots: &impl OpenRoots) -> Vec<Gathered> {
        match self {
            Self::Assembler(assembler) => in_traces(assembler.take_all_ended(roots)),
            Self::Buckets(buckets) => in_buckets(buckets.drain()),
        }
    }

    /// The spans that would be due next.
    pub(crate) fn drain_oldest(&mut self, roots: &impl OpenRoots) -> Vec<Gathered> {
        match self {
            Self::Assembler(assembler) => in_traces(assembler.drain_oldest(roots)),
            Self::Buckets(buckets) => in_buckets(buckets.take_first()),
        }
    }

    /// Removes the spans of a trace that lost others. A stream has no whole traces, so nothing of it is removed.
    pub(crate) fn discard(&mut self, trace_id: TraceId) -> (Counts, usize) {
        match self {
            Self::Assembler(assembler) => assembler.discard(trace_id),
            Self::Buckets(_) => (Counts::default(), 0),
        }
    }

    /// When [`expire`](Self::expire) returns something next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        match self {
            Self::Assembler(assembler) => assembler.next_expiry(),
            Self::Buckets(buckets) => buckets.next_expiry(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many spans wait.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Assembler(assembler) => assembler.len(),
            Self::Buckets(buckets) => buckets.len(),
        }
    }
}

/// The context of a streamed span. A local root has one also if its start was not noted, or if another sampler decided.
fn context(span: &EndedSpan) -> Option<Arc<TraceContext>> {
    if !span.is_local_root() {
        return span.segment.as_ref()?.context.clone();
    }
    let noted = span.segment.as_ref().and_then(|segment| segment.context.clone());
    Some(noted.unwrap_or_else(|| Arc::new(TraceContext::of(span, span.attributes()))))
}

fn in_traces(traces: Vec<Trace>) -> Vec<Gathered> {
    traces.into_iter().map(Gathered::Trace).collect()
}

fn in_buckets(buckets: impl IntoIterator<Item = Bucket>) -> Vec<Gathered> {
    buckets.into_iter().map(Gathered::Bucket).collect()
}
