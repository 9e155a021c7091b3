//! What callers ask the worker for.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    time::Instant,
};

use opentelemetry_sdk::Resource;
use tokio::sync::Notify;

use super::flush_error::FlushError;
use crate::transport::Reply;

/// A caller that waits for everything to leave.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) reply: mpsc::Sender<Result<(), FlushError>>,
    /// When the caller stops waiting.
    pub(super) deadline: Instant,
}

/// Orders that the worker has not seen yet.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) resource: Option<Resource>,
    pub(super) checks: Vec<mpsc::Sender<Result<Reply, String>>>,
    pub(super) flushes: Vec<Waiter>,
    pub(super) shutdown: Option<Waiter>,
    /// Whether the last handle of the engine is gone, so that no shutdown will ever come.
    pub(super) is_abandoned: bool,
}

/// Where callers leave orders. It is bounded by the callers: each of them waits for its answer, and those that stopped
/// waiting are forgotten with the next order.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// `None` once the worker has ended: replies are dropped then, which their callers see.
    orders: Mutex<Option<Orders>>,
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

    /// Takes what was left.
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
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Orders>> {
        // Nothing panics while it is held, and what a panic elsewhere left behind is whole.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
