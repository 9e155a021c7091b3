//! From a trace to the envelopes in which it leaves.
//!
//! ```text
//! trace ─> scrub ─> exceptions ─> filters ─> split ─> convert ─> hooks ─> envelopes
//! ```
//!
//! What is taken out on the way is counted. The application's own functions run here, on the worker's thread, and no
//! lock is held.

use opentelemetry::otel_warn;
use opentelemetry_sdk::Resource;
use uuid::{Uuid, fmt::Simple};

use super::{
    contain::contain,
    envelope::{Envelope, Item, MAX_TRANSACTION},
    filter::{BrokenPattern, Filters},
    hook::{Hooked, Hooks},
    scrub::Scrubber,
    trim::trim,
};
use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{ErrorEvent, EventContext, Exceptions, Sender, Transaction},
    trace::{EndedSpan, Trace, Tree, split},
};

/// What the application has to say about what is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) scrubber: Scrubber,
    pub(crate) hooks: Hooks,
    pub(crate) ignored_spans: Filters,
    pub(crate) ignored_transactions: Filters,
    pub(crate) exceptions_as_errors: bool,
}

impl Rules {
    /// The first pattern of a filter that cannot be read, if there is one.
    pub(crate) fn invalid_pattern(&self) -> Option<BrokenPattern> {
        [&self.ignored_spans, &self.ignored_transactions].into_iter().find_map(Filters::broken)
    }
}

/// Who takes an envelope as soon as it is made, so that never more than one waits here.
pub(crate) type Send<'a> = &'a mut dyn FnMut(Envelope);

/// The most error events of one trace; more would tell nothing new.
const MAX_ERRORS: usize = 100;

/// Makes envelopes of traces.
#[derive(Debug)]
pub(crate) struct Packer {
    sender: Sender,
    rules: Rules,
    exceptions: Exceptions,
    /// Kept from one event to the next.
    buffer: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(sender: Sender, rules: Rules) -> Self {
        Self { sender, rules, exceptions: Exceptions::default(), buffer: Vec::new() }
    }

    pub(crate) fn set_resource(&mut self, resource: &Resource) {
        self.sender.set_resource(self.rules.scrubber.scrubbed(resource));
    }

    /// Makes the envelopes of a trace, and counts what none of them has.
    pub(crate) fn pack(&mut self, mut trace: Trace, ledger: &Ledger, send: Send<'_>) {
        self.scrub(&mut trace);
        if self.rules.exceptions_as_errors {
            self.pack_errors(&trace, ledger, send);
        }
        for trace in self.without_ignored(trace, ledger) {
            self.pack_transaction(trace, ledger, send);
        }
    }

    /// Takes out of a trace what must not be shown.
    pub(crate) fn scrub(&self, trace: &mut Trace) {
        trace.spans.iter_mut().for_each(|span| self.rules.scrubber.scrub(span.data_mut()));
    }

