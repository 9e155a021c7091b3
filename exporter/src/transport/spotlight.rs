//! Copies for a local Spotlight. They may be lost, and never delay what goes to Sentry.

use std::{collections::VecDeque, time::Duration};

use opentelemetry::otel_warn;
use web_time::Instant;

use crate::{account::Now, packing::Envelope};

/// The most copies that wait or are in flight. Further ones are left out: a developer looks at them by hand.
const MAX_COPIES: usize = 16;

/// The pause after a copy that did not arrive. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The copies for Spotlight.
#[derive(Debug, Default)]
pub(super) struct Spotlight {
    waiting: VecDeque<Vec<u8>>,
    /// Copies in flight. They count against [`MAX_COPIES`], or a viewer that hangs would collect requests.
    out: usize,
    /// Copies in a row that did not arrive. They determine the length of the pause.
    failures: u32,
    /// Until then no copy is sent: a viewer is usually off, and each envelope would cost a failed connection.
    pause_ends: Option<Instant>,
}

impl Spotlight {
    /// Queues a copy, unless Spotlight is away or too many wait.
    pub(super) fn copy(&mut self, envelope: &Envelope, now: Now) {
        let is_paused = self.pause_ends.is_some_and(|ends| ends > now.instant);
        if !is_paused && self.waiting.len() + self.out < MAX_COPIES {
            self.waiting.push_back(envelope.body(now.wall));
        }
    }

    /// The next copy to send.
    pub(super) fn next(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.pause_ends.is_some_and(|ends| ends > now) {
            self.waiting.clear();
        }
        let body = self.waiting.pop_front()?;
        self.out += 1;
        Some(body)
    }

    /// Notes whether a copy arrived.
    pub(super) fn answered(&mut self, has_failed: bool, now: Instant) {
        self.out = self.out.saturating_sub(1);
        if !has_failed {
            (self.failures, self.pause_ends) = (0, None);
            return;
        }
        if self.failures == 0 {
            otel_warn!(name: "SentryExporter.SpotlightAway");
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.pause_ends = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_viewer_that_is_away_is_tried_with_growing_pauses() {
        let mut spotlight = Spotlight::default();
        let mut now = Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH };
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            spotlight.copy(&Envelope::empty(), now);
            assert!(spotlight.next(now.instant).is_some());
            spotlight.answered(true, now.instant);
            now.instant += Duration::from_secs(seconds) - Duration::from_nanos(1);
            spotlight.copy(&Envelope::empty(), now);
            assert!(spotlight.next(now.instant).is_none(), "not within the pause");
            now.instant += Duration::from_nanos(1);
        }
        spotlight.copy(&Envelope::empty(), now);
        assert!(spotlight.next(now.instant).is_some());
        spotlight.answered(false, now.instant);
        (0..2 * MAX_COPIES).for_each(|_| spotlight.copy(&Envelope::empty(), now));
        assert_eq!(std::iter::from_fn(|| spotlight.next(now.instant)).count(), MAX_COPIES);
    }
}
