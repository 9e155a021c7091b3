//! Spans of generative models. They leave beside their transaction, as streamed spans in an item of their own: prompts and
//! answers are long, and would otherwise take the room of the other spans.
//!
//! Hooks and filters see a transaction with all its spans, so the spans are taken out afterwards. Without a hook they are
//! taken out before, and a span that is large costs the transaction nothing.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use opentelemetry::SpanId;
use opentelemetry_sentry_semantics::{Attributes, semconv};

use super::{
    container::{Payload, SpanWriter, headers},
    envelope::Envelope,
    hook::{Changes, SpanEvent},
};
use crate::{
    account::{Counts, Ledger},
    convert::{SegmentInfo, Sender, StreamedSpan, transaction_span},
    trace::{EndedSpan, MAX_SPANS, Trace},
};

/// The spans that become a transaction, and those that leave beside it.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) trace: Trace,
    pub(crate) beside: Vec<EndedSpan>,
}

impl Part {
    /// The sum of the sizes of its spans.
    pub(crate) fn size(&self) -> usize {
        self.trace.size() + self.beside.iter().map(EndedSpan::size).sum::<usize>()
    }

    /// The number of its spans.
    pub(crate) fn len(&self) -> usize {
        self.trace.spans.len() + self.beside.len()
    }
}

/// Parts of a trace. What leaves beside the trace leaves beside the first part, which has its root.
pub(super) fn parts(traces: Vec<Trace>, mut beside: Vec<EndedSpan>) -> Vec<Part> {
    traces.into_iter().map(|trace| Part { trace, beside: mem::take(&mut beside) }).collect()
}

/// Whether an op is that of a span that leaves beside its transaction.
pub(super) fn is_gen_ai(op: Option<&str>) -> bool {
    op.is_some_and(|op| op.starts_with("gen_ai."))
}

/// Takes the spans of generative models out of a trace. The first span becomes the transaction, so it stays.
pub(crate) fn take_gen_ai(trace: &mut Trace) -> Vec<EndedSpan> {
    let is_out = |span: &EndedSpan| {
        let attributes = span.attributes();
        may_be_gen_ai(attributes) && is_gen_ai(attributes.describe(&span.name, &span.span_kind).op.as_deref())
    };
    if !trace.spans.iter().skip(1).any(is_out) {
        return Vec::new();
    }
    let mut is_first = true;
    let stays = |span: &EndedSpan| mem::take(&mut is_first) || !is_out(span);
    let (stay, beside) = mem::take(&mut trace.spans).into_iter().partition(stays);
    trace.spans = stay;
    beside
}

/// Whether a span can have such an op. Nearly all spans have none, and need not be described for it.
fn may_be_gen_ai(attributes: Attributes<'_>) -> bool {
    attributes.get(semconv::GEN_AI_OPERATION_NAME).is_some() || attributes.get(semconv::SENTRY_OP).is_some()
}

/// A span that leaves beside its transaction.
#[derive(Debug)]
pub(super) struct Moved {
    /// Its place in the trace.
    place: usize,
    /// `None` if no hook saw it.
    changes: Option<Changes>,
}

/// The spans beside a transaction, and its name, which they repeat.
#[derive(Debug, Default)]
pub(super) struct Beside {
    name: String,
    moved: Vec<Moved>,
}

impl Beside {
    /// The spans of a trace from this place on.
    pub(super) fn after(name: String, kept: usize, trace: &Trace) -> Self {
        Self { name, moved: (kept..trace.spans.len()).map(|place| Moved { place, changes: None }).collect() }
    }

    /// The spans that hooks have seen, with what the hooks changed in them.
    pub(super) fn hooked(name: String, trace: &Trace, spans: Vec<SpanEvent>) -> Self {
        let places: HashMap<_, _> =
            trace.spans.iter().enumerate().map(|(place, span)| (span.span_context.span_id(), place)).collect();
        let moved = |after: SpanEvent| {
            let place = *places.get(&SpanId::from_hex(after.span_id()).ok()?)?;
            let before = transaction_span(trace, place)?;
            Some(Moved { place, changes: Some(Changes::between(SpanEvent::from_json(before)?, after)) })
        };
        Self { name, moved: spans.into_iter().filter_map(moved).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.moved.len()
    }

    /// Adds the spans to the envelope of their transaction. Those for which it has no room leave in the other envelopes.
    pub(super) fn join(
        &self,
        transaction: Envelope,
        trace: &mut Trace,
        writing: Writing<'_>,
    ) -> (Envelope, Vec<Envelope>) {
        let root = trace.spans.first().filter(|_| !self.moved.is_empty()).map(|root| root.span_context.clone());
        let Some(root) = root else { return (transaction, Vec::new()) };
        let Writing { sender, buffer, ledger, limit } = writing;
        let segment = SegmentInfo { id: root.span_id(), name: &self.name };
        let headers = headers(root.trace_id(), trace.context.as_deref(), sender);
        let writer = SpanWriter { sender, transaction: Some(segment), buffer, ledger };
        let mut containers = self.containers(&mut trace.spans, writer, limit).into_iter().peekable();
        let envelope = match containers.next_if(|first| first.size() <= limit && !self.repeats(first, trace)) {
            Some(first) => transaction.with_item(Counts::spans(first.len()), &first.into_item()),
            None => transaction,
        };
        (envelope, containers.map(|container| container.into_envelope(&headers)).collect())
    }

    /// Whether the transaction has a span with the id of one in the container, which only a broken generator of ids makes.
    fn repeats(&self, container: &Payload, trace: &Trace) -> bool {
        let moved: HashSet<_> = self.moved.iter().map(|moved| moved.place).collect();
        let mut kept = trace.spans.iter().enumerate().filter(|(place, _)| !moved.contains(place));
        kept.any(|(_, span)| container.has(span.span_context.span_id()))
    }

    fn containers(&self, spans: &mut [EndedSpan], mut writer: SpanWriter<'_>, limit: usize) -> Vec<Payload> {
        let mut all: Vec<Payload> = Vec::new();
        for Moved { place, changes } in &self.moved {
            let Some(span) = spans.get_mut(*place) else { continue };
            let change = |streamed: &StreamedSpan<'_>| changes.as_ref()?.applied_to(streamed);
            let id = span.span_context.span_id();
            let Some(json) = writer.write(span, change) else { continue };
            let has_room = |last: &Payload| last.has_room(id, json.len(), limit) && last.len() < MAX_SPANS;
            if !all.last().is_some_and(has_room) {
                all.push(Payload::default());
            }
            if let Some(last) = all.last_mut() {
                last.add(id, &json);
            }
        }
        all
    }
}

/// With what spans are written.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) sender: &'a Sender,
    pub(super) buffer: &'a mut [u8],
    pub(super) ledger: &'a Ledger,
    /// The most bytes of a container, unless a single span has more.
    pub(super) limit: usize,
}
