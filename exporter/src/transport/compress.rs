//! The bodies of requests, compressed if that makes them smaller.

use flate2::{Compress, Compression, FlushCompress, Status};
use opentelemetry_http::Bytes;

/// Larger bodies are compressed. A smaller one fits into one packet anyway.
const COMPRESS_ABOVE: usize = 1024;

/// A window of 32 KiB, the largest.
const WINDOW_BITS: u8 = 15;

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// gzip, which every Sentry accepts.
    #[default]
    Gzip,
    /// Zstandard, which is faster and smaller. If the server rejects it, the exporter uses gzip from then on.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// Compresses bodies.
#[derive(Debug)]
pub(super) struct Compressor {
    encoding: Encoding,
    /// It is reused for all bodies, because its state takes more than 200 KB.
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

    /// The server rejected zstd: uses gzip from now on.
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

    /// A body that is not compressed, for Spotlight and for tiny envelopes.
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
        // The second one does not repeat itself, so gzip makes it larger.
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
