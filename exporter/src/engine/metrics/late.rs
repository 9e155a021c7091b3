//! What threads measure that end, and cannot read the map of series any more. The next collection adds it to its series.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry::KeyValue;

use super::account::MetricAccount;
use crate::{account::DropReason, convert::size_of_attributes, trace::Measurement};

/// The most measurements of an instrument that wait. A thread ends once, so they are few.
const MAX_LATE: usize = 1000;

/// What waits for the next collection.
#[derive(Debug, Default)]
pub(super) struct Late(Mutex<Vec<(Vec<KeyValue>, Measurement)>>);

impl Late {
    /// Adds a measurement, or returns why it cannot. `closed` says why nothing more is accepted.
    pub(super) fn push(
        &self,
        attributes: &[KeyValue],
        measurement: Measurement,
        account: &MetricAccount,
        closed: impl FnOnce() -> Option<DropReason>,
    ) -> Result<(), DropReason> {
        let mut all = self.lock();
        // Under the lock: what is there when the engine closes is taken then.
        if let Some(reason) = closed() {
            return Err(reason);
        }
        if all.len() >= MAX_LATE || !account.reserve(size_of_attributes(attributes)) {
            return Err(DropReason::QueueOverflow);
        }
        all.push((attributes.to_vec(), measurement));
        Ok(())
    }

    /// Takes all of them.
    pub(super) fn take(&self, account: &MetricAccount) -> Vec<(Vec<KeyValue>, Measurement)> {
        let all = mem::take(&mut *self.lock());
        all.iter().for_each(|(attributes, _)| account.release(size_of_attributes(attributes)));
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Vec<KeyValue>, Measurement)>> {
        // No code panics while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
