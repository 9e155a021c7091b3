//! The settings that can be changed while the process runs.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry_sentry_protocol::{InvalidSampleRate, SampleRand, SampleRate};
use web_time::Instant;

use crate::limiter::{InvalidLimit, Limiter};

/// Changes the rate and the limit of a running sampler.
///
/// It comes from [`SentrySampler::handle`](crate::SentrySampler::handle) or, with the crate `opentelemetry-sentry`, from
/// `Sentry::sampler`. It is cheap to clone and can be used from any thread. Traces that are already decided keep their
/// decision.
///
/// ```
/// use opentelemetry_sentry_sampler::SentrySampler;
///
/// let sampler = SentrySampler::rate(0.1)?;
/// let handle = sampler.handle();
/// // During an incident, keep every trace:
/// handle.set_rate(Some(1.0))?;
/// # Ok::<(), opentelemetry_sentry_protocol::InvalidSampleRate>(())
/// ```
#[derive(Clone, Debug)]
pub struct SamplerHandle {
    tunables: Arc<Tunables>,
}

impl SamplerHandle {
    pub(crate) const fn new(tunables: Arc<Tunables>) -> Self {
        Self { tunables }
    }

    /// Sets the rate, in `0.0..=1.0`; `None` turns tracing off.
    ///
    /// # Errors
    ///
    /// If the rate is not in `0.0..=1.0`. Then it is not changed.
    pub fn set_rate(&self, rate: Option<f64>) -> Result<(), InvalidSampleRate> {
        self.tunables.set_rate(rate.map(SampleRate::try_from).transpose()?);
        Ok(())
    }

    /// The current rate; `None` while tracing is off.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.tunables.rate().map(SampleRate::get)
    }

    /// Sets how many traces are sampled per second at most; `None` removes the limit.
    ///
    /// # Errors
    ///
    /// If the limit is negative, infinite or not a number. Then it is not changed.
    pub fn set_max_traces_per_second(&self, limit: Option<f64>) -> Result<(), InvalidLimit> {
        self.tunables.set_limit(limit.map(InvalidLimit::check).transpose()?);
        Ok(())
    }
}

/// The values behind the handle.
#[derive(Debug)]
pub(crate) struct Tunables {
    /// The bits of the rate, or those of NaN while tracing is off. One atomic, so that every local root reads it without a
    /// lock and never sees half of a change.
    rate: AtomicU64,
    /// Whether `limiter` holds one. Without this flag, all local roots of a process without a limit would queue for the
    /// lock.
    is_limited: AtomicBool,
    /// A trace takes a token from the bucket, so those that are sampled must take turns. Only traces that pass their own
    /// rate get here.
    limiter: Mutex<Option<Limiter>>,
    /// The zero of the limiter's time, which is an argument to it. This is the only place in this crate that reads a
    /// clock.
    started: Instant,
}

impl Tunables {
    pub(crate) fn new(rate: Option<SampleRate>, limit: Option<f64>) -> Self {
        Self {
            rate: AtomicU64::new(bits(rate)),
            is_limited: AtomicBool::new(limit.is_some()),
            limiter: Mutex::new(limit.map(|limit| Limiter::new(limit, Duration::ZERO))),
            started: Instant::now(),
        }
    }

    pub(crate) fn rate(&self) -> Option<SampleRate> {
        SampleRate::try_from(f64::from_bits(self.rate.load(Ordering::Relaxed))).ok()
    }

    /// Returns the rate to apply to a trace that passed its own rate.
    pub(crate) fn limited(&self, rate: SampleRate, rand: SampleRand) -> SampleRate {
        if !self.is_limited.load(Ordering::Relaxed) {
            return rate;
        }
        // A limiter is valid after each statement, so a poisoned one can still be used.
        match &mut *self.limiter.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(limiter) => limiter.admit(rate, rand, self.started.elapsed()),
            None => rate,
        }
    }

    fn set_rate(&self, rate: Option<SampleRate>) {
        self.rate.store(bits(rate), Ordering::Relaxed);
    }

    fn set_limit(&self, limit: Option<f64>) {
        let limiter = limit.map(|limit| Limiter::new(limit, self.started.elapsed()));
        // The flag changes under the lock: otherwise, two concurrent calls could leave a limit that is never applied.
        let mut current = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_limited.store(limiter.is_some(), Ordering::Relaxed);
        *current = limiter;
    }
}

/// The bits that represent a rate. NaN is not a valid rate, so it represents "no rate".
fn bits(rate: Option<SampleRate>) -> u64 {
    rate.map_or(f64::NAN, SampleRate::get).to_bits()
}
