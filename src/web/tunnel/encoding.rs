//! Reads the first line of a compressed envelope. The envelope itself is forwarded as it came.

use std::io::Read;

use brotli_decompressor::Decompressor;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};
use ruzstd::decoding::StreamingDecoder;

/// The most memory that a zstd stream may ask for, as RFC 8878 recommends (section 3.1.1.1.2).
const MAX_WINDOW: u64 = 8 << 20;

/// How an envelope is compressed: the encodings that Sentry accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Deflate,
    Gzip,
    Identity,
    Zstd,
}

impl Encoding {
    /// The encoding that the headers name; `None` if it is another, or if there are several.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Some(Self::Identity) };
        if values.next().is_some() {
            return None;
        }
        let value = value.to_str().ok()?.trim();
        NAMES.into_iter().find(|(name, _)| value.eq_ignore_ascii_case(name)).map(|(_, encoding)| encoding)
    }

    /// Its name in the header of the request to Sentry; `None` if that needs no such header.
    pub(super) fn name(self) -> Option<HeaderValue> {
        let name = NAMES.into_iter().find(|(_, encoding)| *encoding == self && self != Self::Identity);
        name.map(|(name, _)| HeaderValue::from_static(name))
    }

    /// Decompresses the beginning of a body, up to the end of its first line and to `max` bytes. The line may be
    /// incomplete, as the body may be.
    pub(super) fn first_line(self, body: &[u8], max: usize) -> Line {
        match self {
            Self::Brotli => line(Decompressor::new(body, 4096), max),
            Self::Deflate => line(ZlibDecoder::new(body), max),
            Self::Gzip => line(MultiGzDecoder::new(body), max),
            Self::Identity => line(body, max),
            Self::Zstd if window(body).is_none_or(|window| window > MAX_WINDOW) => Line::Incomplete,
            Self::Zstd => StreamingDecoder::new(body).map_or(Line::Incomplete, |decoder| line(decoder, max)),
        }
    }
}

/// The names of the encodings. The first one of each is sent.
const NAMES: [(&str, Encoding); 7] = [
    ("br", Encoding::Brotli),
    ("deflate", Encoding::Deflate),
    ("gzip", Encoding::Gzip),
    ("x-gzip", Encoding::Gzip),
    ("identity", Encoding::Identity),
    ("", Encoding::Identity),
    ("zstd", Encoding::Zstd),
];

/// What is known of the first line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Complete(Vec<u8>),
    /// The body ended or does not decompress before the line ends.
    Incomplete,
    TooLong,
}

fn line(mut from: impl Read, max: usize) -> Line {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = match from.read(&mut chunk) {
            // All of the envelope is this line.
            Ok(0) => return Line::Complete(bytes),
            Ok(read) => chunk.get(..read).unwrap_or_default(),
            Err(_) => return Line::Incomplete,
        };
        let part = read.split(|byte| *byte == b'\n').next().unwrap_or_default();
        bytes.extend_from_slice(part);
        if bytes.len() > max {
            return Line::TooLong;
        }
        if part.len() < read.len() {
            return Line::Complete(bytes);
        }
    }
}

/// The memory that a zstd frame asks for (RFC 8878, section 3.1.1.1). The decoder allocates it at once.
fn window(frame: &[u8]) -> Option<u64> {
    let (magic, rest) = frame.split_first_chunk::<4>()?;
    let (descriptor, rest) = rest.split_first()?;
    if *magic != [0x28, 0xb5, 0x2f, 0xfd] {
        return None;
    }
    if descriptor & 0x20 == 0 {
        let (exponent, mantissa) = rest.first().map(|byte| (byte >> 3, byte & 7))?;
        let base = 1_u64 << (10 + u32::from(exponent));
        return Some(base + base / 8 * u64::from(mantissa));
    }
    // A single segment: the window is the content, whose size follows the dictionary's id.
    let rest = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
    match descriptor >> 6 {
        0 => rest.first().map(|size| u64::from(*size)),
        1 => rest.first_chunk().map(|size| u64::from(u16::from_le_bytes(*size)) + 256),
        2 => rest.first_chunk().map(|size| u64::from(u32::from_le_bytes(*size))),
        _ => rest.first_chunk().map(|size| u64::from_le_bytes(*size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zstd_frame_that_asks_for_much_memory_is_not_decompressed() {
        let frame = |rest: &[u8]| [&[0x28, 0xb5, 0x2f, 0xfd], rest].concat();
        for (rest, expected) in [
            (&[0x00, 0x58][..], Some(2 << 20)),
            (&[0x00, 0x6b], Some((8 << 20) / 8 * 11)),
            (&[0x00, 0xff], Some((1 << 41) + (1 << 38) * 7)),
            (&[0x20, 0x07], Some(7)),
            (&[0x60, 0x00, 0x01], Some(512)),
            (&[0xa0, 0, 0, 0, 1], Some(1 << 24)),
            (&[0xe1, 9, 0, 0, 0, 0, 1, 0, 0, 0], Some(1 << 32)),
            (&[0xa0, 0, 0], None),
            (&[], None),
        ] {
            assert_eq!(window(&frame(rest)), expected, "{rest:?}");
        }
        assert_eq!(Encoding::Zstd.first_line(&frame(&[0x00, 0xff, 1, 0, 0]), 100), Line::Incomplete);
        assert_eq!(window(b"no frame"), None);
    }

    #[test]
    fn the_first_line_is_read_from_every_part_of_a_body_that_has_it() {
        let envelope = [b"{\"dsn\":\"x\"}\n".as_slice(), &[b'y'; 5000]].concat();
        for (encoding, body) in compressed(&envelope) {
            let mut found = 0;
            for end in 0..=body.len() {
                match encoding.first_line(&body[..end], 100) {
                    Line::Complete(line) if line == b"{\"dsn\":\"x\"}" => found += 1,
                    Line::Incomplete => assert_eq!(found, 0, "{encoding:?} {end}"),
                    // An identity body can end anywhere.
                    other => assert!(encoding == Encoding::Identity && end < 12, "{encoding:?} {end} {other:?}"),
                }
            }
            assert!(found > 0, "{encoding:?}");
            assert_eq!(encoding.first_line(&body, 5), Line::TooLong, "{encoding:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_damage_panics(
            which in 0..5_usize,
            text in proptest::collection::vec(0_u8..4, 0..3000),
            damage in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 0..6),
        ) {
            let (encoding, mut body) = compressed(&text).swap_remove(which);
            for (place, byte) in damage {
                if !body.is_empty() {
                    let place = place.index(body.len());
                    body[place] = byte;
                }
            }
            encoding.first_line(&body, 1000);
        }
    }

    /// The text in each encoding.
    fn compressed(text: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).unwrap();
        deflate.write_all(text).unwrap();
        let mut brotli = Vec::new();
        brotli::CompressorReader::new(text, 4096, 5, 20).read_to_end(&mut brotli).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest);
        vec![
            (Encoding::Identity, text.to_vec()),
            (Encoding::Gzip, gzip.finish().unwrap()),
            (Encoding::Deflate, deflate.finish().unwrap()),
            (Encoding::Zstd, zstd),
            (Encoding::Brotli, brotli),
        ]
    }
}
