//! When a span was picked up.

use std::time::Duration;

use web_time::Instant;

/// When a span was picked up, and since when it may have been waiting for that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PickUp {
    pub(crate) now: Instant,
    /// When the last pick-up began that came to all spans. Without it the time until the pick-up would come on top of a bucket's.
    pub(crate) since: Instant,
    /// How long a trace waits for late spans, unless the application sets it.
    pub(crate) grace: Duration,
}
