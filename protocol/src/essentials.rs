//! The entries of a dynamic sampling context that every service of a trace acts on.

use std::borrow::Cow;

use crate::{
    dsn::number,
    percent,
    sampling::{SampleRand, SampleRate},
};

/// The entries of a context that say whether, and how, its trace is continued.
///
/// `extract` needs them for every request, and gets them from the pass that reads the header: to find them in the
/// context's text again takes longer than all that is done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Essentials {
    pub(crate) rand: Option<SampleRand>,
    pub(crate) rate: Option<SampleRate>,
    pub(crate) sampled: Option<bool>,
    pub(crate) org_id: Option<u64>,
    /// Whether there is any entry besides the random value.
    pub(crate) has_more: bool,
}

impl Essentials {
    /// Reads them from decoded keys and encoded values.
    pub(crate) fn of<'a>(entries: impl Iterator<Item = (Cow<'a, str>, &'a str)>) -> Self {
        let mut found = Self::default();
        for (key, value) in entries {
            // These values rarely need decoding, so only those that are used are decoded.
            let value = || percent::decode(value).unwrap_or_default();
            match &*key {
                "sample_rand" => found.rand = value().parse().ok(),
                "sample_rate" => found.rate = value().parse().ok(),
                "sampled" => found.sampled = value().parse().ok(),
                "org_id" => found.org_id = number(value().trim()),
                _ => {}
            }
            found.has_more |= key != "sample_rand";
        }
        found
    }

    /// The organisation; `None` if it is missing or not a number.
    #[must_use]
    pub const fn org_id(&self) -> Option<u64> {
        self.org_id
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Baggage;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn reading_a_header_finds_what_its_context_says(
            line in "((sentry-|%73entry-|)(sample_ran(d|%64)|sample_rate|(s|%73)ampled|org_id|x)(=|;)\
                ((%30|0)?\\.[15]{1,2}|tru(e|%65)|false|[1%]{1,2}||%201;p)(,| ,)){0,6}",
        ) {
            let (baggage, essentials) = Baggage::read([line.as_str()]);
            let dsc = baggage.into_dsc().unwrap_or_default();
            prop_assert_eq!(essentials, dsc.essentials());
            prop_assert_eq!(essentials.rand, dsc.sample_rand());
            prop_assert_eq!(essentials.rate, dsc.sample_rate());
            prop_assert_eq!(essentials.sampled, dsc.sampled());
            prop_assert_eq!(essentials.org_id, dsc.org_id());
            prop_assert_eq!(essentials.has_more, dsc.iter().any(|(key, _)| key != "sample_rand"));
        }
    }
}
