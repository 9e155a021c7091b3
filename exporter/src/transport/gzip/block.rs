//! A block with codes of its own.

use super::{
    bits::Bits,
    huffman::{Code, codes},
    matches::{LONGEST, Match},
};

/// The symbols of literals, of the end of the block, and of the lengths of matches.
const SYMBOLS: usize = 286;

/// The symbol of the end of the block.
const END: usize = 256;

/// The symbols of the distances of matches.
const DISTANCES: usize = 30;

/// The most bits of a code.
const LONGEST_CODE: u32 = 15;

/// A number as a symbol and some bits behind it.
#[derive(Clone, Copy)]
struct Symbol {
    symbol: u16,
    bits: u16,
    count: u8,
}

impl Symbol {
    /// Numbers in groups that are twice as wide after each `2 ^ order` symbols.
    const fn of(number: u32, order: u32) -> Self {
        if number < 2 << order {
            return Self { symbol: number as u16, bits: 0, count: 0 };
        }
        let count = number.ilog2() - order;
        let symbol = (count << order) + (number >> count);
        Self { symbol: symbol as u16, bits: (number & ((1 << count) - 1)) as u16, count: count as u8 }
    }

    const fn of_distance(distance: u16) -> Self {
        Self::of(distance as u32 - 1, 1)
    }
}

/// The symbol of each length of a match.
const LENGTHS: [Symbol; LONGEST + 1] = {
    let mut all = [Symbol { symbol: 0, bits: 0, count: 0 }; LONGEST + 1];
    let mut length = 3;
    while length < LONGEST {
        let Symbol { symbol, bits, count } = Symbol::of(length as u32 - 3, 2);
        all[length] = Symbol { symbol: 257 + symbol, bits, count };
        length += 1;
    }
    all[LONGEST].symbol = 285;
    all
};

/// The codes of a block. The next blocks use them as long as they fit: the bodies of a service resemble each other, and
/// making codes takes as long as writing a small body.
#[derive(Debug)]
pub(super) struct Codes {
    /// Every symbol has a code, also one that did not occur when they were made.
    symbols: [Code; SYMBOLS],
    distances: [Code; DISTANCES],
    /// The lengths of both as they are written for the decoder: bits, and their number.
    lengths: Vec<(u32, u32)>,
}

impl Codes {
    /// The codes that are best if each symbol occurs this often, and once more.
    fn of(symbols: &[u32; SYMBOLS], distances: &[u32; DISTANCES]) -> Self {
        let symbols = codes(&symbols.map(|count| count + 1), LONGEST_CODE);
        let distances = codes(&distances.map(|count| count + 1), LONGEST_CODE);
        let lengths = lengths(&symbols, &distances);
        Self { symbols, distances, lengths }
    }

    /// Whether new codes would save less than a sixteenth.
    fn fit(&self, symbols: &[u32; SYMBOLS], distances: &[u32; DISTANCES]) -> bool {
        let (ours, new) = cost(symbols, &self.symbols);
        let (of_distances, new_of_distances) = cost(distances, &self.distances);
        16 * (ours + of_distances) <= 17 * (new + new_of_distances)
    }
}

impl Default for Codes {
    fn default() -> Self {
        Self::of(&[0; SYMBOLS], &[0; DISTANCES])
    }
}

/// The bits that symbols take, and about those that they would take in [`Codes::of`] them, both with 16 binary places.
fn cost<const N: usize>(counts: &[u32; N], codes: &[Code; N]) -> (u64, u64) {
    let all = log2(counts.iter().sum::<u32>() + N as u32);
    let (mut ours, mut new) = (0, 0);
    for (count, code) in counts.iter().zip(codes).filter(|(count, _)| **count > 0) {
        ours += u64::from(*count) * u64::from(code.length);
        new += u64::from(*count) * (all - log2(count + 1));
    }
    (ours << 16, new)
}

/// The binary logarithm with 16 binary places, at most 0.09 too small: a straight line between powers of 2.
const fn log2(number: u32) -> u64 {
    let whole = number.ilog2();
    ((whole as u64) << 16) + (((number as u64) << 16) >> whole) - (1 << 16)
}

