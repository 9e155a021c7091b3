//! Finds what occurred before.

use std::fmt;

/// How far behind a match may lie.
const WINDOW: usize = 32 << 10;

/// The fewest bytes of a match. Shorter ones save little.
const SHORTEST: usize = 4;

/// The most bytes of a match.
pub(super) const LONGEST: usize = 258;

/// The binary logarithm of the number of remembered places. More of them find older matches, which are farther away and
/// need more bits.
const ORDER: u32 = 12;

/// Some literals, and a match behind them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) literals: u16,
    pub(super) length: u16,
    pub(super) distance: u16,
}

/// A place in a body.
#[derive(Clone, Copy)]
struct Place {
    /// Its first bytes. With them, most places that differ need not be looked up.
    start: u32,
    at: u32,
}

/// Finds matches: at each place it compares with the last place that had the same hash.
pub(super) struct Finder {
    /// By the hash of what is there. Places of earlier bodies stay here: each is compared with the body before it is used,
    /// so it does no harm, and clearing the table would take longer than to compress a small body.
    places: Box<[Place; 1 << ORDER]>,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").finish_non_exhaustive()
    }
}

impl Finder {
    pub(super) fn new() -> Self {
        Self { places: Box::new([Place { start: 0, at: 0 }; 1 << ORDER]) }
    }

    /// Finds the matches from `start` to the end of a body, or of its part so far.
    pub(super) fn find(&mut self, plain: &[u8], start: usize, matches: &mut Vec<Match>) {
        let (mut literals, mut at) = (start, start);
        while let Some((place, distance)) = self.next(plain, at) {
            at = place;
            let length = common(&plain[at..], &plain[at - distance..]);
            if length < SHORTEST {
                at += 1;
                continue;
            }
            // What precedes both places may be the same, too: not every place is remembered.
            let before = plain[literals..at].iter().rev().zip(plain[..at - distance].iter().rev());
            let more = before.take(LONGEST - length).take_while(|(a, b)| a == b).count();
            at -= more;
            let length = length + more;
            matches.push(Match { literals: (at - literals) as u16, length: length as u16, distance: distance as u16 });
            at += length;
            // What is longer than a match goes on at the same distance, and need not be looked up.
            let mut last = length;
            while last == LONGEST {
                last = common(&plain[at..], &plain[at - distance..]);
                if last < SHORTEST {
                    break;
                }
                matches.push(Match { literals: 0, length: last as u16, distance: distance as u16 });
                at += last;
            }
            literals = at;
            // What follows a match here often follows it again.
            if let Some(last) = word(plain, at - 2) {
                self.exchange(last, at - 2);
            }
        }
    }

    /// Remembers places from `at` on, until one begins like an earlier one. Returns it, and the distance between them. It is
    /// a function of its own because most bytes are passed here: a short loop keeps all that it needs in registers.
    #[inline(never)]
    fn next(&mut self, plain: &[u8], at: usize) -> Option<(usize, usize)> {
        for (place, next) in plain.get(at..)?.windows(8).enumerate() {
            let (place, next) = (at + place, word(next, 0)?);
            let before = self.exchange(next, place);
            let distance = place.wrapping_sub(before.at as usize);
            // 0 and what lies ahead wrap around.
            if before.start == next as u32 && distance.wrapping_sub(1) < WINDOW {
                return Some((place, distance));
            }
        }
        None
    }

    /// Remembers a place, and returns the last one with the same hash.
    #[inline]
    fn exchange(&mut self, word: u64, at: usize) -> Place {
        // Of five bytes: what has only four in common is rarely worth a match.
        let hash = (word << 24).wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - ORDER);
        std::mem::replace(&mut self.places[hash as usize], Place { start: word as u32, at: at as u32 })
    }
}

/// The next eight bytes; `None` near the end.
#[inline]
fn word(plain: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*plain.get(at..)?.first_chunk()?))
}

/// The length of what two places have in common.
#[inline]
fn common(here: &[u8], before: &[u8]) -> usize {
    let here = &here[..here.len().min(LONGEST)];
    let mut length = 0;
    for (a, b) in here.chunks_exact(8).zip(before.chunks_exact(8)) {
        let difference = word(a, 0).unwrap_or(0) ^ word(b, 0).unwrap_or(0);
        if difference != 0 {
            return length + difference.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + here[length..].iter().zip(&before[length..]).take_while(|(a, b)| a == b).count()
}
