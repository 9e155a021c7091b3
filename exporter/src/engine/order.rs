//! What callers ask the worker for.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
};

use opentelemetry_sdk::Resource;
use tokio::sync::{Notify, oneshot};
use web_time::Instant;

use super::flush_error::FlushError;
use crate::transport::Asker;

/// A caller that waits for everything to leave.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) reply: Reply,
    /// Spans below a local root that is still open stay.
    pub(super) leaves_open: bool,
    /// When the caller stops waiting. After that an answer would reach nothing, so the flush is forgotten.
    pub(super) deadline: Instant,
}

/// How the caller waits.
#[derive(Debug)]
pub(super) enum Reply {
    ToThread(mpsc::Sender<Result<(), FlushError>>),
    ToFuture(oneshot::Sender<Result<(), FlushError>>),
}

impl Waiter {
    pub(super) fn answer(self, result: Result<(), FlushError>) {
        // The caller may have stopped waiting.
        match self.reply {
            Reply::ToThread(caller) => drop(caller.send(result)),
            Reply::ToFuture(caller) => drop(caller.send(result)),
        }
    }
}

/// Orders that the worker has not seen yet.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The latest one: each provider that the exporter is installed in sets its own.
    pub(super) resource: Option<Resource>,
    /// A caller of `check`. There is room for one, as the outbox asks for one at a time.
    pub(super) check: Option<Asker>,
    pub(super) flushes: Vec<Waiter>,
    /// The engine lets only the first shutdown through, so one place is enough.
    pub(super) shutdown: Option<Waiter>,
    /// The last handle of the engine was dropped, so no shutdown will ever come. Without it the thread would never end.
    pub(super) is_abandoned: bool,
}

impl Orders {
    /// Leaves a question for the server, unless one is there already.
    pub(super) fn add_check(&mut self, asker: Asker) {
        if self.check.is_none() {
            self.check = Some(asker);
        } else {
            asker.refuse();
        }
    }
}

/// Where callers leave orders. Flushes need no limit: each caller waits for its answer, and a flush whose caller has
/// stopped waiting is removed with the next order.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// `None` once the worker has ended. The reply of a later order is dropped, so its caller returns at once and does
    /// not wait for its timeout.
    orders: Mutex<Option<Orders>>,
    /// Wakes the worker. Without it an order would wait until spans are picked up next.
    arrived: Notify,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        Self { orders: Mutex::new(Some(Orders::default())), arrived: Notify::new() }
    }

    /// Leaves an order, and wakes the worker.
    pub(super) fn leave(&self, now: Instant, order: impl FnOnce(&mut Orders)) {
        if let Some(orders) = &mut *self.lock() {
            orders.flushes.retain(|flush| flush.deadline > now);
            order(orders);
        }
        self.arrived.notify_one();
    }

    /// Takes all orders.
    pub(super) fn take(&self) -> Orders {
        self.lock().as_mut().map(mem::take).unwrap_or_default()
    }

    /// Notes that the worker has ended.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    /// Whether the worker has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_none()
    }

    /// Waits for an order.
    pub(super) async fn wait_for_order(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Orders>> {
        // No code panics while it holds this lock.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
