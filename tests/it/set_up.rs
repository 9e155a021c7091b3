//! Settings that are refused, and the errors' texts.

use std::{collections::BTreeMap, error::Error, time::Duration};

use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry_sentry::{
    FlushError, Sentry, SentryExporter, SentryPropagator, SentrySampler, SentrySpanProcessor, SetupError,
    exporter::DropReason,
};

use crate::support::{PATIENCE, assert_gave_up, dropped, run_alone, sentry_at};

#[test]
fn an_error_names_the_setting_the_value_and_what_was_expected() {
    let dsn = |dsn: &str| Sentry::builder().with_dsn(dsn).build().unwrap_err().to_string();
    assert_eq!(
        dsn("https://public:secret@sentry.io/abc"),
        "with_dsn: the project id at the end of a DSN must be a number, found \"https://public:***@sentry.io/abc\""
    );
    for typo in [
        "public:secret@sentry.io/1",
        "https://public:secret/1",
        "https://h/1@public:secret",
        "https://public%3Asecret@h/1",
        "https://public;secret@h/1",
        "https://public:secret@h/x",
    ] {
        assert!(!dsn(typo).contains("secret"), "{}", dsn(typo));
    }
    let rate = |rate| Sentry::builder().with_traces_sample_rate(rate).build().unwrap_err().to_string();
    assert_eq!(rate(1.5), "with_traces_sample_rate: a sample rate must be a number from 0 to 1, found 1.5");
    assert_eq!(rate(f64::NAN), "with_traces_sample_rate: a sample rate must be a number from 0 to 1, found NaN");
}

#[test]
fn tls_works_by_default() {
    let sentry = sentry_at("https://public@localhost:1/1").build().unwrap();
    drop(sentry.tracer_provider().tracer("test").start("work"));
    // No server listens there. Without TLS the build would have failed.
    let processor = sentry.span_processor().clone();
    let timeout = Duration::from_secs(2);
    let reason = assert_gave_up(sentry.shutdown(timeout), 1, timeout, DropReason::NetworkError);
    assert_eq!(dropped(&processor.stats()), BTreeMap::from([(reason, 1)]));
}

#[test]
fn a_spotlight_must_be_an_absolute_http_url() {
    let build = |url: &str| Sentry::builder().with_dsn("").with_spotlight(url).build();
    for url in ["zzz", "true", "ftp://x/", "http://", "/stream", "not a url"] {
        let error = build(url).unwrap_err().to_string();
        assert_eq!(error, format!("with_spotlight: it must be an absolute http URL, found {url:?}"));
    }
    for url in ["http://127.0.0.1:8969/stream", "http://[::1]:1"] {
        drop(build(url).unwrap());
    }
}

#[test]
fn debug_output_does_not_show_the_secret() {
    let sentry = Sentry::builder().with_dsn("http://public:secret@127.0.0.1:1/1").build().unwrap();
    assert!(!format!("{sentry:?}").contains("secret@"));
    assert!(!format!("{sentry:?}").contains("sentry_secret"));
    assert!(format!("{sentry:?}").len() < 10_000, "it may end up in a log");
    let builder = format!("{:?}", Sentry::builder().with_dsn("http://public:secret@127.0.0.1:1/1"));
    assert!(!builder.contains("secret@"), "{builder}");
}

#[test]
fn without_a_dsn_spans_are_recorded_and_nothing_is_sent() {
    let sentry = sentry_at("").build().unwrap();
    let span = sentry.tracer_provider().tracer("test").start("work");
    assert!(span.span_context().is_sampled());
    drop(span);
    assert_eq!(sentry.stats().spans_received, 0);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!(sentry.shutdown(PATIENCE), Ok(()));
}

#[test]
fn a_second_install_is_an_error() {
    run_alone("set_up::alone_a_second_install", &[]);
}

#[test]
#[ignore = "sets the globals; the test before runs it in a process of its own"]
fn alone_a_second_install() {
    let first = Sentry::builder().with_dsn("").install().unwrap();
    let second = Sentry::builder().with_dsn("").install().unwrap_err();
    assert_eq!(second.to_string(), "install: Sentry is installed in this process already");
    assert!(second.source().is_none());
    assert_eq!(format!("{second:?}"), second.to_string(), "a main that returns it prints the Debug output");
    drop(first);
}

#[test]
fn the_public_types_can_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Sentry>();
    crosses::<SentryPropagator>();
    crosses::<SentrySampler>();
    crosses::<SentryExporter>();
    crosses::<SentrySpanProcessor>();
    crosses::<SetupError>();
    crosses::<FlushError>();
}
