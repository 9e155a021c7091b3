//! The limit of traces a second, and the sample rate under it. The rules are in the guide, page `sampling`, section "The
//! limit".
//!
//! Sentry multiplies each sampled trace by the inverse of its rate, so the rate must be the one that was really applied.
//! Each second the limiter measures the share of traces that the limit allows; in the next second it multiplies rates by
//! that share. A token bucket holds the limit while the load is still growing.

use std::{error::Error, fmt, time::Duration};

use opentelemetry_sentry_protocol::{SampleRand, SampleRate};

/// How long the load is measured before the share follows it. Longer, and more traces would meet an empty bucket after
/// the load has grown; shorter, and the share would follow noise.
const WINDOW: Duration = Duration::from_secs(1);

/// A bucket of tokens: `limit` tokens are added per second, and it holds those of one second.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limiter {
    /// In traces per second. It can be below 1, such as one trace in ten seconds.
    limit: f64,
    /// One token is one sampled trace. Fractions add up, or a limit below 1 would never sample.
    tokens: f64,
    /// When tokens were last added.
    filled: Duration,
    /// The share of the traces which pass their own rate that is sampled, in `0.0..=1.0`. Without it, the traces
    /// that find a token would be reported at their own rate, and Sentry would extrapolate to the limit, not to the load.
    share: f64,
    /// When the current measurement of the load began.
    window: Duration,
    /// The traces that passed their own rate since then, sampled or not: the load.
    candidates: u32,
}

impl Limiter {
    /// A full bucket. It holds at least one token, or a limit below 1 would never sample.
    pub(crate) fn new(limit: f64, now: Duration) -> Self {
        Self { limit, tokens: limit.max(1.0), filled: now, share: 1.0, window: now, candidates: 0 }
    }

    /// Returns the rate to apply to a trace that passed its own rate; the trace is sampled if `rand` is below it.
    pub(crate) fn admit(&mut self, rate: SampleRate, rand: SampleRand, now: Duration) -> SampleRate {
        self.measure(now);
        self.candidates = self.candidates.saturating_add(1);
        let elapsed = now.saturating_sub(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.limit).min(self.limit.max(1.0));
        // Threads read the clock before they lock the limiter, so `now` can go back. Time must not count twice.
        self.filled = now.max(self.filled);
        let shared = scaled(rate, self.share);
        if !rand.is_below(shared) {
            return shared;
        }
        if self.tokens < 1.0 {
            // No token left: return `rand` itself, which is the highest rate at which this trace is not sampled.
            return SampleRate::try_from(rand.get()).unwrap_or(SampleRate::NONE);
        }
        self.tokens -= 1.0;
        shared
    }

    /// Once per window, adjusts the share to the load.
    fn measure(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.window);
        if elapsed < WINDOW {
            return;
        }
        let load = f64::from(self.candidates) / elapsed.as_secs_f64();
        self.share = if load > self.limit { self.limit / load } else { 1.0 };
        self.window = now;
        self.candidates = 0;
    }
}

fn scaled(rate: SampleRate, share: f64) -> SampleRate {
    SampleRate::try_from(rate.get() * share).unwrap_or(rate)
}

/// The number was not a limit of traces per second. The message says what was found.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidLimit {
    found: String,
}

impl InvalidLimit {
    pub(crate) fn check(limit: f64) -> Result<f64, Self> {
        let is_limit = limit.is_finite() && limit >= 0.0;
        is_limit.then_some(limit).ok_or_else(|| Self { found: limit.to_string() })
    }
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a limit must be a number of traces a second, found {}", self.found)
    }
}

opentelemetry_sentry_protocol::__shared::debug_as_message!(InvalidLimit);

impl Error for InvalidLimit {}

#[cfg(test)]
mod tests {
    use opentelemetry::TraceId;

    use super::*;

    /// Runs `load` traces per second for a minute. Returns how many were sampled in each second, and how many Sentry
    /// extrapolates from them.
    fn minute(limit: f64, load: u64, rate: f64) -> (Vec<u32>, f64) {
        let rate = SampleRate::try_from(rate).unwrap();
        let mut limiter = Limiter::new(limit, Duration::ZERO);
        let (mut sampled, mut extrapolated) = (vec![0; 60], 0.0);
        for number in 0..60 * load {
            let now = Duration::from_secs_f64(number as f64 / load as f64);
            let id = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let rand = SampleRand::from_trace_id(TraceId::from_bytes(id.to_be_bytes()));
            let applied = if rand.is_below(rate) { limiter.admit(rate, rand, now) } else { rate };
            if rand.is_below(applied) {
                sampled[now.as_secs() as usize] += 1;
                extrapolated += 1.0 / applied.get();
            }
        }
        (sampled, extrapolated)
    }

    #[test]
    fn the_limit_holds_in_every_second() {
        for (limit, load, rate) in [(10.0, 1000, 1.0), (10.0, 1000, 0.1), (1.0, 50, 0.5), (0.5, 50, 1.0)] {
            let (sampled, _) = minute(limit, load, rate);
            // The bucket can be full when a second begins, so twice its size is the most.
            let most = (2.0 * f64::max(limit, 1.0)).ceil() as u32;
            assert!(sampled.iter().all(|sampled| *sampled <= most), "{limit} {load} {rate}: {sampled:?}");
            assert!(f64::from(sampled.iter().sum::<u32>()) <= 60.0 * limit + f64::max(limit, 1.0));
        }
    }

    #[test]
    fn sentry_extrapolates_to_the_number_of_all_traces() {
        for (limit, load, rate) in [(10.0, 1000, 1.0), (50.0, 1000, 0.5), (2000.0, 1000, 0.25)] {
            let (_, extrapolated) = minute(limit, load, rate);
            let all = 60.0 * load as f64;
            assert!((extrapolated / all - 1.0).abs() < 0.1, "{limit} {load} {rate}: {extrapolated} of {all}");
        }
    }

    #[test]
    fn below_the_limit_nothing_changes() {
        let rate = SampleRate::try_from(0.5).unwrap();
        let rand = "0.25".parse().unwrap();
        let mut limiter = Limiter::new(1.0, Duration::ZERO);
        for second in 0..10 {
            assert_eq!(limiter.admit(rate, rand, Duration::from_secs(2 * second)), rate);
        }
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_adds_no_tokens() {
        let rand: SampleRand = "0.25".parse().unwrap();
        let mut limiter = Limiter::new(2.0, Duration::from_secs(100));
        let mut admit = |now| rand.is_below(limiter.admit(SampleRate::ALL, rand, Duration::from_secs(now)));
        assert_eq!([100, 99, 50, 100].map(&mut admit), [true, true, false, false]);
    }
}
