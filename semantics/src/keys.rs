//! A cheap filter for keys that are not in a list.

/// A set of keys that rejects most other keys without comparing them (a Bloom filter with one hash).
///
/// ```
/// use opentelemetry_sentry_semantics::Keys;
///
/// const OURS: Keys = Keys::of(&["sentry.op", "sentry.origin"]);
/// assert!(OURS.may_have("sentry.op"));
/// assert!(!OURS.may_have("http.route"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
    /// One bit per key; several keys can share a bit.
    bits: u64,
}

impl Keys {
    /// The set of all keys.
    pub const ANY: Self = Self { bits: u64::MAX };

    /// The set of these keys.
    #[must_use]
    pub const fn of(keys: &[&str]) -> Self {
        let mut all = Self { bits: 0 };
        let mut rest = keys;
        while let [key, others @ ..] = rest {
            all = all.with(key);
            rest = others;
        }
        all
    }

    /// The set with one more key.
    #[inline]
    #[must_use]
    pub const fn with(self, key: &str) -> Self {
        Self { bits: self.bits | bit(key) }
    }

    /// Whether the set has no keys.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Whether a key may be in the set: `false` is certain, `true` is probable.
    #[inline]
    #[must_use]
    pub const fn may_have(self, key: &str) -> bool {
        self.bits & bit(key) != 0
    }
}

/// The bit of a key. Attribute names differ most in length, first and last byte, so this takes no pass over the key.
#[inline]
const fn bit(key: &str) -> u64 {
    match key.as_bytes() {
        [] | [_] => 1,
        [first, .., last] => 1 << ((4 * key.len() + 9 * *first as usize + *last as usize) % 64),
    }
}
