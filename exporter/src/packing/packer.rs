//! Makes envelopes of traces.
//!
//! ```text
//! trace ─> scrub, shape ─> exceptions ─> filters ─> generative models aside ─> split by count ─┬> convert ─> hooks ─> envelope
//!                                                                                       └─<─ split by size
//! ```
//!
//! A trace is prepared as a whole and packed part by part, so that parts can wait for room in the queue. Everything
//! that is removed on the way is counted. The application's functions run here, on the worker's thread, without any
//! lock.

use std::mem;

use opentelemetry::{TraceId, otel_warn};
use opentelemetry_sdk::Resource;
use serde::Serialize;
use uuid::fmt::Simple;
use web_time::Instant;

use super::{
    batch::{Batch, LOGS, Sequence},
    beside::{Beside, Part, Writing, is_gen_ai, parts, take_gen_ai},
    contain::contain,
    envelope::{Envelope, Item, MAX_TRANSACTION},
    hook::{Hooked, HookedTransaction, SpanEvent},
    prompts::remove_prompts,
    rules::Rules,
    shape::shape,
    trails::Trails,
    trim::trim,
};
use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{Exceptions, RecordError, Sender, Transaction, random_id},
    json,
    trace::{EndedSpan, MAX_BUCKET, Trace, TraceLifecycle, split_by_count, split_by_size, without},
};

/// What an envelope takes in the queue beside its payload: a context may have kilobytes.
const MAX_OVERHEAD: usize = 64 << 10;

/// The most bytes of a container beside a transaction. Together they are a record that the spool takes.
const MAX_BESIDE: usize = 2_000_000;

/// A trace that is ready to be packed.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its error events, and logs of its span events.
    pub(crate) envelopes: Vec<Envelope>,
    /// Its parts, for [`Packer::pack`].
    pub(crate) parts: Vec<Part>,
}

/// The result for one part.
#[derive(Debug)]
pub(crate) enum Packed {
    Envelope(Envelope),
    /// The transaction's envelope, and the spans beside it for which it has no room.
    Envelopes(Vec<Envelope>),
    /// The part was too large for one envelope. These are smaller.
    Parts(Vec<Part>),
    /// It was dropped and counted.
    Nothing,
}

/// A serialised event.
#[derive(Debug)]
pub(crate) struct Serialised {
    /// The bytes that it takes. If they are more than the limit, the buffer does not have all of them.
    size: usize,
    trimmed: Trimmed,
}

/// Makes envelopes of traces.
#[derive(Debug)]
pub(crate) struct Packer {
    pub(super) sender: Sender,
    pub(super) rules: Rules,
    /// Remembers failures, so that one that is recorded by several spans is sent once.
    pub(super) exceptions: Exceptions,
    /// The event that was serialised last. It is as long as the longest event that is sent; the system provides its memory
    /// as far as it is used.
    pub(super) buffer: Box<[u8]>,
    /// The most bytes of a container of streamed spans.
    pub(super) container_limit: usize,
    /// The most bytes of one beside a transaction. Spans for which it has no room leave by themselves.
    beside_limit: usize,
    /// The trace id of logs and metrics outside of any trace. One for the process, as in Sentry's SDKs.
    pub(super) process: TraceId,
    pub(super) logs: Batch,
    #[cfg(feature = "metrics")]
    pub(super) metrics: Batch,
    pub(super) sequence: Sequence,
    /// Errors of log records that a span may report too.
    pub(super) records: Vec<(Instant, RecordError)>,
    pub(super) trails: Trails,
    /// The spans that were packed last, for the thread that frees them.
    pub(super) spent: Vec<EndedSpan>,
    /// Span events then make no logs: each line would be sent twice.
    pub(super) has_log_processor: bool,
}

