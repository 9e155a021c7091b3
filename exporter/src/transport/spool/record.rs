//! The bytes of a segment: a header, then one record after the other.
//!
//! | bytes of a record | |
//! | --- | --- |
//! | 1 | state: waiting or done. It is the only byte that changes, so no checksum covers it |
//! | 4 | length of the body |
//! | 4 | length of the body's first part |
//! | 8, 8, 8, 8, 8, 8, 8, 8 | transactions, spans, errors, logs, bytes of logs, metrics, bytes of metrics, check-ins |
//! | 8 | when it was written, in nanoseconds since 1970 |
//! | 4 | CRC-32 of the body |
//! | 4 | CRC-32 of all the above, without the state |
//! | … | the body |
//!
//! Numbers are little-endian. The head has a checksum of its own: a damaged body then costs one record only, which is
//! counted exactly, and the next record can be found.

use flate2::Crc;

use crate::account::Counts;

/// The first bytes of each segment: a magic number and the version of the format.
pub(super) const HEADER: [u8; 16] = *b"otel-sentry\0\x03\0\0\0";

/// The length of a record without its body.
pub(super) const HEAD: usize = 89;

/// `HEADER` and `HEAD` as file offsets.
pub(super) const HEADER_LEN: u64 = HEADER.len() as u64;
pub(super) const HEAD_LEN: u64 = HEAD as u64;

/// The state of a record that was delivered, dropped or counted as lost.
///
/// Every other value means waiting, so a flipped bit sends a record again and never loses one.
pub(super) const DONE: u8 = 0xff;
const WAITING: u8 = 0;

/// An envelope to store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) counts: Counts,
    /// The envelope's header line, and its items.
    pub(crate) parts: [&'a [u8]; 2],
}

/// A record without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The length of the body.
    pub(super) length: u32,
    /// The length of the body's first part.
    pub(super) split: u32,
    pub(super) counts: Counts,
    pub(super) time: u64,
    /// The checksum of the body.
    pub(super) checksum: u32,
}

impl Head {
    /// `None` if the body is too long for the format.
    pub(super) fn new(counts: Counts, parts: [&[u8]; 2], time: u64) -> Option<Self> {
        let length = parts[0].len().checked_add(parts[1].len())?;
        let (length, split) = (u32::try_from(length).ok()?, u32::try_from(parts[0].len()).ok()?);
        Some(Self { length, split, counts, time, checksum: checksum(&parts) })
    }

    /// The head of a waiting record.
    pub(super) fn encode(&self) -> [u8; HEAD] {
        let mut bytes = [WAITING; HEAD];
        let Counts { transactions, spans, errors, logs, log_bytes, metrics, metric_bytes, check_ins } = self.counts;
        let numbers = [transactions, spans, errors, logs, log_bytes, metrics, metric_bytes, check_ins, self.time];
        bytes[1..5].copy_from_slice(&self.length.to_le_bytes());
        bytes[5..9].copy_from_slice(&self.split.to_le_bytes());
        for (place, count) in numbers.into_iter().enumerate() {
            let start = 9 + 8 * place;
            bytes[start..start + 8].copy_from_slice(&count.to_le_bytes());
        }
        bytes[81..85].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = checksum(&[&bytes[1..85]]);
        bytes[85..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` if it is damaged.
    pub(super) fn decode(bytes: &[u8; HEAD]) -> Option<Self> {
        let [_, rest @ ..] = bytes;
        let mut rest = &rest[..];
        let head = Self {
            length: u32::from_le_bytes(next(&mut rest)?),
            split: u32::from_le_bytes(next(&mut rest)?),
            counts: Counts {
                transactions: u64::from_le_bytes(next(&mut rest)?),
                spans: u64::from_le_bytes(next(&mut rest)?),
                errors: u64::from_le_bytes(next(&mut rest)?),
                logs: u64::from_le_bytes(next(&mut rest)?),
                log_bytes: u64::from_le_bytes(next(&mut rest)?),
                metrics: u64::from_le_bytes(next(&mut rest)?),
                metric_bytes: u64::from_le_bytes(next(&mut rest)?),
                check_ins: u64::from_le_bytes(next(&mut rest)?),
            },
            time: u64::from_le_bytes(next(&mut rest)?),
            checksum: u32::from_le_bytes(next(&mut rest)?),
        };
        let Counts { transactions, spans, errors, logs, log_bytes, metrics, metric_bytes, check_ins } = head.counts;
        let counts = [transactions, spans, errors, logs, log_bytes, metrics, metric_bytes, check_ins];
        let is_possible = counts.into_iter().all(|count| count <= MAX_COUNT);
        (is_possible && head.split <= head.length && head.encode()[1..] == bytes[1..]).then_some(head)
    }

    /// The length of the body according to a head that may be damaged.
    pub(super) fn claimed_length(bytes: &[u8; HEAD]) -> u32 {
        let [_, a, b, c, d, ..] = *bytes;
        u32::from_le_bytes([a, b, c, d])
    }

    pub(super) fn fits(&self, body: &[u8]) -> bool {
        self.checksum == checksum(&[body])
    }
}

/// The length that a record with these parts has in a segment.
pub(super) fn len(parts: [&[u8]; 2]) -> u64 {
    parts.iter().map(|part| part.len() as u64).fold(HEAD_LEN, u64::saturating_add)
}

/// Removes and returns the next bytes.
fn next<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.sum()
}

/// The largest plausible count. It is far more than an envelope contains, and the sum over thousands of records still
/// fits into 64 bits.
const MAX_COUNT: u64 = 1 << 54;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(counts: [u64; 8], parts: [&[u8]; 2], time: u64) -> Head {
        let [transactions, spans, errors, logs, log_bytes, metrics, metric_bytes, check_ins] = counts;
        let counts = Counts { transactions, spans, errors, logs, log_bytes, metrics, metric_bytes, check_ins };
        Head::new(counts, parts, time).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_encoded_can_be_decoded(counts: [u32; 8], a: Vec<u8>, b: Vec<u8>, time: u64) {
            let head = head(counts.map(u64::from), [&a, &b], time);
            prop_assert_eq!(Head::decode(&head.encode()), Some(head));
            prop_assert_eq!(Head::claimed_length(&head.encode()) as usize, a.len() + b.len());
            prop_assert!(head.fits(&[a, b].concat()));
        }

        #[test]
        fn any_flipped_bit_is_noticed(a: Vec<u8>, time: u64, bit in 8..HEAD * 8) {
            let mut bytes = head([1, 2, 3, 4, 5, 6, 7, 8], [&a, &a], time).encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Head::decode(&bytes), None);
        }
    }

    #[test]
    fn absurd_counts_are_damage() {
        for place in 0..8 {
            let mut counts = [0; 8];
            counts[place] = if place % 2 == 0 { MAX_COUNT + 1 } else { u64::MAX };
            assert_eq!(Head::decode(&head(counts, [b"", b""], 0).encode()), None);
        }
        assert!(Head::decode(&head([MAX_COUNT; 8], [b"", b""], 0).encode()).is_some());
    }

    #[test]
    fn zeros_are_no_head() {
        assert_eq!(Head::decode(&[0; HEAD]), None);
    }
}
