//! What the drivers of the machine bring from outside: the time, and randomness.

use web_time::Instant;

use crate::{account::Now, convert::random_id};

/// The time.
pub(crate) fn read_clocks() -> Now {
    Now { instant: Instant::now(), wall: opentelemetry::time::now() }
}

/// What varies pauses. Its seed is random on all targets, unlike that of `fastrand::Rng::new`.
pub(super) fn random() -> fastrand::Rng {
    fastrand::Rng::with_seed(random_id().as_u64_pair().0)
}
