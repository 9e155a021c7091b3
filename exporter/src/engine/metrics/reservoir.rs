//! A fair sample of a histogram's values.

use std::mem;

use fastrand::Rng;

use crate::trace::Measurement;

/// The most values of a series in a flush.
pub(super) const SIZE: usize = 100;

/// Keeps [`SIZE`] of the values, each with the same probability: algorithm L by Li, <https://doi.org/10.1145/198429.198435>.
/// Most values cost an addition and a comparison, because it draws in advance how many are skipped.
#[derive(Debug)]
pub(super) struct Reservoir {
    kept: Vec<Measurement>,
    seen: u64,
    /// The number of the value that is kept next, once the reservoir is full.
    next: u64,
    weight: f64,
    rng: Rng,
}

impl Reservoir {
    pub(super) fn new(seed: u64) -> Self {
        Self { kept: Vec::new(), seen: 0, next: 0, weight: 1.0, rng: Rng::with_seed(seed) }
    }

    /// Adds a value. It is made only if it is kept.
    #[inline]
    pub(super) fn add(&mut self, make: impl FnOnce() -> Measurement) {
        self.seen += 1;
        if self.kept.len() < SIZE {
            self.kept.push(make());
            if self.kept.len() == SIZE {
                self.weight = 1.0;
                self.draw();
            }
        } else if self.seen == self.next {
            let place = self.rng.usize(..SIZE);
            if let Some(kept) = self.kept.get_mut(place) {
                *kept = make();
            }
            self.draw();
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Takes the values, and the number of those that were added.
    pub(super) fn take(&mut self) -> (Vec<Measurement>, u64) {
        // The memory stays: a histogram that was measured is measured again.
        (self.kept.drain(..).collect(), mem::take(&mut self.seen))
    }

    fn draw(&mut self) {
        // In (0, 1]: the logarithm of zero would be infinite.
        let mut uniform = || 1.0 - self.rng.f64();
        self.weight *= (uniform().ln() / SIZE as f64).exp();
        let skipped = (uniform().ln() / (-self.weight).ln_1p()).floor();
        // A number that is too large saturates. NaN becomes zero.
        self.next = self.seen.saturating_add(1).saturating_add(skipped as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::trace::Number;

    fn sample(values: u64, seed: u64) -> Vec<f64> {
        let mut reservoir = Reservoir::new(seed);
        let make = |value| Measurement {
            number: Number::U64(value),
            time: SystemTime::UNIX_EPOCH,
            trace_id: None,
            span_id: None,
        };
        (0..values).for_each(|value| reservoir.add(|| make(value)));
        let (kept, seen) = reservoir.take();
        assert_eq!((seen, kept.len() as u64), (values, values.min(SIZE as u64)));
        assert_eq!(reservoir.take().1, 0, "it begins anew");
        let mut kept: Vec<_> = kept.iter().map(|kept| kept.number.to_f64()).collect();
        kept.sort_by(f64::total_cmp);
        kept
    }

    #[test]
    fn all_values_are_kept_until_there_are_too_many() {
        for values in [0, 1, 99, 100] {
            assert_eq!(sample(values, 7).len() as u64, values);
        }
    }

    #[test]
    fn every_percentile_is_within_the_theory_of_a_sample_of_a_hundred() {
        const VALUES: u64 = 10_000;
        for percentile in [0.1, 0.5, 0.9] {
            let estimate = |seed| {
                let kept = sample(VALUES, seed);
                kept[(percentile * SIZE as f64) as usize] / VALUES as f64
            };
            let runs = 400;
            let estimates: Vec<_> = (0..runs).map(estimate).collect();
            let mean = estimates.iter().sum::<f64>() / f64::from(runs as u32);
            // The standard error of a quantile of uniform values.
            let error = (percentile * (1.0 - percentile) / SIZE as f64).sqrt();
            // The order statistic is a little above the percentile, by less than 1 / SIZE.
            assert!(
                (mean - percentile).abs() < 4.0 * error / f64::from(runs as u32).sqrt() + 0.01,
                "{percentile} {mean}"
            );
            let far = estimates.iter().filter(|estimate| (*estimate - percentile).abs() > 3.0 * error + 0.01).count();
            assert!(far < 8, "{far} of {runs} estimates of {percentile} are more than three errors away");
        }
    }

    #[test]
    fn early_and_late_values_are_kept_alike() {
        let mut early = 0;
        for seed in 0..200 {
            early += sample(1000, seed).iter().filter(|value| **value < 500.0).count();
        }
        // Of 20,000 values half are early, with a standard deviation of at most 71.
        assert!((9650..=10_350).contains(&early), "{early}");
    }
}
