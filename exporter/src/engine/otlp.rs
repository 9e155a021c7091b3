//! Requests of OTLP exporters on their way to the worker.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    account::{DropReason, Ledger},
    packing::Envelope,
};

/// The share of the send queue's limit above which no further batch is taken. It is a batch or two while the worker is busy;
/// while the server is away, the queue and the disk take what they can, and then this fills.
const SHARE: usize = 4;

/// What OTLP exporters have handed over and the worker has not packed.
#[derive(Debug)]
pub(crate) struct OtlpInbox {
    inbox: Mutex<Inbox>,
    limit: usize,
    /// Wakes the worker. Without it a batch would wait until spans are picked up next.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inbox {
    /// Why it accepts no more, once it does not.
    closed: Option<DropReason>,
    envelopes: Vec<Envelope>,
    /// The bytes of these and of those that the machine has taken and not queued yet: only both together are bounded.
    bytes: usize,
    /// A client uses this engine.
    is_used: bool,
}

impl OtlpInbox {
    pub(super) fn new(queue_limit: usize) -> Self {
        Self { inbox: Mutex::default(), limit: queue_limit / SHARE, arrived: Notify::new() }
    }

    /// Notes that a client uses it.
    pub(super) fn expect(&self) {
        self.lock().is_used = true;
    }

    pub(super) fn is_used(&self) -> bool {
        self.lock().is_used
    }

    /// Accepts the parts of a batch, or drops all of them. Each is counted as received. Returns whether it is open.
    pub(super) fn push(&self, envelopes: Vec<Envelope>, ledger: &Ledger) -> bool {
        let mut inbox = self.lock();
        // One batch may go beyond the limit. If it counted before, a batch in several parts would never find room for all.
        let has_room = inbox.bytes < self.limit.max(1);
        for envelope in envelopes {
            let (counts, size) = (envelope.counts, envelope.size());
            // Before the worker can send it: more must never be sent than was received.
            ledger.received(counts.spans);
            ledger.logs_received(counts.logs);
            match inbox.closed {
                Some(reason) => ledger.dropped(reason, counts),
                None if !has_room => ledger.dropped(DropReason::QueueOverflow, counts),
                None => {
                    inbox.bytes += size;
                    inbox.envelopes.push(envelope);
                }
            }
        }
        let is_open = inbox.closed.is_none();
        drop(inbox);
        self.arrived.notify_one();
        is_open
    }

    /// Takes all. They count as waiting until they are [released](Self::release).
    pub(super) fn drain(&self) -> Vec<Envelope> {
        mem::take(&mut self.lock().envelopes)
    }

    /// Notes that envelopes with these bytes were queued or dropped.
    pub(super) fn release(&self, bytes: usize) {
        let mut inbox = self.lock();
        inbox.bytes = inbox.bytes.saturating_sub(bytes);
    }

    /// The bytes that wait, here or in the machine.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The bytes above which it takes no further batch.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Accepts no more: from now on they are dropped for this reason, or for an earlier one.
    pub(super) fn close(&self, reason: DropReason) {
        self.lock().closed.get_or_insert(reason);
    }

    /// Waits for an envelope.
    pub(super) async fn wait(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // No code panics while it holds this lock.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
