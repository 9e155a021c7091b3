//! What a file's name says of the envelope in it: everything but its bytes.
//!
//! ```text
//! 01732147200000000000-9f3c5a1e07b2d468-0000002a-1-12-0-3402-5d41402a.envelope
//! time                 writer           number   │ │  │ │    checksum stage
//!                                                │ │  │ bytes
//!                                 transactions, spans, errors
//! ```
//!
//! So a listing is enough to sort envelopes by age, to know the room they take, and to account for one whose bytes are
//! damaged; and the file itself is the envelope and nothing else.
//!
//! | stage | |
//! | --- | --- |
//! | `part` | is being written, or was when its process died |
//! | `envelope` | waits |
//! | `sending` | is being replayed, or was when its process died |

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flate2::Crc;

use super::Counts;

/// An envelope on disk. The order is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    /// Random, other for each spool: process numbers are all alike where containers share a directory.
    pub(super) writer: u64,
    pub(super) number: u32,
    pub(super) counts: Counts,
    /// In bytes.
    pub(super) size: u64,
    /// CRC-32 of the bytes.
    pub(super) checksum: u32,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Part,
    Waiting,
    Sending,
}

/// Far more than one envelope stands for; what a thousand of them stand for can still be counted.
const MAX_COUNT: u64 = 1 << 54;

impl Name {
    /// Reads a file's name; `None` if it is not one of ours, to the letter.
    pub(super) fn parse(text: &str) -> Option<(Self, Stage)> {
        let (stem, stage) = text.split_once('.')?;
        let stage = [Stage::Part, Stage::Waiting, Stage::Sending].into_iter().find(|known| known.as_str() == stage)?;
        let mut fields = stem.split('-');
        let mut next = || fields.next();
        let name = Self {
            time: next()?.parse().ok()?,
            writer: u64::from_str_radix(next()?, 16).ok()?,
            number: u32::from_str_radix(next()?, 16).ok()?,
            counts: Counts {
                transactions: next()?.parse().ok()?,
                spans: next()?.parse().ok()?,
                errors: next()?.parse().ok()?,
            },
            size: next()?.parse().ok()?,
            checksum: u32::from_str_radix(next()?, 16).ok()?,
        };
        // Else the name that we would form is another file's. What no envelope stands for nobody of ours has written.
        let Counts { transactions, spans, errors } = name.counts;
        let is_possible = [transactions, spans, errors].into_iter().all(|count| count <= MAX_COUNT);
        (is_possible && name.file_name(stage) == text).then_some((name, stage))
    }

    pub(super) fn file_name(&self, stage: Stage) -> String {
        format!("{self}.{}", stage.as_str())
    }

    /// How long ago it was stored; nothing, if the clock was set back since.
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        Duration::from_nanos(nanos(now).saturating_sub(self.time))
    }

    /// How far its time is from now, in either direction.
    pub(super) fn distance(&self, now: SystemTime) -> Duration {
        Duration::from_nanos(nanos(now).abs_diff(self.time))
    }

    pub(super) fn fits(&self, bytes: &[u8]) -> bool {
        self.size == len(bytes) && self.checksum == checksum(&[bytes])
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, writer, number, counts, size, checksum } = self;
        let Counts { transactions, spans, errors } = counts;
        write!(f, "{time:020}-{writer:016x}-{number:08x}-{transactions}-{spans}-{errors}-{size}-{checksum:08x}")
    }
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Part => "part",
            Self::Waiting => "envelope",
            Self::Sending => "sending",
        }
    }
}

/// Nanoseconds since 1970; a clock that stands before that, or after 2554, counts as the nearest that can be told.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.sum()
}

pub(super) fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_printed_can_be_parsed_and_sorts_by_time(
            times: [u64; 2], writer: u64, number: u32, counts: [u32; 3], size: u64, checksum: u32,
        ) {
            let [transactions, spans, errors] = counts.map(|count| u64::from(count) % MAX_COUNT);
            let counts = Counts { transactions, spans, errors };
            let names = times.map(|time| Name { time, writer, number, counts, size, checksum });
            for stage in [Stage::Part, Stage::Waiting, Stage::Sending] {
                let texts = names.map(|name| name.file_name(stage));
                prop_assert_eq!(Name::parse(&texts[0]), Some((names[0], stage)));
                prop_assert_eq!(texts[0].cmp(&texts[1]), times[0].cmp(&times[1]));
            }
        }

        #[test]
        fn any_text_can_be_parsed(text: String) {
            Name::parse(&text);
        }
    }

    #[test]
    fn only_the_letter_is_ours() {
        let ours = "01732147200000000000-9f3c5a1e07b2d468-0000002a-1-12-0-3402-5d41402a.envelope";
        assert!(Name::parse(ours).is_some());
        for (from, to) in [
            ("01732147200000000000", "1732147200000000000"),
            ("01732147200000000000", "+1732147200000000000"),
            ("9f3c5a1e07b2d468", "9F3C5A1E07B2D468"),
            ("-12-", "-012-"),
            ("-12-", "--12-"),
            ("-12-", "-99999999999999999999-"),
            ("-12-", "-18446744073709551615-"),
            ("-5d41402a", ""),
            ("-5d41402a", "-5d41402a-0"),
            (".envelope", ".envelope~"),
            (".envelope", ".envelope.part"),
            (".envelope", ""),
        ] {
            assert_eq!(Name::parse(&ours.replace(from, to)), None, "{from} as {to}");
        }
    }

    #[test]
    fn every_clock_can_be_told() {
        let day = Duration::from_secs(86_400);
        assert_eq!(nanos(UNIX_EPOCH - day), 0);
        assert_eq!(nanos(UNIX_EPOCH + day), 86_400_000_000_000);
        assert_eq!(nanos(UNIX_EPOCH + day * 365 * 1_000), u64::MAX);
    }
}
