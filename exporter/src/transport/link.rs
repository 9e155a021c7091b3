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
    /// While it does not work.
    pause: Option<Pause>,
    era: Era,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    length: Duration,
    /// When the server may be asked again.
    ends: Instant,
}

/// The time between two failures that count. Requests of one era are out together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Era(u64);

impl Link {
    /// Notes that an answer came; returns whether that is news.
    pub(super) const fn worked(&mut self) -> bool {
        let was_down = self.failures > 0;
        self.failures = 0;
        self.pause = None;
        was_down
    }

    /// Notes that a request is sent, and returns its era; none if it is sent in a pause, for somebody in a hurry. After
    /// a pause it is the one that asks: if nothing ever comes back to it, another one does so after the same time.
    pub(super) fn sent(&mut self, now: Instant) -> Option<Era> {
        if let Some(pause) = &mut self.pause {
            if pause.ends > now {
                return None;
            }
            pause.ends = now + pause.length;
        }
        Some(self.era)
    }

    /// Notes that nothing came back to a request of this era; `jitter` is from 0 to 1, so that not everybody comes
    /// again at the same time.
    pub(super) fn failed(&mut self, era: Option<Era>, now: Instant, jitter: f64) {
        if era != Some(self.era) {
            return;
        }
        let length = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        let length = length.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        self.era.0 += 1;
        self.failures = self.failures.saturating_add(1);
        self.pause = Some(Pause { length, ends: now + length });
    }

    /// How many more requests may be sent when so many are out, of this many at most.
    pub(super) fn room(&self, now: Instant, out: usize, most: usize) -> usize {
        let room = most.saturating_sub(out);
        match self.pause {
            None => room,
            Some(pause) if pause.ends > now => 0,
            // Others may hang for long; they are no reason not to ask.
            Some(_) => room.min(1),
        }
    }

    /// When the pause ends, if there is one.
    pub(super) fn pause_ends(&self, now: Instant) -> Option<Instant> {
        Some(self.pause?.ends).filter(|ends| *ends > now)
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
        assert_eq!((link.room(now, 0, 64), link.room(now, 60, 64)), (64, 4));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let era = link.sent(now);
            link.failed(era, now, 1.0);
            link.failed(era, now, 1.0);
            assert_eq!(link.pause_ends(now), Some(now + Duration::from_secs(seconds)));
            assert_eq!(link.room(now, 0, 64), 0);
            now += Duration::from_secs(seconds);
            assert_eq!((link.room(now, 0, 64), link.pause_ends(now)), (1, None), "one request asks");
        }
        assert!(link.is_away());
        assert!(link.worked() && !link.worked());
        assert!(!link.is_away());
        assert_eq!(link.room(now, 0, 64), 64);
        let era = link.sent(now);
        link.failed(era, now, 0.0);
        assert_eq!(link.pause_ends(now), Some(now + Duration::from_millis(500)));
    }

    #[test]
    fn requests_that_hang_do_not_keep_others_from_asking() {
        let mut link = Link::default();
        let now = Instant::now();
        let pause = Duration::from_secs(1);
        let first = link.sent(now);
        link.failed(first, now, 1.0);
        let asking = link.sent(now + pause);
        assert_eq!(link.room(now + pause, 3, 64), 0, "it is the only one");
        assert_eq!(link.sent(now + pause), None, "but for those in a hurry");
        link.failed(None, now + pause, 1.0);
        assert_eq!(link.room(now + 2 * pause, 4, 64), 1, "until it has taken too long");
        assert_eq!(link.room(now + 2 * pause, 64, 64), 0);
        link.failed(first, now + 2 * pause, 1.0);
        assert_eq!(link.room(now + 2 * pause, 4, 64), 1, "of those that were out before nothing new is learnt");
        link.failed(asking, now + 2 * pause, 1.0);
        assert_eq!(link.pause_ends(now + 2 * pause), Some(now + 4 * pause));
    }
}
