//! Content encodings.

use std::io::{self, Read, Write};

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use crate::support::{names, post_envelope, start, transaction};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    encoder.write_all(bytes).expect("memory");
    encoder.into_inner()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

type Encode = fn(&[u8]) -> Vec<u8>;

const ENCODINGS: [(&str, Encode); 5] =
    [("gzip", gzip), ("GZIP", gzip), ("deflate", deflate), ("br", brotli), ("zstd", zstd)];

#[test]
fn a_body_in_any_of_sentrys_encodings_is_decompressed() {
    let ingest = start();
    for (name, encode) in ENCODINGS {
        let body = encode(&transaction(name));
        let header = format!("Content-Encoding: {name}");
        let response = post_envelope(&ingest, &[&header], &body);
        assert_eq!(response.status, 200, "{name}");
        let requests = ingest.requests();
        let request = requests.last().expect("it was recorded");
        assert_eq!(request.body_size(), body.len(), "{name}");
        assert_eq!(request.header("content-encoding"), Some(name));
    }
    assert_eq!(names(&ingest), ENCODINGS.map(|(name, _)| name));
}

#[test]
fn a_body_that_does_not_decompress_is_refused() {
    let ingest = start();
    for (name, encode) in ENCODINGS {
        let header = format!("Content-Encoding: {name}");
        let good = encode(&transaction(name));
        let cut = good[..good.len() - 1].to_vec();
        let longer = [good.as_slice(), b"more"].concat();
        let much_longer = [good.as_slice(), &[b'x'; 9000]].concat();
        let cases = [("cut", cut), ("longer", longer), ("much longer", much_longer), ("plain", transaction(name))];
        for (what, body) in cases {
            let response = post_envelope(&ingest, &[&header], &body);
            assert_eq!(response.status, 400, "{name}, {what}");
            assert_eq!(response.json()["detail"], "body does not decompress", "{name}, {what}");
        }
    }
    assert_eq!(ingest.envelopes(), []);
}

#[test]
fn an_unknown_encoding_is_refused() {
    let ingest = start();
    for name in ["compress", "gzip, br", "snappy"] {
        let header = format!("Content-Encoding: {name}");
        assert_eq!(post_envelope(&ingest, &[&header], b"{}").status, 415, "{name}");
    }
}

#[test]
fn a_small_body_that_decompresses_beyond_the_limit_is_refused() {
    let ingest = start();
    let blanks = io::repeat(b' ').take(200 * 1024 * 1024);
    let body = zstd::encode_all(b"{}".chain(blanks), 1).expect("memory");
    assert!(body.len() < 1024 * 1024, "{}", body.len());
    let response = post_envelope(&ingest, &["Content-Encoding: zstd"], &body);
    assert_eq!(response.status, 413);
    assert_eq!(response.json()["detail"], "envelope too large");
}
