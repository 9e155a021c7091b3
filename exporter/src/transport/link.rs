//! Can the server be reached? While it cannot, one request at a time tries it, with pauses, and all others wait.

use std::time::Duration;

use web_time::Instant;

/// Different envelopes in a row without an answer after which the server is believed to be away. Fewer may be the fault
/// of the envelopes: some proxies reset the connection of what they do not like. Where they do so to every fifth, eight
/// in a row are one in 400,000.
const SUSPECTS: u32 = 8;

/// The first pause. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The first and the longest pause while a flush or a shutdown waits: its caller has only a few seconds.
const FIRST_SHORT_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_SHORT_PAUSE: Duration = Duration::from_secs(1);

/// The state of the connection to the server.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Different envelopes that got no answer since the server's last answer. A count of requests instead would let one
    /// bad envelope, sent again and again, stop all others.
    suspects: u32,
    /// `Some` while the server counts as away, also after the pause has ended and a request tries the server.
    pause: Option<Pause>,
    /// Pauses since the last answer. They determine the length of the next one.
    pauses: u32,
    /// The number of the server's answers so far. It shows whether an envelope has already been counted in `suspects`,
    /// and whether others got answers since it failed.
    era: u64,
    /// A flush or a shutdown waits, so pauses are short.
    is_hurried: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    /// If the request after the pause hangs, another one follows after the same time.
    length: Duration,
    /// When the next request may try the server.
    ends: Instant,
}

impl Link {
    /// Notes that the server answered. Returns whether it counted as away.
    pub(super) const fn answered(&mut self) -> bool {
        let was_away = self.is_away();
        self.suspects = 0;
        self.pauses = 0;
        self.pause = None;
        self.era += 1;
        was_away
    }

    /// The number of the server's answers so far.
    pub(super) const fn era(&self) -> u64 {
        self.era
    }

    /// Notes that a request is sent. After a pause it is the one that tries the server. If it hangs, another one does
    /// so after the same time.
    pub(super) fn sent(&mut self, now: Instant) {
        if let Some(pause) = &mut self.pause {
            pause.ends = now + pause.length;
        }
    }

    /// Notes that no answer came to an envelope. One that failed before says nothing about the link: it may be its own
    /// fault. `jitter` is from 0 to 1, so that many processes do not come back at the same moment.
    pub(super) fn failed(&mut self, has_failed_before: bool, sent_in_pause: bool, now: Instant, jitter: f64) {
        if !has_failed_before {
            self.suspects = self.suspects.saturating_add(1);
        }
        // The failures of requests that were in flight when the pause began must not make it longer.
        let is_news = self.pause.is_none() || sent_in_pause;
        if self.suspects >= SUSPECTS && is_news {
            self.begin_pause(now, jitter);
        }
    }

    fn begin_pause(&mut self, now: Instant, jitter: f64) {
        let (first, longest) = match self.is_hurried {
            true => (FIRST_SHORT_PAUSE, LONGEST_SHORT_PAUSE),
            false => (FIRST_PAUSE, LONGEST_PAUSE),
        };
        let length = first.saturating_mul(1 << self.pauses.min(6)).min(longest);
        let length = length.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        self.pauses = self.pauses.saturating_add(1);
        self.pause = Some(Pause { length, ends: now + length });
    }

    /// Sets whether a flush or a shutdown waits. If one begins to wait, the server is tried at once.
    pub(super) const fn hurry(&mut self, is_hurried: bool, now: Instant) {
        if is_hurried && !self.is_hurried {
            self.pauses = 0;
            if let Some(pause) = &mut self.pause {
                *pause = Pause { length: FIRST_SHORT_PAUSE, ends: now };
            }
        }
        self.is_hurried = is_hurried;
    }

    /// Makes the current pause longer, if there is one: the server asks for it.
    pub(super) fn wait_until(&mut self, time: Instant) {
        if let Some(pause) = &mut self.pause {
            pause.ends = pause.ends.max(time);
        }
    }

    /// How many more requests may be sent if `out` of `most` are in flight.
    pub(super) fn room(&self, now: Instant, out: usize, most: usize) -> usize {
        let room = most.saturating_sub(out);
        match self.pause {
            None => room,
            Some(pause) if pause.ends > now => 0,
            // Requests that have hung since before the pause do not count against this one.
            Some(_) => room.min(1),
        }
    }

    /// When the current pause ends, if there is one.
    pub(super) fn pause_ends(&self, now: Instant) -> Option<Instant> {
        Some(self.pause?.ends).filter(|ends| *ends > now)
    }

    /// Whether the server counts as away.
    pub(super) const fn is_away(&self) -> bool {
        self.pause.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that enough different envelopes got no answer from.
    fn away(now: Instant) -> Link {
        let mut link = Link::default();
        for _ in 0..SUSPECTS {
            assert_eq!(link.room(now, 0, 64), 64);
            link.sent(now);
            link.failed(false, false, now, 1.0);
        }
        link
    }

    #[test]
    fn pauses_grow_and_end_with_the_first_answer() {
        let mut now = Instant::now();
        let mut link = away(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            link.failed(false, false, now, 1.0);
            assert_eq!(link.pause_ends(now), Some(now + Duration::from_secs(seconds)), "old requests change nothing");
            assert_eq!(link.room(now, 0, 64), 0);
            now += Duration::from_secs(seconds);
            assert_eq!((link.room(now, 0, 64), link.pause_ends(now)), (1, None), "one request tries the server");
            link.sent(now);
            link.failed(false, true, now, 1.0);
        }
        assert!(link.is_away());
        assert!(link.answered() && !link.answered());
        assert_eq!((link.is_away(), link.room(now, 0, 64), link.room(now, 60, 64)), (false, 64, 4));
    }

    #[test]
    fn one_envelope_that_fails_again_and_again_is_not_the_links_fault() {
        let mut link = Link::default();
        let now = Instant::now();
        link.failed(false, false, now, 1.0);
        for _ in 0..10 {
            link.failed(true, false, now, 1.0);
        }
        assert!(!link.is_away());
        link.failed(false, false, now, 1.0);
        link.answered();
        link.failed(false, false, now, 1.0);
        assert!(!link.is_away(), "answers to others clear the link");
    }

    #[test]
    fn requests_that_hang_do_not_keep_others_from_asking() {
        let now = Instant::now();
        let mut link = away(now);
        let pause = Duration::from_secs(1);
        assert_eq!(link.room(now + pause, 3, 64), 1);
        link.sent(now + pause);
        assert_eq!(link.room(now + pause, 4, 64), 0, "no second one");
        assert_eq!(link.room(now + 2 * pause, 4, 64), 1, "unless it hangs");
        assert_eq!(link.room(now + 2 * pause, 64, 64), 0);
    }

    #[test]
    fn while_a_flush_waits_the_server_is_tried_at_short_intervals() {
        let mut now = Instant::now();
        let mut link = away(now);
        link.hurry(true, now);
        for millis in [50, 100, 200, 400, 800, 1000, 1000] {
            assert_eq!(link.room(now, 0, 64), 1);
            link.sent(now);
            link.failed(false, true, now, 1.0);
            assert_eq!(link.pause_ends(now), Some(now + Duration::from_millis(millis)));
            now += Duration::from_millis(millis);
        }
        link.hurry(false, now);
        link.sent(now);
        link.failed(false, true, now, 1.0);
        assert_eq!(link.pause_ends(now), Some(now + LONGEST_PAUSE));
    }
}
