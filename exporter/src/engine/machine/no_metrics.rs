//! The same without the feature `metrics`.

use web_time::Instant;

use super::Machine;
use crate::account::{DropReason, Now};

#[expect(clippy::unused_self, reason = "they are called where the feature has something to do")]
impl Machine {
    pub(in crate::engine) const fn metrics_arrived(&self, _: Now) {}

    pub(super) const fn metrics_expired(&self, _: Now) {}

    pub(super) const fn take_in_metrics(&self, _: Now) {}

    pub(super) const fn metrics_due(&self) -> Option<Instant> {
        None
    }

    pub(super) const fn drop_metrics(&self, _: DropReason) {}
}
