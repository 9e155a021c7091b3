//! Halves the sample rate while the server does not keep up. The rules are in the guide, page `sampling`, section
//! "Backpressure".
//!
//! Time is an argument.

use std::{sync::Arc, time::Duration};

use opentelemetry_sentry_protocol::DecisionLog;
use web_time::Instant;

/// How often the worker checks whether the server keeps up.
const CHECK_UP: Duration = Duration::from_secs(10);

/// The sample rate is halved this many times at most: a thousandth of it is left.
const MAX_HALVINGS: u32 = 10;

/// Makes the sampler keep fewer traces.
#[derive(Debug)]
pub(super) struct Backpressure {
    /// The sampler reads the number of halvings from it.
    decisions: Arc<DecisionLog>,
    /// The next check. Without it the rate would be halved on every wake-up of the worker.
    due: Instant,
}

impl Backpressure {
    pub(super) fn new(decisions: Arc<DecisionLog>, now: Instant) -> Self {
        Self { decisions, due: now + CHECK_UP }
    }

    /// When the next check is due.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Halves or restores the rate, if a check is due.
    pub(super) fn check_up(&mut self, now: Instant, is_unhealthy: impl FnOnce() -> bool) {
        if now < self.due {
            return;
        }
        self.due = now + CHECK_UP;
        let feedback = self.decisions.feedback();
        let halvings = if is_unhealthy() { feedback.halvings() + 1 } else { 0 };
        feedback.set_halvings(halvings.min(MAX_HALVINGS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_halved_step_by_step_and_restored_at_once() {
        let decisions = Arc::new(DecisionLog::default());
        let mut now = Instant::now();
        let mut backpressure = Backpressure::new(Arc::clone(&decisions), now);
        backpressure.check_up(now, || unreachable!("it is not time yet"));
        for expected in (1..=MAX_HALVINGS).chain([MAX_HALVINGS]) {
            now += CHECK_UP;
            assert_eq!(backpressure.due(), now);
            backpressure.check_up(now - Duration::from_nanos(1), || unreachable!("it is not time yet"));
            backpressure.check_up(now, || true);
            backpressure.check_up(now, || unreachable!("one check for each due time"));
            assert_eq!(decisions.feedback().halvings(), expected);
        }
        // A worker that is late checks once, however many checks it has missed.
        now += 5 * CHECK_UP;
        backpressure.check_up(now, || false);
        assert_eq!((decisions.feedback().halvings(), backpressure.due()), (0, now + CHECK_UP));
    }
}