impl Packer {
    pub(crate) fn new(mut sender: Sender, rules: Rules) -> Self {
        rules.scrubber.scrub_attributes(sender.attributes.as_mut_slice());
        Self {
            sender,
            rules,
            exceptions: Exceptions::default(),
            buffer: vec![0; MAX_TRANSACTION].into(),
            container_limit: MAX_BUCKET,
            beside_limit: MAX_BESIDE,
            process: TraceId::from_bytes(*random_id().as_bytes()),
            logs: Batch::new(&LOGS),
            #[cfg(feature = "metrics")]
            metrics: Batch::new(&super::batch::METRICS),
            sequence: Sequence::default(),
            records: Vec::new(),
            trails: Trails::default(),
            spent: Vec::new(),
            has_log_processor: false,
        }
    }

    /// Limits containers of streamed spans to what the send queue can take. A larger one would be dropped as a whole.
    pub(crate) fn with_queue_limit(mut self, bytes: usize) -> Self {
        self.container_limit = MAX_BUCKET.min(bytes.saturating_sub(MAX_OVERHEAD));
        self.beside_limit = MAX_BESIDE.min(bytes / 16);
        self
    }

    /// The most bytes of an item that leaves in this lifecycle.
    pub(crate) const fn largest(&self, lifecycle: TraceLifecycle) -> usize {
        match lifecycle {
            TraceLifecycle::Transactions => MAX_TRANSACTION + self.beside_limit,
            TraceLifecycle::Stream => self.container_limit,
        }
    }

    /// Whether exceptions become error events.
    pub(crate) const fn makes_errors(&self) -> bool {
        self.rules.exceptions_as_errors
    }

    pub(crate) fn set_resource(&mut self, resource: &Resource) {
        self.sender.set_resource(self.rules.scrubber.scrubbed(resource));
    }

    /// The spans that were packed last. Those that were dropped or split are not among them.
    pub(crate) fn take_spent(&mut self) -> Vec<EndedSpan> {
        mem::take(&mut self.spent)
    }

    /// Does everything that needs the whole trace: hides secrets, finds exceptions, applies filters; then splits it by
    /// count. Filters come before the split, because ignored spans must not take room in a part.
    pub(crate) fn prepare(&mut self, mut trace: Trace, ledger: &Ledger) -> Prepared {
        self.scrub(&mut trace);
        let mut envelopes = self.pack_span_events(&trace.spans, ledger);
        if self.rules.exceptions_as_errors {
            envelopes.extend(self.pack_errors(&trace, ledger));
        }
        let Some(mut trace) = self.without_ignored(trace, ledger) else {
            return Prepared { envelopes, parts: Vec::new() };
        };
        let beside = if self.rules.keeps_gen_ai { Vec::new() } else { take_gen_ai(&mut trace) };
        Prepared { envelopes, parts: parts(split_by_count(trace), beside) }
    }

    /// Hides secrets in a trace, and shapes what is left.
    pub(crate) fn scrub(&self, trace: &mut Trace) {
        for span in &mut trace.spans {
            if self.rules.removes_prompts {
                remove_prompts(span.data_mut());
            }
            self.rules.scrubber.scrub(span.data_mut());
            shape(span);
        }
    }

    /// Removes what the application ignores. The children of an ignored span move up to its parent. If the local root
    /// is ignored, the whole trace is dropped.
    fn without_ignored(&self, mut trace: Trace, ledger: &Ledger) -> Option<Trace> {
        let Rules { ignored_spans, ignored_transactions, .. } = &self.rules;
        if ignored_spans.is_empty() && ignored_transactions.is_empty() {
            return Some(trace);
        }
        let root = trace.spans.first()?;
        let is_root_ignored = root.is_local_root() && ignored_spans.match_any(root);
        if is_root_ignored || ignored_transactions.match_any(root) {
            ledger.dropped(DropReason::Ignored, Counts::transaction(trace.spans.len()));
            return None;
        }
        let before = trace.spans.len();
        trace.spans = without(trace.spans, |span| ignored_spans.match_any(span));
        ledger.dropped(DropReason::Ignored, Counts::spans(before - trace.spans.len()));
        Some(trace).filter(|trace| !trace.spans.is_empty())
    }

