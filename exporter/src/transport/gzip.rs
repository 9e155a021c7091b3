//! gzip, made for JSON that repeats itself: a small body must not pay for tables that are cleared or for a long search.
//!
//! | file | contains |
//! | --- | --- |
//! | `matches` | finds what occurred before |
//! | `huffman` | short codes for frequent symbols |
//! | `block` | keeps these codes, and writes literals and matches in them |
//! | `bits` | writes bits |
//!
//! The format is RFC 1952, the compression RFC 1951.

mod bits;
mod block;
mod huffman;
mod matches;

use self::{
    bits::Bits,
    block::Codes,
    matches::{Finder, Match},
};

/// Of the compression, which is deflate. There are no flags and no time; the level is the fastest; the system is unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// The most bytes with the same codes. A number of literals must fit into 16 bits.
const BLOCK: usize = 64 << 10;

/// Compresses bodies, one after the other. It keeps its tables, about 130 kB.
#[derive(Debug)]
pub(super) struct Gzip {
    finder: Finder,
    /// Those of the last block, for the next one.
    codes: Codes,
    /// The matches of one block. It is a field so that its memory is reused.
    matches: Vec<Match>,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { finder: Finder::new(), codes: Codes::default(), matches: Vec::new() }
    }

    /// Compresses a body behind what `out` contains.
    pub(super) fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let mut bits = Bits::behind(out);
        bits.bytes(&HEADER);
        let mut start = 0;
        // An empty body is one empty block.
        while start < plain.len() || start == 0 {
            let end = plain.len().min(start + BLOCK);
            self.matches.clear();
            self.finder.find(&plain[..end], start, &mut self.matches);
            bits = block::write(&plain[start..end], &self.matches, end == plain.len(), &mut self.codes, bits);
            start = end.max(1);
        }
        bits.align();
        bits.bytes(&crc32fast::hash(plain).to_le_bytes());
        bits.bytes(&(plain.len() as u32).to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
