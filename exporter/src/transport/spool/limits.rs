//! How much is kept, and what is lost when there is more.

use std::time::{Duration, SystemTime};

use super::name::{Name, Stage};

/// How much is kept. Beyond that the oldest make room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Replaying them takes a while: 1000 at ten a second are more than a minute and a half.
    pub(crate) files: usize,
    /// A disk that is shared with the application's own data bears this.
    pub(crate) bytes: u64,
    /// A weekend. Sentry takes nothing that is older than 30 days.
    pub(crate) age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 1000, bytes: 64 * 1024 * 1024, age: Duration::from_secs(3 * 24 * 60 * 60) }
    }
}

impl Limits {
    /// Whether a file has no place here, however much room there is.
    pub(super) fn exclude(&self, name: &Name, stage: Stage, now: SystemTime) -> bool {
        let is_over = match stage {
            Stage::Part => name.distance(now) > PART_AGE.min(self.age),
            Stage::Waiting | Stage::Sending => name.age(now) > self.age,
        };
        is_over || name.size > self.bytes
    }
}

/// Writing one envelope takes no longer than this, even on a machine that was asleep for a while; then its process died.
const PART_AGE: Duration = Duration::from_secs(60 * 60);