    /// Makes the envelope of a part, or returns smaller parts if it is too large for one.
    pub(crate) fn pack(&mut self, part: Part, ledger: &Ledger) -> Packed {
        let id = random_id().simple();
        match self.serialise(id, &part.trace) {
            None => {
                failed(ledger, Counts::transaction(part.len()));
                Packed::Nothing
            }
            Some(Serialised { size, trimmed }) if size <= MAX_TRANSACTION => {
                ledger.trimmed(trimmed);
                self.finish(id, part, size, ledger)
            }
            Some(Serialised { size, .. }) if part.trace.spans.len() > 1 => {
                Packed::Parts(parts(self.smaller(part.trace, size), part.beside))
            }
            Some(_) => self.pack_trimmed(id, part, ledger),
        }
    }

    /// Splits a part that took too many bytes as JSON, by the size of each span.
    fn smaller(&self, trace: Trace, size: usize) -> Vec<Trace> {
        let sizes = Transaction::new("", &self.sender, &trace).span_sizes();
        let all: usize = sizes.iter().sum();
        // The fields of the event other than its spans. Each part repeats them.
        let fixed = size.saturating_sub(all);
        let room = MAX_TRANSACTION.saturating_sub(fixed);
        // A span takes a little more as the root than in the list. Half of the sum gives at least two parts, so that
        // repeated splitting ends.
        split_by_size(trace, room.min(all / 2).max(1), &sizes)
    }

    /// Makes the envelope of a single span that is too large: cuts its longest texts until it fits.
    fn pack_trimmed(&mut self, id: Simple, mut part: Part, ledger: &Ledger) -> Packed {
        let mut all = Trimmed::default();
        let mut room = MAX_TRANSACTION;
        while room > 0 {
            // Escaping makes a text longer, so the first cut may not be enough.
            room /= 2;
            part.trace.spans.iter_mut().for_each(|span| all += trim(span.data_mut(), room));
            let Some(Serialised { size, trimmed }) = self.serialise(id, &part.trace) else {
                failed(ledger, Counts::transaction(part.len()));
                return Packed::Nothing;
            };
            all += trimmed;
            if size <= MAX_TRANSACTION {
                ledger.trimmed(all);
                return self.finish(id, part, size, ledger);
            }
        }
        ledger.dropped(DropReason::Invalid, Counts::transaction(part.len()));
        Packed::Nothing
    }

    /// Writes the event into the buffer. `None` if it cannot be serialised.
    pub(crate) fn serialise(&mut self, id: Simple, trace: &Trace) -> Option<Serialised> {
        let Self { sender, buffer, .. } = self;
        let mut event_id = [0; Simple::LENGTH];
        let transaction = Transaction::new(id.encode_lower(&mut event_id), sender, trace);
        let size = contain("serialisation", || json::write(buffer, &transaction))?.ok()?;
        Some(Serialised { size, trimmed: transaction.trimmed() })
    }

    /// The event, however large it is.
    #[cfg(feature = "testing")]
    pub(crate) fn whole_event(&mut self, id: Simple, trace: &Trace) -> Option<&[u8]> {
        let size = self.serialise(id, trace)?.size;
        if size > self.buffer.len() {
            self.buffer = vec![0; size].into();
            self.serialise(id, trace)?;
        }
        self.buffer.get(..size)
    }

