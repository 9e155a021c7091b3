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

/// Writes a block: its codes, then literals and matches.
pub(super) fn write<'a>(plain: &[u8], matches: &[Match], is_last: bool, mut out: Bits<'a>) -> Bits<'a> {
    let (symbols, distances) = counts(plain, matches);
    let (symbols, distances) = (codes(&symbols, LONGEST_CODE), codes(&distances, LONGEST_CODE));
    out.push(u32::from(is_last) | 2 << 1, 3);
    write_lengths(&symbols, &distances, &mut out);
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
    let bits = u32::from(code.bits) | u32::from(symbol.bits) << code.length;
    out.push(bits, u32::from(code.length) + u32::from(symbol.count));
}

/// The order in which the lengths of the codes for lengths are written: the rarest last, as zeros at the end are left out.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Writes the lengths of all codes, from which a decoder knows the codes. They have codes themselves.
fn write_lengths(symbols: &[Code; SYMBOLS], distances: &[Code; DISTANCES], out: &mut Bits<'_>) {
    let used =
        |codes: &[Code], least| codes.iter().rposition(|code| code.length > 0).map_or(0, |last| last + 1).max(least);
    let (of_symbols, of_distances) = (used(symbols, 257), used(distances, 1));
    let mut lengths = [0; SYMBOLS + DISTANCES];
    let all = symbols[..of_symbols].iter().chain(&distances[..of_distances]);
    lengths.iter_mut().zip(all).for_each(|(length, code)| *length = code.length);
    let mut runs = [Symbol { symbol: 0, bits: 0, count: 0 }; SYMBOLS + DISTANCES];
    let runs = to_runs(&lengths[..of_symbols + of_distances], &mut runs);
    let mut counts = [0; 19];
    runs.iter().for_each(|run| counts[usize::from(run.symbol)] += 1);
    let codes = codes(&counts, 7);
    let of_codes = ORDER.iter().rposition(|symbol| codes[*symbol].length > 0).map_or(0, |last| last + 1).max(4);
    out.push((of_symbols - 257) as u32, 5);
    out.push((of_distances - 1) as u32, 5);
    out.push((of_codes - 4) as u32, 4);
    ORDER[..of_codes].iter().for_each(|symbol| out.push(codes[*symbol].length.into(), 3));
    runs.iter().for_each(|run| write_symbol(codes[usize::from(run.symbol)], *run, out));
}

/// Lengths as symbols: a length, or how often the last one or 0 is repeated.
fn to_runs<'a>(mut lengths: &[u8], runs: &'a mut [Symbol]) -> &'a [Symbol] {
    let (mut used, mut last) = (0, None);
    while let [length, ..] = *lengths {
        let run = lengths.iter().take_while(|other| **other == length).count();
        let (symbol, first, count, taken) = match run {
            11.. if length == 0 => (18, 11, 7, run.min(138)),
            3.. if length == 0 => (17, 3, 3, run),
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
