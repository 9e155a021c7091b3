//! Envelopes that go through a tunnel.

use std::io::Read as _;

use http::{HeaderMap, StatusCode};
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_http::{Bytes, Request};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sentry_exporter::{
    Delivery, Encoding, SentryExporter, SentryExporterBuilder, SentrySpanProcessor, Take, TraceLifecycle,
};
use serde_json::Value;

const DSN: &str = "https://public:secret@sentry.example.com:8443/relay/1";
const NAMED: &str = "https://public@sentry.example.com:8443/relay/1";
const TUNNEL: &str = "http://localhost:9000/envelope?from=us";

fn driven(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> (SdkTracerProvider, Delivery) {
    let builder = SentryExporter::builder().with_dsn(DSN).with_tunnel(TUNNEL);
    let (exporter, delivery) = set_up(builder).build_driven().expect("a valid setup");
    let processor = SentrySpanProcessor::from(exporter);
    (SdkTracerProvider::builder().with_span_processor(processor).build(), delivery)
}

/// Ends a span with a name that makes its envelope longer than 1 KiB, from which on bodies are compressed.
fn end_span(provider: &SdkTracerProvider) {
    provider.tracer("test").in_span("a name ".repeat(400), |_| {});
}

/// The requests that are sent now; all are answered with this status and these headers.
fn sent(delivery: &Delivery, status: StatusCode, headers: &HeaderMap) -> Vec<Request<Bytes>> {
    let answered = delivery.take(Take::Everything).into_iter().map(|mut outgoing| {
        let request = outgoing.take_request();
        outgoing.answered(status, headers);
        request
    });
    answered.collect()
}

/// The first line of a body.
fn header_of(request: &Request<Bytes>) -> Value {
    let mut text = String::new();
    match request.headers().get("content-encoding") {
        Some(_) => flate2::read::GzDecoder::new(&request.body()[..]).read_to_string(&mut text).expect("gzip"),
        None => (&request.body()[..]).read_to_string(&mut text).expect("text"),
    };
    serde_json::from_str(text.lines().next().expect("a line")).expect("JSON")
}

#[test]
fn every_envelope_goes_to_the_tunnel_and_names_the_dsn_without_its_secret() {
    for lifecycle in [TraceLifecycle::Transactions, TraceLifecycle::Stream] {
        let (provider, delivery) = driven(|builder| builder.with_lifecycle(lifecycle));
        end_span(&provider);
        let limit = "3600:transaction;span:organization".parse().unwrap();
        let limits = HeaderMap::from_iter([("x-sentry-rate-limits".parse().unwrap(), limit)]);
        let first = sent(&delivery, StatusCode::TOO_MANY_REQUESTS, &limits);
        // The tunnel's answer holds: what comes now is not sent, and a report about both leaves.
        end_span(&provider);
        let report = sent(&delivery, StatusCode::OK, &HeaderMap::new());
        assert_eq!((first.len(), report.len()), (1, 1), "{lifecycle:?}");
        assert!(std::str::from_utf8(report[0].body()).unwrap().contains("ratelimit_backoff"));
        for request in first.iter().chain(&report) {
            assert_eq!((request.method().as_str(), request.uri()), ("POST", &TUNNEL.parse().unwrap()));
            assert_eq!(header_of(request)["dsn"], NAMED);
            let mut names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["content-type", "user-agent"], "no authentication, and nothing is compressed");
        }
        assert_eq!((delivery.stats().spans_lost(), delivery.stats().spans_pending), (2, 0));
    }
}

#[test]
fn without_a_tunnel_no_envelope_names_the_dsn() {
    for tunnel in ["", " "] {
        let (provider, delivery) = driven(|builder| builder.with_tunnel(tunnel));
        end_span(&provider);
        let sent = sent(&delivery, StatusCode::OK, &HeaderMap::new());
        assert_eq!(sent[0].uri().host(), Some("sentry.example.com"));
        assert!(sent[0].headers().contains_key("x-sentry-auth"));
        assert_eq!(header_of(&sent[0]).get("dsn"), None);
    }
}

#[test]
fn what_is_asked_for_is_compressed() {
    let (provider, delivery) = driven(|builder| builder.with_encoding(Encoding::Gzip));
    end_span(&provider);
    let sent = sent(&delivery, StatusCode::OK, &HeaderMap::new());
    assert_eq!(sent[0].headers()["content-encoding"], "gzip");
    assert_eq!(header_of(&sent[0])["dsn"], NAMED);
}

#[test]
fn a_page_sends_simple_requests_without_the_key_in_the_url() {
    let (provider, delivery) = driven(|builder| builder.with_simple_requests(true));
    end_span(&provider);
    let sent = sent(&delivery, StatusCode::OK, &HeaderMap::new());
    assert_eq!(sent[0].uri(), TUNNEL);
    let headers: Vec<_> = sent[0].headers().iter().collect();
    assert_eq!(headers, [(&http::header::CONTENT_TYPE, &"text/plain;charset=UTF-8".parse().unwrap())]);
    assert_eq!(header_of(&sent[0])["dsn"], NAMED);
}

#[test]
fn a_tunnel_is_an_absolute_url() {
    for (url, shown) in [
        ("/tunnel", "\"/tunnel\""),
        ("localhost:9000", "\"localhost:9000\""),
        ("ftp://localhost/", "\"ftp://localhost/\""),
        ("http:///envelope", "\"http:///envelope\""),
        ("http://a b/", "\"http://a b/\""),
        ("ws://user:password@host/", "\"***\""),
        ("/tunnel?key=secret", "\"***\""),
    ] {
        // It is checked even if it is not used.
        for dsn in [DSN, ""] {
            let error = SentryExporter::builder().with_dsn(dsn).with_tunnel(url).build_driven().unwrap_err();
            let expected =
                format!("with_tunnel, SENTRY_TUNNEL: it must be an absolute http or https URL, found {shown}");
            assert_eq!(error.to_string(), expected);
        }
    }
    for url in ["http://localhost", "https://[::1]:9000/x?y=z", " HTTP://localhost:1/a "] {
        assert!(SentryExporter::builder().with_dsn(DSN).with_tunnel(url).build_driven().is_ok(), "{url}");
    }
}

#[test]
fn without_a_dsn_a_tunnel_gets_nothing() {
    let (provider, delivery) = driven(|builder| builder.with_dsn(""));
    end_span(&provider);
    assert!(delivery.take(Take::Everything).is_empty());
}
