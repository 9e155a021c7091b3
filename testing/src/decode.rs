//! Decompresses the body of a request.

use std::io::{self, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use hyper::StatusCode;
use opentelemetry_http::Bytes;

use crate::refusal::Refusal;

/// Sentry's limit for an envelope, compressed or not, in bytes. Bytes beyond it are neither kept nor decompressed.
pub(super) const MAX_ENVELOPE: usize = 200 * 1024 * 1024;

/// Decodes a `Content-Encoding`: `gzip`, `deflate` (with zlib's frame), `br`, `zstd`, `identity` or none.
pub(super) fn decode(encoding: &str, body: &Bytes) -> Result<Bytes, Refusal> {
    let mut rest: &[u8] = body;
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => limited(body.clone()),
        "gzip" => unpack(MultiGzDecoder::new(rest)),
        "deflate" => {
            let unpacked = unpack(ZlibDecoder::new(&mut rest))?;
            finished(rest)?;
            Ok(unpacked)
        }
        "br" => {
            let mut decoder = brotli::Decompressor::new(&mut rest, BROTLI_BUFFER);
            let unpacked = unpack(&mut decoder)?;
            // Only a further read fails for bytes that it has buffered beyond the end of the stream.
            decoder.read(&mut [0]).map_err(|e| corrupt(&e))?;
            drop(decoder);
            finished(rest)?;
            Ok(unpacked)
        }
        "zstd" => unpack(zstd::Decoder::with_buffer(rest).map_err(|e| corrupt(&e))?),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unknown content encoding",
            format!("expected gzip, deflate, br or zstd, found {encoding:?}"),
        )),
    }
}

fn unpack(decoder: impl Read) -> Result<Bytes, Refusal> {
    let mut unpacked = Vec::new();
    // Reads one byte beyond the limit, so that `limited` can see that there is more.
    decoder.take(MAX_ENVELOPE as u64 + 1).read_to_end(&mut unpacked).map_err(|e| corrupt(&e))?;
    limited(Bytes::from(unpacked))
}

fn limited(body: Bytes) -> Result<Bytes, Refusal> {
    if body.len() > MAX_ENVELOPE {
        return Err(too_large());
    }
    Ok(body)
}

fn finished(rest: &[u8]) -> Result<(), Refusal> {
    if rest.is_empty() {
        return Ok(());
    }
    let reason = format!("{} bytes after the end of the stream", rest.len());
    Err(corrupt(&io::Error::other(reason)))
}

fn corrupt(error: &io::Error) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "body does not decompress", error.to_string())
}

/// The refusal of a body beyond [`MAX_ENVELOPE`].
pub(super) fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "envelope too large", format!("expected at most {MAX_ENVELOPE} bytes"))
}

/// Brotli reads its input in pieces of this many bytes.
const BROTLI_BUFFER: usize = 4096;