/// Writes a block: its codes, then literals and matches. The codes are replaced if they do not fit.
pub(super) fn write<'a>(
    plain: &[u8],
    matches: &[Match],
    is_last: bool,
    kept: &mut Codes,
    mut out: Bits<'a>,
) -> Bits<'a> {
    let (counts, of_distances) = counts(plain, matches);
    if !kept.fit(&counts, &of_distances) {
        *kept = Codes::of(&counts, &of_distances);
    }
    let Codes { symbols, distances, lengths } = kept;
    out.push(u32::from(is_last) | 2 << 1, 3);
    lengths.iter().for_each(|(bits, count)| out.push(*bits, *count));
    let mut rest = plain;
    for found in matches {
        let (literals, behind) = rest.split_at(found.literals.into());
        literals.iter().for_each(|literal| write_code(symbols[usize::from(*literal)], &mut out));
        let length = LENGTHS[usize::from(found.length)];
        write_symbol(symbols[usize::from(length.symbol)], length, &mut out);
        let distance = Symbol::of_distance(found.distance);
        write_symbol(distances[usize::from(distance.symbol)], distance, &mut out);
        rest = &behind[found.length.into()..];
    }
    rest.iter().for_each(|literal| write_code(symbols[usize::from(*literal)], &mut out));
    write_code(symbols[END], &mut out);
    out
}

/// How often each symbol occurs.
fn counts(plain: &[u8], matches: &[Match]) -> ([u32; SYMBOLS], [u32; DISTANCES]) {
    let (mut symbols, mut distances) = ([0; SYMBOLS], [0; DISTANCES]);
    let mut rest = plain;
    for found in matches {
        let (literals, behind) = rest.split_at(found.literals.into());
        literals.iter().for_each(|literal| symbols[usize::from(*literal)] += 1);
        symbols[usize::from(LENGTHS[usize::from(found.length)].symbol)] += 1;
        distances[usize::from(Symbol::of_distance(found.distance).symbol)] += 1;
        rest = &behind[found.length.into()..];
    }
    rest.iter().for_each(|literal| symbols[usize::from(*literal)] += 1);
    symbols[END] += 1;
    (symbols, distances)
}

#[inline]
fn write_code(code: Code, out: &mut Bits<'_>) {
    out.push(code.bits.into(), code.length.into());
}

#[inline]
fn write_symbol(code: Code, symbol: Symbol, out: &mut Bits<'_>) {
    let (bits, count) = joined(code, symbol);
    out.push(bits, count);
}

/// The code of a symbol and the bits behind it, and their number.
#[inline]
fn joined(code: Code, symbol: Symbol) -> (u32, u32) {
    let bits = u32::from(code.bits) | u32::from(symbol.bits) << code.length;
    (bits, u32::from(code.length) + u32::from(symbol.count))
}

/// The order in which the lengths of the codes for lengths are written: the rarest last, as zeros at the end are left out.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The lengths of all codes, from which a decoder knows the codes, as bits and their number. They have codes themselves.
fn lengths(symbols: &[Code; SYMBOLS], distances: &[Code; DISTANCES]) -> Vec<(u32, u32)> {
    let mut lengths = [0; SYMBOLS + DISTANCES];
    let all = symbols.iter().chain(distances);
    lengths.iter_mut().zip(all).for_each(|(length, code)| *length = code.length);
    let mut runs = [Symbol { symbol: 0, bits: 0, count: 0 }; SYMBOLS + DISTANCES];
    let runs = to_runs(&lengths, &mut runs);
    let mut counts = [0; 19];
    runs.iter().for_each(|run| counts[usize::from(run.symbol)] += 1);
    let codes = codes(&counts, 7);
    let of_codes = ORDER.iter().rposition(|symbol| codes[*symbol].length > 0).map_or(0, |last| last + 1).max(4);
    let numbers = [((SYMBOLS - 257) as u32, 5), ((DISTANCES - 1) as u32, 5), ((of_codes - 4) as u32, 4)];
    let of_lengths = ORDER[..of_codes].iter().map(|symbol| (codes[*symbol].length.into(), 3));
    numbers
        .into_iter()
        .chain(of_lengths)
        .chain(runs.iter().map(|run| joined(codes[usize::from(run.symbol)], *run)))
        .collect()
}

/// Lengths as symbols: a length, or how often the last one is repeated.
fn to_runs<'a>(mut lengths: &[u8], runs: &'a mut [Symbol]) -> &'a [Symbol] {
    let (mut used, mut last) = (0, None);
    while let [length, ..] = *lengths {
        let run = lengths.iter().take_while(|other| **other == length).count();
        let (symbol, first, count, taken) = match run {
            3.. if last == Some(length) => (16, 3, 2, run.min(6)),
            _ => (length.into(), 1, 0, 1),
        };
        runs[used] = Symbol { symbol, bits: (taken - first) as u16, count };
        used += 1;
        last = Some(length);
        lengths = &lengths[taken..];
    }
    &runs[..used]
}