    /// Runs the hooks on the event in the buffer, and puts it into an envelope.
    fn finish(&mut self, id: Simple, part: Part, size: usize, ledger: &Ledger) -> Packed {
        let Part { mut trace, beside } = part;
        let kept = trace.spans.len();
        let name = if beside.is_empty() { String::new() } else { Transaction::new("", &self.sender, &trace).name() };
        trace.spans.extend(beside);
        let finished = match self.rules.hooks.is_empty() {
            true => Ok(Finished { size, spans: kept, beside: Beside::after(name, kept, &trace) }),
            false => self.apply_hooks(id, &trace, kept, ledger),
        };
        let Finished { size, spans, beside } = match finished {
            Ok(finished) => finished,
            Err((reason, spans)) => {
                ledger.dropped(reason, Counts::transaction(spans));
                return Packed::Nothing;
            }
        };
        let payload = self.buffer.get(..size).unwrap_or_default();
        let needs_context = beside.len() > 0;
        let item = Item { r#type: "transaction", payload, counts: Counts::transaction(spans) };
        let dsc =
            if needs_context { trace.dsc_or_minimal(&self.sender.service) } else { trace.dsc(&self.sender.service) };
        let envelope = Envelope::new(id, dsc.as_ref(), &item);
        let Self { sender, buffer, beside_limit: limit, .. } = self;
        let writing = Writing { sender, buffer, ledger, limit: *limit };
        let (envelope, others) = beside.join(envelope, &mut trace, writing);
        self.spent = trace.spans;
        if others.is_empty() {
            Packed::Envelope(envelope)
        } else {
            Packed::Envelopes([vec![envelope], others].concat())
        }
    }

    /// Replaces the event in the buffer by the one that the hooks return. If the transaction is dropped, returns why and
    /// its number of spans. The spans from the place `kept` on had no part in the size of the event so far.
    fn apply_hooks(
        &mut self,
        id: Simple,
        trace: &Trace,
        kept: usize,
        ledger: &Ledger,
    ) -> Result<Finished, (DropReason, usize)> {
        let all = trace.spans.len();
        let mut hooked = match self.hooked(id, trace) {
            Hooked::Kept(transaction) => transaction,
            Hooked::Dropped => return Err((DropReason::BeforeSend, all)),
            Hooked::Failed => {
                otel_warn!(name: "SentryExporter.SerializationFailed");
                return Err((DropReason::InternalSdkError, all));
            }
        };
        let mut size = written(&mut self.buffer, &hooked.event);
        if size == Err(DropReason::Invalid) && kept < all {
            // A hook has given long spans another op, and the event has no room for them.
            hooked.set_aside(trace.spans.get(kept..).unwrap_or_default());
            size = written(&mut self.buffer, &hooked.event);
        }
        let HookedTransaction { name, spans, beside, .. } = hooked;
        let beside = Beside::hooked(name, trace, beside);
        let spans = spans.min(all - beside.len());
        let left = spans + beside.len();
        ledger.dropped(DropReason::BeforeSend, Counts::spans(all - left));
        let size = size.map_err(|reason| (reason, left))?;
        Ok(Finished { size, spans, beside })
    }

    fn hooked(&self, id: Simple, trace: &Trace) -> Hooked<HookedTransaction> {
        let mut event_id = [0; Simple::LENGTH];
        let transaction = Transaction::new(id.encode_lower(&mut event_id), &self.sender, trace);
        let is_beside = |span: &SpanEvent| !self.rules.keeps_gen_ai && is_gen_ai(span.op.as_deref());
        serde_json::to_value(&transaction).map_or(Hooked::Failed, |event| self.rules.hooks.run(event, is_beside))
    }
}

/// The event of a transaction is in the buffer.
struct Finished {
    size: usize,
    /// The number of its spans.
    spans: usize,
    beside: Beside,
}

/// Writes an event into the buffer. Returns its size, or why it is not sent.
pub(super) fn written(buffer: &mut [u8], event: &impl Serialize) -> Result<usize, DropReason> {
    match json::write(buffer, event) {
        Ok(size) if size <= buffer.len() => Ok(size),
        Ok(_) => Err(DropReason::Invalid),
        Err(_) => Err(DropReason::InternalSdkError),
    }
}

/// Counts an event that could not be serialised.
pub(super) fn failed(ledger: &Ledger, counts: Counts) {
    otel_warn!(name: "SentryExporter.SerializationFailed");
    ledger.dropped(DropReason::InternalSdkError, counts);
}
