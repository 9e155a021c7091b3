//! Writes bits, the lowest first.

/// Bytes to which bits are added.
pub(super) struct Bits<'a> {
    out: &'a mut Vec<u8>,
    /// The bits behind `out`.
    bits: u64,
    /// Their number, less than 32.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) const fn behind(out: &'a mut Vec<u8>) -> Self {
        Self { out, bits: 0, count: 0 }
    }

    /// Writes up to 32 bits. All higher ones must be 0.
    #[inline]
    pub(super) fn push(&mut self, bits: u32, count: u32) {
        self.bits |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.bits as u32).to_le_bytes());
            self.bits >>= 32;
            self.count -= 32;
        }
    }

    /// Fills the last byte with zeros.
    pub(super) fn align(&mut self) {
        let whole = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.bits.to_le_bytes()[..whole]);
        (self.bits, self.count) = (0, 0);
    }

    /// Writes bytes. The last byte must be [aligned](Self::align).
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}
