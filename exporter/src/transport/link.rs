//! Is the server there? When it is not, one request asks now and then, and all others wait.

use std::time::{Duration, Instant};

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Failures in a row after which the server is thought to be away for longer.
const AWAY_AFTER: u32 = 3;

/// What is known of the way to the server.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// In a row; those of requests that were out together count once.
    failures: u32,
    /// When it may be tried again.
    pause_ends: Option<Instant>,
}

impl Link {
    /// Notes that an answer came; returns whether that is news.
    pub(super) const fn worked(&mut self) -> bool {
        let was_down = self.failures > 0;
        self.failures = 0;
        self.pause_ends = None;
        was_down
    }

    /// Notes that nothing came back; `jitter` is from 0 to 1, so that not everybody comes again at the same time.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64) {
        if self.pause_ends.is_some_and(|ends| ends > now) {
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.pause_ends = Some(now + pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0));
    }

    /// How many requests may be out.
    pub(super) fn room(&self, now: Instant, most: usize) -> usize {
        match self.pause_ends {
            None => most,
            Some(ends) if ends > now => 0,
            Some(_) => 1,
        }
    }

    /// When the pause ends, if there is one.
    pub(super) fn pause_ends(&self, now: Instant) -> Option<Instant> {
        self.pause_ends.filter(|ends| *ends > now)
    }

    /// Whether it has not worked for several times.
    pub(super) const fn is_away(&self) -> bool {
        self.failures >= AWAY_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_with_the_first_success() {
        let mut link = Link::default();
        let mut now = Instant::now();
        assert_eq!(link.room(now, 64), 64);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            link.failed(now, 1.0);
            link.failed(now, 1.0);
            assert_eq!(link.pause_ends(now), Some(now + Duration::from_secs(seconds)));
            assert_eq!(link.room(now, 64), 0);
            now += Duration::from_secs(seconds);
            assert_eq!((link.room(now, 64), link.pause_ends(now)), (1, None), "one request asks");
        }
        assert!(link.is_away());
        assert!(link.worked() && !link.worked());
        assert!(!link.is_away());
        assert_eq!(link.room(now, 64), 64);
        link.failed(now, 0.0);
        assert_eq!(link.pause_ends(now), Some(now + Duration::from_millis(500)));
    }
}
