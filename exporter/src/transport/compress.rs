//! Bodies as they go over the wire: compressed, where that pays.

use flate2::{Compress, Compression, FlushCompress, Status};
use opentelemetry_http::Bytes;

/// Bodies of more bytes are compressed.
const COMPRESS_ABOVE: usize = 1024;

/// A window of 32 KiB, the largest.
const WINDOW_BITS: u8 = 15;

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// gzip, which every Sentry takes.
    #[default]
    Gzip,
    /// Zstandard, which is faster and smaller. Where a server refuses it, gzip is used from then on.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// Compresses one body after the other, with a state that is kept.
#[derive(Debug)]
pub(super) struct Compressor {
    encoding: Encoding,
    gzip: Compress,
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// The `Content-Encoding`, if it is compressed.
    pub(super) encoding: Option<&'static str>,
}

impl Compressor {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, gzip: Compress::new_gzip(Compression::fast(), WINDOW_BITS) }
    }

    /// The server does not take what gzip is not.
    pub(super) const fn fall_back(&mut self) {
        self.encoding = Encoding::Gzip;
    }

    pub(super) fn body(&mut self, plain: Vec<u8>) -> Body {
        if plain.len() <= COMPRESS_ABOVE {
            return Body { bytes: plain.into(), encoding: None };
        }
        let (compressed, encoding) = match self.encoding {
            Encoding::Gzip => (self.gzip(&plain), "gzip"),
            #[cfg(feature = "zstd")]
            Encoding::Zstd => (zstd::bulk::compress(&plain, 1).ok(), "zstd"),
        };
        match compressed {
            Some(bytes) => Body { bytes: bytes.into(), encoding: Some(encoding) },
            None => Body { bytes: plain.into(), encoding: None },
        }
    }

    /// A body for whoever takes it as it is.
    pub(super) fn plain(&self, plain: Vec<u8>) -> Body {
        Body { bytes: plain.into(), encoding: None }
    }

    fn gzip(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        self.gzip.reset();
        let mut compressed = Vec::with_capacity(plain.len() / 4 + 128);
        loop {
            let read = usize::try_from(self.gzip.total_in()).ok()?;
            let rest = plain.get(read..)?;
            match self.gzip.compress_vec(rest, &mut compressed, FlushCompress::Finish).ok()? {
                Status::StreamEnd => return Some(compressed),
                Status::Ok | Status::BufError => compressed.reserve(compressed.capacity()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn one_body_after_the_other_can_be_read_again() {
        let mut compressor = Compressor::new(Encoding::Gzip);
        // The second one grows, as nothing in it repeats.
        let noise = (0..100_000_u64).map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        for plain in [vec![b'x'; 2000], noise, vec![b'y'; 1025]] {
            let body = compressor.body(plain.clone());
            assert_eq!(body.encoding, Some("gzip"));
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&*body.bytes).read_to_end(&mut read).unwrap();
            assert!(read == plain);
        }
        assert_eq!(compressor.body(vec![b'x'; 1024]).encoding, None);
    }
}
