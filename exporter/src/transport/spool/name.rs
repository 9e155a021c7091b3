//! The name of a segment: when it was begun, by which spool, and its number.
//!
//! ```text
//! 01732147200000000000-9f3c5a1e07b2d468-0000002a.segment
//! time                 writer           number
//! ```

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// The name of a segment. Names are ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    /// Random for each spool. Process ids would not do: containers that share a directory often have the same ones.
    pub(super) writer: u64,
    pub(super) number: u32,
}

impl Name {
    /// Parses the name of a file; `None` unless `Display` prints exactly this text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix(EXTENSION)?;
        let mut fields = stem.split('-');
        let mut next = || fields.next();
        let name = Self {
            time: next()?.parse().ok()?,
            writer: u64::from_str_radix(next()?, 16).ok()?,
            number: u32::from_str_radix(next()?, 16).ok()?,
        };
        // Otherwise the spool would later open or remove a file with another name.
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, writer, number } = self;
        write!(f, "{time:020}-{writer:016x}-{number:08x}{EXTENSION}")
    }
}

/// Nanoseconds since 1970. A time before 1970 or after 2554 becomes the nearest of the two.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

const EXTENSION: &str = ".segment";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_printed_can_be_parsed_and_sorts_by_time(times: [u64; 2], writer: u64, number: u32) {
            let names = times.map(|time| Name { time, writer, number });
            let texts = names.map(|name| name.to_string());
            prop_assert_eq!(Name::parse(&texts[0]), Some(names[0]));
            prop_assert_eq!(texts[0].cmp(&texts[1]), times[0].cmp(&times[1]));
            prop_assert_eq!(names[0].cmp(&names[1]), times[0].cmp(&times[1]));
        }

        #[test]
        fn any_text_can_be_parsed(text: String) {
            Name::parse(&text);
        }
    }

    #[test]
    fn only_the_exact_text_is_ours() {
        let ours = "01732147200000000000-9f3c5a1e07b2d468-0000002a.segment";
        assert!(Name::parse(ours).is_some());
        for (from, to) in [
            ("01732147200000000000", "1732147200000000000"),
            ("01732147200000000000", "+1732147200000000000"),
            ("01732147200000000000", "99999999999999999999"),
            ("9f3c5a1e07b2d468", "9F3C5A1E07B2D468"),
            ("-0000002a", "-2a"),
            ("-0000002a", ""),
            ("-0000002a", "-0000002a-0"),
            ("-9f", "--9f"),
            (".segment", ".segment~"),
            (".segment", ".envelope"),
            (".segment", ""),
        ] {
            assert_eq!(Name::parse(&ours.replace(from, to)), None, "{from} as {to}");
        }
    }

    #[test]
    fn every_clock_has_nanoseconds() {
        let day = Duration::from_secs(86_400);
        assert_eq!(nanos(UNIX_EPOCH - day), 0);
        assert_eq!(nanos(UNIX_EPOCH + day), 86_400_000_000_000);
        assert_eq!(nanos(UNIX_EPOCH + day * 365 * 1_000), u64::MAX);
    }
}
