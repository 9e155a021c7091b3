//! Makes envelopes of the exceptions in a trace.

use uuid::{Uuid, fmt::Simple};

use super::{
    contain::contain,
    envelope::{Envelope, Item},
    hook::{Hooked, Hooks},
    packer::{Packer, failed, written},
};
use crate::{
    account::{Counts, DropReason, Ledger},
    convert::{EventContext, ExceptionEvent},
    trace::Trace,
};

/// The most error events of one trace. A trace with more of them repeats the same failure.
const MAX_ERRORS: usize = 100;

impl Packer {
    /// Makes the envelopes of the exceptions in a trace.
    pub(super) fn pack_errors(&mut self, trace: &Trace, ledger: &Ledger) -> Vec<Envelope> {
        let mut found = self.exceptions.find(&trace.spans);
        let all = found.len();
        found.retain(|exception| !self.rules.ignores(exception));
        ledger.dropped(DropReason::Ignored, Counts::errors(all - found.len()));
        ledger.dropped(DropReason::BufferOverflow, Counts::errors(found.len().saturating_sub(MAX_ERRORS)));
        found.truncate(MAX_ERRORS);
        let context = EventContext::of(&trace.spans);
        let mut envelopes = Vec::with_capacity(found.len());
        for exception in found {
            let id = Uuid::new_v4().simple();
            let mut event_id = [0; Simple::LENGTH];
            let event = ExceptionEvent {
                event_id: id.encode_lower(&mut event_id),
                sender: &self.sender,
                exception: &exception,
                spans: &trace.spans,
                context: &context,
            };
            match write_error(&mut self.buffer, &event, &self.rules.hooks) {
                Ok(size) => {
                    let payload = self.buffer.get(..size).unwrap_or_default();
                    let item = Item { r#type: "event", payload, counts: Counts::ERROR, needs_context: false };
                    envelopes.push(Envelope::new(id, trace, &self.sender, &item));
                }
                Err(DropReason::InternalSdkError) => failed(ledger, Counts::ERROR),
                Err(reason) => ledger.dropped(reason, Counts::ERROR),
            }
        }
        envelopes
    }
}

/// Writes an error event into the buffer, as the hook returns it. Returns its size, or why it is not sent.
fn write_error(buffer: &mut [u8], event: &ExceptionEvent<'_>, hooks: &Hooks) -> Result<usize, DropReason> {
    if !hooks.has_error() {
        return contain("serialisation", || written(buffer, event)).unwrap_or(Err(DropReason::InternalSdkError));
    }
    let event = contain("serialisation", || serde_json::to_value(event));
    match event.and_then(Result::ok).map(|event| hooks.run_error(event)) {
        Some(Hooked::Kept(event)) => written(buffer, &event),
        Some(Hooked::Dropped) => Err(DropReason::BeforeSend),
        Some(Hooked::Failed) | None => Err(DropReason::InternalSdkError),
    }
}
