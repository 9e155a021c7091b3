//! Halves the sample rate while the server does not keep up. The rules are in the guide, page `sampling`, section
//! "Backpressure".
//!
//! Time is an argument.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry_sentry_protocol::DecisionLog;

/// How often is looked whether the server keeps up.
const CHECK_UP: Duration = Duration::from_secs(10);

/// How often the sample rate is halved at most: a thousandth of it is left.
const MAX_HALVINGS: u32 = 10;

/// Tells the sampler to keep less.
#[derive(Debug)]
pub(super) struct Backpressure {
    decisions: Arc<DecisionLog>,
    due: Instant,
}

impl Backpressure {
    pub(super) fn new(decisions: Arc<DecisionLog>, now: Instant) -> Self {
        Self { decisions, due: now + CHECK_UP }
    }

    /// When the next look is due.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Looks, if it is time to.
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
    fn the_rate_is_halved_step_by_step_and_given_back_at_once() {
        let decisions = Arc::new(DecisionLog::default());
        let mut now = Instant::now();
        let mut backpressure = Backpressure::new(Arc::clone(&decisions), now);
        backpressure.check_up(now, || unreachable!("it is not time yet"));
        for expected in (1..=MAX_HALVINGS).chain([MAX_HALVINGS]) {
            now += CHECK_UP;
            assert_eq!(backpressure.due(), now);
            backpressure.check_up(now - Duration::from_nanos(1), || unreachable!("it is not time yet"));
            backpressure.check_up(now, || true);
            backpressure.check_up(now, || unreachable!("once each time"));
            assert_eq!(decisions.feedback().halvings(), expected);
        }
        // A worker that was late looks once, and not as often as it should have.
        now += 5 * CHECK_UP;
        backpressure.check_up(now, || false);
        assert_eq!((decisions.feedback().halvings(), backpressure.due()), (0, now + CHECK_UP));
    }
}
