//! Sampling numbers, checked once: a rate and a random value, and the one comparison between them.

use std::{error::Error, fmt, str::FromStr};

use opentelemetry::TraceId;

/// How many of the traces to keep: a number from 0 (none) to 1 (all).
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
    /// Nothing is kept.
    pub const NONE: Self = Self(0.0);
    /// Everything is kept.
    pub const ALL: Self = Self(1.0);

    /// The number, in `0.0..=1.0`.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Half of it, so many times over.
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
        valid.then(|| Self(rate.abs())).ok_or_else(|| InvalidSampleRate { found: rate.to_string() })
    }
}

impl FromStr for SampleRate {
    type Err = InvalidSampleRate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.trim().parse::<f64>().ok();
        rate.and_then(|rate| Self::try_from(rate).ok()).ok_or_else(|| InvalidSampleRate { found: format!("{text:?}") })
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number or text was not a sample rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSampleRate {
    found: String,
}

impl fmt::Display for InvalidSampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sample rate must be a number from 0 to 1, found {}", self.found)
    }
}

impl Error for InvalidSampleRate {}

/// The random value of a trace, in `[0, 1)`, which all its services compare with their rates.
///
/// It is drawn once per trace and travels as `sentry-sample_rand`; when nobody drew one, every service derives the
/// same value from the trace id. It is printed with as many decimals as it was read with; one that is made here has six.
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

/// Steps of the values that we make: six decimals.
const STEPS: u32 = 1_000_000;
const DECIMALS: usize = 6;

/// No more decimals than this can tell two numbers apart, or be printed at will.
const MAX_DECIMALS: usize = 20;

impl SampleRand {
    /// The value that a trace id stands for: its low 56 bits, scaled to six decimals and truncated.
    #[must_use]
    pub fn from_trace_id(trace_id: TraceId) -> Self {
        Self::from_steps(scale(trace_id, 0, STEPS))
    }

    /// A value that explains a decision which came without one: below the rate if sampled, else not below it.
    ///
    /// Without a rate or without a decision it is [`from_trace_id`](Self::from_trace_id). It depends on nothing but
    /// the arguments, so that every hop fills in the same value. A decision that no value explains (sampled at rate
    /// 0, not sampled at rate 1) gets the nearest one.
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
        value.map(|value| Self { value: value.abs(), decimals }).ok_or(InvalidSampleRand { _private: () })
    }
}

impl fmt::Display for SampleRand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written with an exponent, a number has more decimals than were seen.
        let text = format!("{:.*}", self.decimals, self.value);
        if text.parse() == Ok(self.value) { f.write_str(&text) } else { self.value.fmt(f) }
    }
}

impl PartialEq for SampleRand {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// The text was not a random value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSampleRand {
    _private: (),
}

impl fmt::Display for InvalidSampleRand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample_rand must be a number from 0 to below 1")
    }
}

impl Error for InvalidSampleRand {}

/// The first step that a trace at this rate is not kept with. A rate can have more than six decimals, and its product
/// with the steps can be rounded either way, so the neighbours are compared as the decision compares them.
fn first_step_not_below(rate: SampleRate) -> u32 {
    let near = (rate.get() * f64::from(STEPS)).round() as u32;
    if SampleRand::from_steps(near).is_below(rate) { near + 1 } else { near }
}

/// A step in `low..high` that depends on the trace id alone.
fn scale(trace_id: TraceId, low: u32, high: u32) -> u32 {
    let bits = u128::from_be_bytes(trace_id.to_bytes()) & ((1 << 56) - 1);
    low + ((bits * u128::from(high - low)) >> 56) as u32
}
