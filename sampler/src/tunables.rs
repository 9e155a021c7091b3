//! What can be changed while the process runs.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry_sentry_protocol::{InvalidSampleRate, SampleRand, SampleRate};

use crate::{InvalidLimit, limiter::Limiter};

/// Changes a sampler's rate and limit without a restart.
///
/// It is cheap to clone, and may be used from any thread. What is already decided stays decided.
///
/// ```
/// use opentelemetry_sentry_sampler::SentrySampler;
///
/// let sampler = SentrySampler::rate(0.1)?;
/// let handle = sampler.handle();
/// // … when an incident begins:
/// handle.set_rate(Some(1.0))?;
/// # Ok::<(), opentelemetry_sentry_sampler::InvalidSampleRate>(())
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
    /// If the rate is not in `0.0..=1.0`; it then stays as it was.
    pub fn set_rate(&self, rate: Option<f64>) -> Result<(), InvalidSampleRate> {
        self.tunables.set_rate(rate.map(SampleRate::try_from).transpose()?);
        Ok(())
    }

    /// The rate; `None` while tracing is off.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.tunables.rate().map(SampleRate::get)
    }

    /// Sets how many traces a second are sampled at most; `None` removes the limit.
    ///
    /// # Errors
    ///
    /// If the number is negative, infinite or not a number; the limit then stays as it was.
    pub fn set_max_traces_per_second(&self, limit: Option<f64>) -> Result<(), InvalidLimit> {
        self.tunables.set_limit(limit.map(InvalidLimit::check).transpose()?);
        Ok(())
    }
}

/// The values behind the handle.
#[derive(Debug)]
pub(crate) struct Tunables {
    /// The bits of the rate; those of NaN for none.
    rate: AtomicU64,
    /// Whether there is a limiter: without one, roots need not wait for each other.
    is_limited: AtomicBool,
    limiter: Mutex<Option<Limiter>>,
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

    /// The rate that is applied to a trace which `rate` would sample.
    pub(crate) fn limited(&self, rate: SampleRate, rand: SampleRand) -> SampleRate {
        if !self.is_limited.load(Ordering::Relaxed) {
            return rate;
        }
        // A limiter is whole whenever it is not locked.
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
        let mut current = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_limited.store(limiter.is_some(), Ordering::Relaxed);
        *current = limiter;
    }
}

fn bits(rate: Option<SampleRate>) -> u64 {
    rate.map_or(f64::NAN, SampleRate::get).to_bits()
}
