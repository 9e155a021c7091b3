//! Measures how long two sides take for the same work.

use std::{
    env, thread,
    time::{Duration, Instant},
};

/// How often the work is done for one figure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    repetitions: usize,
    calls: usize,
}

const FULL: Effort = Effort { repetitions: 401, calls: 250 };
const SMOKE: Effort = Effort { repetitions: 1, calls: 1 };

impl Effort {
    /// Enough for figures that can be compared, or a single call with `cargo bench -- --test`.
    #[must_use]
    pub fn asked_for() -> Self {
        if env::args().any(|arg| arg == "--test") { SMOKE } else { FULL }
    }

    /// The nanoseconds that one call of either side takes, each on a fresh `C`: medians over repetitions in which the
    /// sides take turns.
    pub fn time<C>(self, mut sides: [impl FnMut(&mut C); 2], fresh: impl Fn() -> C) -> [f64; 2] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..self.repetitions {
            for (side, times) in sides.iter_mut().zip(&mut times) {
                let mut carriers: Vec<_> = (0..self.calls).map(|_| fresh()).collect();
                let start = Instant::now();
                carriers.iter_mut().for_each(side);
                times.push(start.elapsed().as_secs_f64() * 1e9 / self.calls as f64);
            }
        }
        times.map(median)
    }
}

/// Waits until it is time for the piece of work with this number, if `rate` pieces a second begin from `start` on.
pub fn pace(start: Instant, number: u32, rate: u32) {
    let due = start + Duration::from_secs(1) * number / rate;
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// The median of some times.
#[must_use]
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
