//! Zstandard, for servers that accept it.

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sentry::{
    Sentry,
    exporter::{Encoding, testing::Answer},
};

use crate::support::{PATIENCE, sentry_to_ingest};

fn end_large_spans(sentry: &Sentry, count: usize) {
    let tracer = sentry.tracer_provider().tracer("test");
    for _ in 0..count {
        drop(tracer.build(tracer.span_builder("x".repeat(4000))));
    }
}

#[test]
fn bodies_are_sent_compressed_with_zstandard() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_encoding(Encoding::Zstd)).build().unwrap();
    end_large_spans(&sentry, 2);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!(ingest.transactions().len(), 2);
    for request in ingest.requests() {
        assert_eq!(request.header("content-encoding"), Some("zstd"));
        assert!(request.body_size() < 2000);
    }
}

#[test]
fn a_server_that_rejects_zstandard_gets_gzip_from_then_on_and_nothing_is_lost() {
    for status in [400, 415] {
        let (ingest, builder) = sentry_to_ingest();
        let sentry = builder.with_exporter(|exporter| exporter.with_encoding(Encoding::Zstd)).build().unwrap();
        ingest.answer_next([Answer::status(status)]);
        end_large_spans(&sentry, 1);
        assert_eq!(sentry.flush(PATIENCE), Ok(()), "{status}");
        end_large_spans(&sentry, 5);
        assert_eq!(sentry.flush(PATIENCE), Ok(()), "{status}");
        let encodings: Vec<_> =
            ingest.requests().iter().map(|request| request.header("content-encoding").map(str::to_owned)).collect();
        let expected: Vec<_> =
            ["zstd"].into_iter().chain(["gzip"; 6]).map(|encoding| Some(encoding.to_owned())).collect();
        assert_eq!(encodings, expected, "{status}");
        assert_eq!(ingest.transactions().len(), 6);
    }
}

#[test]
fn an_envelope_that_is_rejected_with_gzip_too_is_lost() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_encoding(Encoding::Zstd)).build().unwrap();
    ingest.answer_next([Answer::status(400), Answer::status(400)]);
    end_large_spans(&sentry, 1);
    assert!(sentry.flush(PATIENCE).is_err());
    assert_eq!(ingest.requests().len(), 2);
}
