//! Whether a provider has a processor. Processors share one engine, and the end of one provider must not cost the others
//! what they send.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::engine::{Engine, FlushError};

/// Whether a provider has a processor. A new one, also a clone, is in none yet.
#[derive(Debug, Default)]
pub(super) struct Membership(AtomicBool);

impl Membership {
    /// A provider has the processor from now on. Only the first call counts.
    pub(super) fn join(&self, engine: &Engine) {
        if !self.0.swap(true, Ordering::AcqRel) {
            engine.join();
        }
    }

    /// The provider ends. The engine ends with the last one.
    pub(super) fn shut_down(&self, engine: &Engine, timeout: Duration) -> Result<(), FlushError> {
        let is_used_elsewhere = self.0.swap(false, Ordering::AcqRel) && !engine.leave();
        if is_used_elsewhere { engine.flush(timeout) } else { engine.shutdown(timeout) }
    }
}
