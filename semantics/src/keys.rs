//! Is it worth while to look for a key?

/// A set of keys that tells at once of most others that they are not in it.
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
    /// A bit for each key; several keys share one.
    bits: u64,
}

impl Keys {
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

    /// Whether a key may be in the set. If not, it is not; if so, it probably is.
    #[inline]
    #[must_use]
    pub const fn may_have(self, key: &str) -> bool {
        self.bits & bit(key) != 0
    }
}

/// The bit of a key: keys differ most in how long they are and in how they begin and end.
#[inline]
const fn bit(key: &str) -> u64 {
    match key.as_bytes() {
        [] | [_] => 1,
        [first, .., last] => 1 << ((4 * key.len() + 9 * *first as usize + *last as usize) % 64),
    }
}
