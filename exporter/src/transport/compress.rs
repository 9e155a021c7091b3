//! The bodies of requests, compressed if that makes them smaller.

use std::{fmt, mem};

use opentelemetry_http::Bytes;

use super::gzip::Gzip;

/// Larger bodies are compressed. A smaller one fits into one packet anyway.
const COMPRESS_ABOVE: usize = 1024;

/// The level of zstd. Higher ones save little on JSON that repeats itself.
#[cfg(feature = "zstd")]
const LEVEL: i32 = 1;

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// gzip, which every Sentry accepts.
    #[default]
    Gzip,
    /// No compression, for a server on this machine and for browsers, which ask the server before they send a compressed
    /// body.
    Identity,
    /// Zstandard, which is faster and smaller. If the server rejects it, the exporter uses gzip from then on.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// Compresses bodies. It keeps the state of both compressors: to set one up takes as long as to compress a small trace.
pub(super) struct Compressor {
    encoding: Encoding,
    gzip: Gzip,
    /// `None` if there was no memory for it.
    #[cfg(feature = "zstd")]
    zstd: Option<zstd::bulk::Compressor<'static>>,
    /// The last body, and its compressed bytes. Both stay here so that their memory is reused.
    plain: Vec<u8>,
    room: Vec<u8>,
}

/// The most bytes that each buffer keeps for the next body. Larger bodies are rare, and take long anyway.
const MAX_KEPT: usize = 256 << 10;

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("encoding", &self.encoding).finish_non_exhaustive()
    }
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
        Self {
            encoding,
            gzip: Gzip::new(),
            #[cfg(feature = "zstd")]
            zstd: zstd::bulk::Compressor::new(LEVEL).ok(),
            plain: Vec::new(),
            room: Vec::new(),
        }
    }

    /// The server rejected zstd: uses gzip from now on.
    pub(super) const fn fall_back(&mut self) {
        self.encoding = Encoding::Gzip;
    }

    /// The body that a function writes.
    pub(super) fn body(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Body {
        let mut plain = mem::take(&mut self.plain);
        write(&mut plain);
        let encoding = self.compress(&plain);
        let body = Body { bytes: Bytes::copy_from_slice(encoding.map_or(&plain, |_| &self.room)), encoding };
        for buffer in [&mut plain, &mut self.room] {
            buffer.clear();
            buffer.shrink_to(MAX_KEPT);
        }
        self.plain = plain;
        body
    }

    /// Compresses a body into the room. `None` if that does not make it smaller.
    fn compress(&mut self, plain: &[u8]) -> Option<&'static str> {
        if plain.len() <= COMPRESS_ABOVE {
            return None;
        }
        let encoding = match self.encoding {
            Encoding::Gzip => {
                self.gzip.compress(plain, &mut self.room);
                "gzip"
            }
            Encoding::Identity => return None,
            #[cfg(feature = "zstd")]
            Encoding::Zstd => {
                // It writes only as far as there is room, and fails for what does not become smaller.
                self.room.reserve(plain.len());
                self.zstd.as_mut()?.compress_to_buffer(plain, &mut self.room).ok()?;
                "zstd"
            }
        };
        Some(encoding).filter(|_| self.room.len() < plain.len())
    }

    /// A body that is not compressed, for Spotlight and for tiny envelopes.
    pub(super) fn plain(&self, plain: Vec<u8>) -> Body {
        Body { bytes: plain.into(), encoding: None }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, iter};

    use super::*;

    /// Bytes that do not repeat themselves.
    fn noise() -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(1);
        iter::repeat_with(|| random.u8(..)).take(100_000).collect()
    }

    #[test]
    fn one_body_after_the_other_can_be_read_again() {
        let mut compressor = Compressor::new(Encoding::Gzip);
        for plain in [vec![b'x'; 2000], [vec![b'z'; 100_000], noise()].concat(), vec![b'y'; 1025]] {
            let body = compressor.body(|body| body.extend_from_slice(&plain));
            assert_eq!(body.encoding, Some("gzip"));
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&*body.bytes).read_to_end(&mut read).unwrap();
            assert!(read == plain);
        }
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn one_body_after_the_other_can_be_read_again_from_zstd() {
        let mut compressor = Compressor::new(Encoding::Zstd);
        for plain in [vec![b'x'; 2000], [vec![b'z'; 100_000], noise()].concat(), vec![b'y'; 1025]] {
            let body = compressor.body(|body| body.extend_from_slice(&plain));
            assert_eq!(body.encoding, Some("zstd"));
            assert!(zstd::bulk::decompress(&body.bytes, plain.len()).unwrap() == plain);
        }
    }

    #[test]
    fn what_compression_makes_larger_is_not_compressed() {
        let mut compressor = Compressor::new(Encoding::Gzip);
        for plain in [noise(), vec![b'x'; 1024]] {
            let body = compressor.body(|body| body.extend_from_slice(&plain));
            assert_eq!(body.encoding, None);
            assert!(body.bytes == plain);
        }
    }
}
