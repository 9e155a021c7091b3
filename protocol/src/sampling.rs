//! Sampling numbers, validated once: a rate, a random value, and the comparison between them.

use std::{error::Error, fmt, str::FromStr};

use opentelemetry::TraceId;

use crate::found::Found;

/// The share of traces to keep: a number from 0 (none) to 1 (all).
///
/// ```
/// use opentelemetry_sentry_protocol::SampleRate;
///
/// assert_eq!(SampleRate::try_from(0.25)?.to_string(), "0.25");
/// assert!(SampleRate::try_from(f64::NAN).is_err());
/// # Ok::<(), opentelemetry_sentry_protocol::InvalidSampleRate>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct SampleRate(f64);

impl SampleRate {
    /// Keeps no trace.
    pub const NONE: Self = Self(0.0);
    /// Keeps every trace.
    pub const ALL: Self = Self(1.0);

    /// The number, in `0.0..=1.0`.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// This rate, halved `times` times.
    #[must_use]
    pub fn halved(self, times: u32) -> Self {
        if times == 0 { self } else { Self(self.0 / f64::from(times.min(1000)).exp2()) }
    }
}

impl TryFrom<f64> for SampleRate {
    type Error = InvalidSampleRate;

    fn try_from(rate: f64) -> Result<Self, Self::Error> {
        // `abs` makes -0.0 print as 0.
        let valid = (0.0..=1.0).contains(&rate);
        valid.then(|| Self(rate.abs())).ok_or_else(|| InvalidSampleRate { found: Found::number(rate) })
    }
}

impl FromStr for SampleRate {
    type Err = InvalidSampleRate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.trim().parse::<f64>().ok();
        rate.and_then(|rate| Self::try_from(rate).ok()).ok_or_else(|| InvalidSampleRate { found: Found::text(text) })
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number or text was not a sample rate. The message says what was found.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidSampleRate {
    found: Found,
}

impl fmt::Display for InvalidSampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sample rate must be a number from 0 to 1, found {}", self.found)
    }
}

crate::__shared::debug_as_message!(InvalidSampleRate);

impl Error for InvalidSampleRate {}

/// The random value of a trace, in `[0, 1)`, which all services of the trace compare with their rates.
///
/// It is drawn once per trace and travels as `sentry-sample_rand`. If no service drew one, every service derives the same
/// value from the trace id. It is printed with as many decimals as it was read with; a value that is made here has six.
///
/// ```
/// use opentelemetry::TraceId;
/// use opentelemetry_sentry_protocol::{SampleRand, SampleRate};
///
/// let rand = SampleRand::from_trace_id(TraceId::from_bytes([0x80; 16]));
/// assert_eq!(rand.to_string(), "0.501960");
/// assert!(!rand.is_below(SampleRate::try_from(0.5)?));
/// # Ok::<(), opentelemetry_sentry_protocol::InvalidSampleRate>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SampleRand {
    value: f64,
    decimals: usize,
}

/// The number of different values that are made here: those with six decimals.
const STEPS: u32 = 1_000_000;
const DECIMALS: usize = 6;

/// The decimals of most numbers from 0.1 on that are not rounded.
const EXACT_DECIMALS: usize = 17;

/// More decimals are not kept: an `f64` has no use for them, and a sender must not choose how much is printed.
const MAX_DECIMALS: usize = 20;

impl SampleRand {
    /// Derives the value from a trace id: its low 56 bits, scaled to six decimals and truncated.
    #[must_use]
    pub fn from_trace_id(trace_id: TraceId) -> Self {
        Self::from_steps(scale(trace_id, 0, STEPS))
    }

    /// A value for a decision that came without one: below the rate if the trace is sampled, otherwise not below it.
    ///
    /// Without a rate or a decision it is [`from_trace_id`](Self::from_trace_id). It depends on the arguments only, so
    /// every hop fills in the same value. If no value agrees with the decision (sampled at rate 0, not sampled at rate
    /// 1), it is the nearest one.
    #[must_use]
    pub fn within(trace_id: TraceId, rate: Option<SampleRate>, sampled: Option<bool>) -> Self {
        let (Some(rate), Some(sampled)) = (rate, sampled) else {
            return Self::from_trace_id(trace_id);
        };
        let boundary = first_step_not_below(rate);
        let (low, high) = if sampled { (0, boundary.max(1)) } else { (boundary.min(STEPS - 1), STEPS) };
        Self::from_steps(scale(trace_id, low, high))
    }

    /// The number, in `0.0..1.0`.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.value
    }

    /// The decision: whether a trace with this value is kept at `rate`.
    #[must_use]
    pub fn is_below(self, rate: SampleRate) -> bool {
        self.value < rate.get()
    }

    /// The value with six decimals that is nearest to this number, which is in `0.0..1.0`.
    pub(crate) fn nearest(number: f64) -> Self {
        Self::from_steps(((number * f64::from(STEPS)).round() as u32).min(STEPS - 1))
    }

    /// This number, which is in `0.0..1.0`, with as many decimals as it needs.
    pub(crate) const fn exact(number: f64) -> Self {
        Self { value: number, decimals: EXACT_DECIMALS }
    }

    fn from_steps(steps: u32) -> Self {
        Self { value: f64::from(steps) / f64::from(STEPS), decimals: DECIMALS }
    }
}

impl FromStr for SampleRand {
    type Err = InvalidSampleRand;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let value = text.parse::<f64>().ok().filter(|value| (0.0..1.0).contains(value));
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len()).min(MAX_DECIMALS);
        // `abs` makes -0.0 print as 0.
        value
            .map(|value| Self { value: value.abs(), decimals })
            .ok_or_else(|| InvalidSampleRand { found: Found::text(text) })
    }
}

impl fmt::Display for SampleRand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Most values have six decimals, and are printed as whole numbers.
        let steps = (self.value * f64::from(STEPS)).round();
        if self.decimals == DECIMALS && steps / f64::from(STEPS) == self.value {
            return write!(f, "0.{:06}", steps as u32);
        }
        // A number that was written with an exponent has more decimals than were counted: print all of them.
        let text = format!("{:.*}", self.decimals, self.value);
        if text.parse() == Ok(self.value) { f.write_str(&text) } else { self.value.fmt(f) }
    }
}

impl PartialEq for SampleRand {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// The text was not a random value. The message says what was found.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidSampleRand {
    found: Found,
}

impl fmt::Display for InvalidSampleRand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sample_rand must be a number from 0 to below 1, found {}", self.found)
    }
}

crate::__shared::debug_as_message!(InvalidSampleRand);

impl Error for InvalidSampleRand {}

/// Why a trace is not sampled. Its spans are counted under this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsampled {
    /// The sampler kept fewer traces for a while, because the server could not keep up.
    Backpressure,
    /// A filter of the application ignores its local root.
    Ignored,
    /// The sampler decided against it.
    SampleRate,
}

/// The lowest step that is not below this rate.
///
/// A rate can have more than six decimals, and its product with the number of steps can be rounded either way. So the
/// candidate is compared exactly as [`SampleRand::is_below`] compares it.
fn first_step_not_below(rate: SampleRate) -> u32 {
    let near = (rate.get() * f64::from(STEPS)).round() as u32;
    if SampleRand::from_steps(near).is_below(rate) { near + 1 } else { near }
}

/// A step in `low..high` that depends on the trace id only.
fn scale(trace_id: TraceId, low: u32, high: u32) -> u32 {
    let bits = u128::from_be_bytes(trace_id.to_bytes()) & ((1 << 56) - 1);
    low + ((bits * u128::from(high - low)) >> 56) as u32
}