    fn pack_errors(&mut self, trace: &Trace, ledger: &Ledger, send: Send<'_>) {
        let mut found = self.exceptions.find(&trace.spans);
        for _ in found.drain(found.len().min(MAX_ERRORS)..) {
            ledger.dropped(DropReason::BufferOverflow, Counts::ERROR);
        }
        let context = EventContext::of(&trace.spans);
        for exception in found {
            let id = Uuid::new_v4().simple();
            let mut event_id = [0; Simple::LENGTH];
            let event = ErrorEvent {
                event_id: id.encode_lower(&mut event_id),
                sender: &self.sender,
                exception: &exception,
                spans: &trace.spans,
                context: &context,
            };
            self.buffer.clear();
            match serde_json::to_writer(&mut self.buffer, &event) {
                Ok(()) if self.buffer.len() <= MAX_TRANSACTION => {
                    let item = Item { r#type: "event", payload: &self.buffer, counts: Counts::ERROR };
                    send(Envelope::new(id, trace, &self.sender, &item));
                }
                Ok(()) => ledger.dropped(DropReason::Invalid, Counts::ERROR),
                Err(_) => failed(ledger, Counts::ERROR),
            }
        }
    }

    /// Takes out what the application does not want to see. The children of such a span move up to its parent; where
    /// the first one goes, each of its children begins a trace of its own, unless it was the local root: then all go.
    fn without_ignored(&self, trace: Trace, ledger: &Ledger) -> Vec<Trace> {
        let Rules { ignored_spans, ignored_transactions, .. } = &self.rules;
        if ignored_spans.is_empty() && ignored_transactions.is_empty() {
            return vec![trace];
        }
        let Some(root) = trace.spans.first() else { return Vec::new() };
        let is_root_ignored = root.is_local_root() && ignored_spans.match_any(root);
        if is_root_ignored || ignored_transactions.match_any(root) {
            ledger.dropped(DropReason::Ignored, Counts::transaction(trace.spans.len()));
            return Vec::new();
        }
        let Trace { context, spans, fate } = trace;
        let is_ignored = |span: &EndedSpan| ignored_spans.match_any(span);
        let before = spans.len();
        let parts = Tree::new(spans).without(is_ignored);
        let after = parts.iter().map(Vec::len).sum::<usize>();
        ledger.dropped(DropReason::Ignored, Counts::spans(before - after));
        parts.into_iter().map(|spans| Trace { context: context.clone(), spans, fate }).collect()
    }

    /// Makes an envelope of a trace, or several if it is too large for one.
    fn pack_transaction(&mut self, trace: Trace, ledger: &Ledger, send: Send<'_>) {
        let id = Uuid::new_v4().simple();
        let spans = trace.spans.len();
        let Some(trimmed) = self.serialise(id, &trace) else { return failed(ledger, Counts::transaction(spans)) };
        if self.buffer.len() <= MAX_TRANSACTION {
            ledger.trimmed(trimmed);
            return self.send(id, &trace, ledger, send);
        }
        if spans == 1 {
            return self.pack_trimmed(id, trace, ledger, send);
        }
        // What a span takes in memory is near to what it takes as JSON, where texts need no escapes. Where they do, the
        // parts are cut once more.
        let bytes = trace.spans.iter().map(EndedSpan::size).sum::<usize>();
        let parts = bytes.max(self.buffer.len()).div_ceil(MAX_TRANSACTION).max(2);
        for part in split(trace, spans - 1, bytes / parts) {
            self.pack_transaction(part, ledger, send);
        }
    }

    /// Makes an envelope of a single span that is too large: its longest texts are cut until it fits.
    fn pack_trimmed(&mut self, id: Simple, mut trace: Trace, ledger: &Ledger, send: Send<'_>) {
        let mut all = Trimmed::default();
        let mut room = MAX_TRANSACTION;
        while self.buffer.len() > MAX_TRANSACTION && room > 0 {
            // Escapes make a text longer than it is, so the first cut may not be enough.
            room /= 2;
            trace.spans.iter_mut().for_each(|span| all += trim(span.data_mut(), room));
            let Some(trimmed) = self.serialise(id, &trace) else { return failed(ledger, Counts::transaction(1)) };
            all += trimmed;
        }
        if self.buffer.len() > MAX_TRANSACTION {
            return ledger.dropped(DropReason::Invalid, Counts::transaction(1));
        }
        ledger.trimmed(all);
        self.send(id, &trace, ledger, send);
    }

    /// Writes the event into the buffer; returns what it cut off, or `None` if it cannot be serialised.
    pub(crate) fn serialise(&mut self, id: Simple, trace: &Trace) -> Option<Trimmed> {
        let Self { sender, buffer, .. } = self;
        let mut event_id = [0; Simple::LENGTH];
        let transaction = Transaction::new(id.encode_lower(&mut event_id), sender, trace);
        buffer.clear();
        let written = contain("serialisation", || serde_json::to_writer(&mut *buffer, &transaction));
        matches!(written, Some(Ok(()))).then(|| transaction.trimmed())
    }

    /// What was serialised last.
    #[cfg(feature = "testing")]
    pub(crate) fn payload(&self) -> &[u8] {
        &self.buffer
    }

    /// Puts what is in the buffer into an envelope, after the hooks have seen it.
    fn send(&mut self, id: Simple, trace: &Trace, ledger: &Ledger, send: Send<'_>) {
        let mut spans = trace.spans.len();
        if !self.rules.hooks.is_empty() {
            match self.hooked(id, trace) {
                Hooked::Kept(event, left) => {
                    let left = left.min(spans);
                    ledger.dropped(DropReason::BeforeSend, Counts::spans(spans - left));
                    spans = left;
                    self.buffer.clear();
                    if serde_json::to_writer(&mut self.buffer, &event).is_err() {
                        return failed(ledger, Counts::transaction(spans));
                    }
                    if self.buffer.len() > MAX_TRANSACTION {
                        return ledger.dropped(DropReason::Invalid, Counts::transaction(spans));
                    }
                }
                Hooked::Dropped => return ledger.dropped(DropReason::BeforeSend, Counts::transaction(spans)),
                Hooked::Failed => return failed(ledger, Counts::transaction(spans)),
            }
        }
        let item = Item { r#type: "transaction", payload: &self.buffer, counts: Counts::transaction(spans) };
        send(Envelope::new(id, trace, &self.sender, &item));
    }

    fn hooked(&self, id: Simple, trace: &Trace) -> Hooked {
        let mut event_id = [0; Simple::LENGTH];
        let transaction = Transaction::new(id.encode_lower(&mut event_id), &self.sender, trace);
        serde_json::to_value(&transaction).map_or(Hooked::Failed, |event| self.rules.hooks.run(event))
    }
}

fn failed(ledger: &Ledger, counts: Counts) {
    otel_warn!(name: "SentryExporter.SerializationFailed");
    ledger.dropped(DropReason::InternalSdkError, counts);
}
