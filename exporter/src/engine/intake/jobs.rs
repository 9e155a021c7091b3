//! The check-ins of spans that are jobs of a cron monitor, on their way to the worker.
//!
//! What starts must check in soon, and a job's check-ins do not depend on what becomes of its span: it may be unsampled,
//! ignored or dropped. So they have a list of their own.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_semantics::Attributes;
use tokio::sync::Notify;

use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{CheckIn, InvalidSlug},
};

/// The most check-ins that wait. The worker takes them at once, and Sentry accepts six in a minute of each monitor, so
/// beyond it no monitor is meant.
const MAX_WAITING: usize = 1000;

/// Check-ins on their way to the worker.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    waiting: Mutex<Waiting>,
    /// Some wait. Without it the worker would lock the list at each of its steps.
    has_some: AtomicBool,
    /// Wakes the worker.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    check_ins: Vec<CheckIn>,
    /// Why no more are accepted, once they are not. See the intake.
    closed: Option<DropReason>,
}

impl Jobs {
    /// Checks in for a span that starts, if it is a job. Returns whether it is.
    pub(crate) fn started(&self, span: &SpanData, ledger: &Ledger) -> bool {
        let check_in = CheckIn::started(span);
        let is_job = check_in.is_some();
        self.accept(check_in, ledger);
        is_job
    }

    /// Checks in for a span that has ended and that the worker does not see, if it is a job.
    pub(super) fn ended(&self, span: &SpanData, ledger: &Ledger) {
        self.accept(CheckIn::ended(span, Attributes::unindexed(&span.attributes)), ledger);
    }

    fn accept(&self, check_in: Option<Result<CheckIn, InvalidSlug>>, ledger: &Ledger) {
        let Some(check_in) = check_in.and_then(|check_in| received(check_in, ledger)) else { return };
        let refusal = {
            let mut waiting = self.lock();
            let overflow = || (waiting.check_ins.len() >= MAX_WAITING).then_some(DropReason::QueueOverflow);
            let refusal = waiting.closed.or_else(overflow);
            if refusal.is_none() {
                waiting.check_ins.push(check_in);
                self.has_some.store(true, Ordering::Release);
            }
            refusal
        };
        match refusal {
            Some(reason) => ledger.dropped(reason, Counts::CHECK_IN),
            None => self.arrived.notify_one(),
        }
    }

    /// Takes all that wait.
    pub(crate) fn take(&self) -> Vec<CheckIn> {
        if self.has_some.swap(false, Ordering::Acquire) { mem::take(&mut self.lock().check_ins) } else { Vec::new() }
    }

    /// Waits for one.
    pub(crate) async fn wait(&self) {
        self.arrived.notified().await;
    }

    /// Accepts no more: from now on they are dropped for this reason, or for an earlier one.
    pub(super) fn close(&self, reason: DropReason) {
        self.lock().closed.get_or_insert(reason);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A push can panic only when memory runs out, and leaves the list intact.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a check-in as received; returns it if its slug is valid.
pub(crate) fn received(check_in: Result<CheckIn, InvalidSlug>, ledger: &Ledger) -> Option<CheckIn> {
    ledger.check_ins_received(1);
    match check_in {
        Ok(check_in) => {
            if check_in.invalid > 0 {
                ledger.trimmed(Trimmed { values: check_in.invalid, bytes: 0 });
            }
            Some(check_in)
        }
        Err(InvalidSlug) => {
            ledger.dropped(DropReason::Invalid, Counts::CHECK_IN);
            None
        }
    }
}
