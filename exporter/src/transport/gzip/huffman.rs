//! Short codes for frequent symbols.

/// The code of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code {
    /// In the order in which they are written.
    pub(super) bits: u16,
    /// 0 for a symbol that does not occur.
    pub(super) length: u8,
}

/// The codes of symbols that occur this often, at most 65,536 times together. A code has at most `longest` bits.
pub(super) fn codes<const N: usize>(counts: &[u32; N], longest: u32) -> [Code; N] {
    // Sorted by count: both in one number.
    let mut symbols = [0; N];
    let mut used = 0;
    for (symbol, count) in counts.iter().enumerate() {
        if *count > 0 {
            symbols[used] = *count << 9 | symbol as u32;
            used += 1;
        }
    }
    // Some decoders expect at least two codes.
    for (symbol, count) in counts.iter().enumerate().take(2) {
        if used < 2 && *count == 0 {
            symbols[used] = 1 << 9 | symbol as u32;
            used += 1;
        }
    }
    let symbols = &mut symbols[..used];
    symbols.sort_unstable();
    let mut lengths = [0; N];
    let lengths = &mut lengths[..used];
    // Flatter counts give shorter codes. Rarely more than one round is needed.
    for round in 0.. {
        for (length, symbol) in lengths.iter_mut().zip(&*symbols) {
            *length = (*symbol >> 9 >> round).max(1);
        }
        counts_to_lengths(lengths);
        if lengths[0] <= longest {
            break;
        }
    }
    let mut codes = [Code::default(); N];
    for (length, symbol) in lengths.iter().zip(symbols) {
        codes[(*symbol & 511) as usize].length = *length as u8;
    }
    number(&mut codes, lengths);
    codes
}

/// Replaces at least two counts, the smallest first, by the lengths of the best codes. It is
/// the algorithm of Moffat and Katajainen, which needs no other memory.
fn counts_to_lengths(nodes: &mut [u32]) {
    let last = nodes.len() - 1;
    // Joins the two smallest nodes, leaves or inner ones, until one is left. The place of a leaf that was joined takes an
    // inner node, and the place of an inner node the number of its parent.
    let (mut leaf, mut inner) = (0, 0);
    for next in 0..last {
        let mut sum = 0;
        for _ in 0..2 {
            if leaf > last || (inner < next && nodes[inner] < nodes[leaf]) {
                sum += std::mem::replace(&mut nodes[inner], next as u32);
                inner += 1;
            } else {
                sum += nodes[leaf];
                leaf += 1;
            }
        }
        nodes[next] = sum;
    }
    // From the root down: the depths of the inner nodes.
    nodes[last - 1] = 0;
    for node in (0..last - 1).rev() {
        nodes[node] = nodes[nodes[node] as usize] + 1;
    }
    // What is free at a depth and has no inner node is a leaf.
    let (mut inner, mut leaf, mut free, mut depth) = (last, last + 1, 1, 0);
    while free > 0 {
        let inner_here = nodes[..inner].iter().rev().take_while(|node| **node == depth).count();
        inner -= inner_here;
        let leaves = free - inner_here;
        nodes[leaf - leaves..leaf].fill(depth);
        leaf -= leaves;
        free = 2 * inner_here;
        depth += 1;
    }
}

/// Numbers the codes with these lengths: shorter ones first, and those of the same length by symbol.
fn number(codes: &mut [Code], lengths: &[u32]) {
    // The first code of each length follows the last one of the next shorter length.
    let mut next = [0_u16; 17];
    lengths.iter().for_each(|length| next[*length as usize + 1] += 1);
    for length in 1..16 {
        next[length] = (next[length] + next[length - 1]) << 1;
    }
    for code in codes.iter_mut().filter(|code| code.length > 0) {
        let number = &mut next[usize::from(code.length)];
        code.bits = number.reverse_bits() >> (16 - code.length);
        *number += 1;
    }
}
