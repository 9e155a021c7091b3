//! OpenTelemetry's member `ot` of `tracestate`, and how its numbers and Sentry's are the same.
//!
//! The rules are in the guide, page `sampling`, section "A second back end".

use opentelemetry::TraceId;

use crate::sampling::{SampleRand, SampleRate};

/// One more than the highest randomness: it has 56 bits.
const RANGE: u64 = 1 << BITS;
const BITS: u32 = 56;

/// The hex digits of 56 bits.
const DIGITS: usize = 14;

/// The bits of an `f64` that hold a whole number.
const MANTISSA: u32 = 53;

/// The most characters of the member's value.
const MAX_LENGTH: usize = 256;

/// The randomness of a trace, which OpenTelemetry's samplers compare with their threshold: the sub-key `rv`, or the low 56 bits
/// of the trace id.
///
/// OpenTelemetry keeps the traces with the highest values, Sentry those with the lowest. So it is mirrored: a `sample_rand` of 0
/// is the highest randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Randomness(u64);

impl Randomness {
    /// The randomness of a trace without an explicit one.
    #[must_use]
    pub fn from_trace_id(trace_id: TraceId) -> Self {
        Self(u128::from_be_bytes(trace_id.to_bytes()) as u64 & (RANGE - 1))
    }

    /// The randomness that is the same number as a random value, to within 2⁻⁵⁶.
    ///
    /// Of the two that are nearest it takes the one that agrees with Sentry's decision at this rate: numbers below 1/16 have
    /// more than 56 bits after the point, so the value and the rate can be nearer to each other than 2⁻⁵⁶.
    #[must_use]
    pub fn of(rand: SampleRand, rate: Option<SampleRate>) -> Self {
        let steps = steps_not_below(rand.get());
        let below = rate.filter(|rate| rand.is_below(*rate)).map(|rate| steps_not_below(rate.get()));
        let steps = below.map_or(steps, |rate| steps.min(rate.saturating_sub(1)));
        Self(RANGE - 1 - steps.min(RANGE - 1))
    }

    /// The random value that is the same number: at every rate, Sentry's decision by it is that of OpenTelemetry by this
    /// randomness. It has six decimals if that is exact, otherwise as many as it needs.
    #[must_use]
    pub fn rand(self) -> SampleRand {
        let steps = RANGE - 1 - self.0;
        // Rounded down to what an `f64` holds. No rate lies in between, as rates are numbers of this type too.
        let spare = (u64::BITS - steps.leading_zeros()).saturating_sub(MANTISSA);
        let value = (steps >> spare << spare) as f64 / RANGE as f64;
        let short = SampleRand::nearest(value);
        if short.get() == value { short } else { SampleRand::exact(value) }
    }
}

/// The rejection threshold of a sampling rate: OpenTelemetry keeps a trace whose randomness is not below it. The sub-key `th`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(u64);

impl Threshold {
    /// The threshold of a rate; `None` at rate 0, for which there is none.
    #[must_use]
    pub fn of(rate: SampleRate) -> Option<Self> {
        let kept = steps_not_below(rate.get());
        (kept > 0).then(|| Self(RANGE - kept.min(RANGE)))
    }

    /// The rate.
    #[must_use]
    pub fn rate(self) -> SampleRate {
        // It is above 0 and not above 1.
        SampleRate::try_from((RANGE - self.0) as f64 / RANGE as f64).unwrap_or(SampleRate::ALL)
    }

    /// OpenTelemetry's decision.
    #[must_use]
    pub const fn keeps(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }
}

/// The value of the member `ot`: a list of sub-keys with values, such as `th:c;rv:6e6d1a75832a2f`.
///
/// A sub-key that is invalid, or that occurs twice, counts as missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct OtState<'a> {
    text: &'a str,
    threshold: Option<Threshold>,
    randomness: Option<Randomness>,
}

impl<'a> OtState<'a> {
    /// The member's key.
    pub const KEY: &'static str = "ot";

    /// Reads the member's value; an empty text for a missing member.
    #[must_use]
    pub fn read(text: &'a str) -> Self {
        let only = |key: &str| {
            let mut values = text.split(';').filter_map(|entry| entry.strip_prefix(key));
            values.next().filter(|_| values.next().is_none())
        };
        let threshold = only("th:").and_then(|digits| {
            let number = hex(digits).filter(|_| (1..=DIGITS).contains(&digits.len()))?;
            Some(Threshold(number << (4 * (DIGITS - digits.len()))))
        });
        let randomness = only("rv:").filter(|digits| digits.len() == DIGITS).and_then(hex).map(Randomness);
        Self { text, threshold, randomness }
    }

    /// The threshold.
    #[must_use]
    pub const fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    /// The explicit randomness.
    #[must_use]
    pub const fn randomness(&self) -> Option<Randomness> {
        self.randomness
    }

    /// The randomness by which the trace was decided: the explicit one, else that of the trace id if there is a threshold.
    /// `None` if nothing says that OpenTelemetry's rule was used.
    #[must_use]
    pub fn decided_by(&self, trace_id: TraceId) -> Option<Randomness> {
        self.randomness.or_else(|| self.threshold.map(|_| Randomness::from_trace_id(trace_id)))
    }

    /// The rate at which the trace was sampled, if it is known and agrees with the decision that came in.
    #[must_use]
    pub fn rate(&self, trace_id: TraceId, is_sampled: bool) -> Option<SampleRate> {
        let threshold = self.threshold.filter(|_| is_sampled)?;
        let is_true = self.decided_by(trace_id).is_some_and(|randomness| threshold.keeps(randomness));
        is_true.then(|| threshold.rate())
    }

    /// The value with this threshold and this randomness in place of its own; all other sub-keys stay as they are. `None` if it
    /// has them already. What would be too long loses its threshold and gets no randomness.
    #[must_use]
    pub fn with(&self, threshold: Option<Threshold>, randomness: Option<Randomness>) -> Option<String> {
        if threshold == self.threshold && randomness == self.randomness {
            return None;
        }
        let text = self.printed(threshold, randomness);
        Some(if text.len() > MAX_LENGTH { self.printed(None, self.randomness) } else { text })
    }

    fn printed(&self, threshold: Option<Threshold>, randomness: Option<Randomness>) -> String {
        let threshold = threshold.map(|Threshold(number)| {
            let digits = format!("{number:014x}");
            let short = digits.trim_end_matches('0');
            format!("th:{}", if short.is_empty() { "0" } else { short })
        });
        let randomness = randomness.map(|Randomness(number)| format!("rv:{number:014x}"));
        let is_other = |entry: &&str| !entry.is_empty() && !entry.starts_with("th:") && !entry.starts_with("rv:");
        let others = self.text.split(';').filter(is_other).map(str::to_owned);
        threshold.into_iter().chain(randomness).chain(others).collect::<Vec<_>>().join(";")
    }
}

/// A number in `0.0..=1.0` as a number of steps of 2⁻⁵⁶, rounded up. It is exact from 1/16 on.
fn steps_not_below(number: f64) -> u64 {
    (number * RANGE as f64).ceil() as u64
}

/// A number of lower-case hex digits only.
fn hex(digits: &str) -> Option<u64> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.bytes().all(is_digit) { u64::from_str_radix(digits, 16).ok() } else { None }
}
