//! Our own spans through a tunnel: exporter, `Tunnel`, ingest.

use axum::Router;
use opentelemetry::{
    KeyValue,
    trace::{SpanKind, Tracer, TracerProvider},
};
use opentelemetry_sdk::Resource;
use opentelemetry_sentry::{
    FlushError, Problem, Sentry, SentryBuilder,
    exporter::{
        DropReason, Encoding,
        testing::{Answer, LocalIngest},
    },
    web::Tunnel,
};

use crate::support::{PATIENCE, serve};

/// Serves a tunnel to an ingest on a free port, and returns its URL.
async fn tunnel_to(ingest: &LocalIngest) -> String {
    let tunnel = Tunnel::builder().with_dsn(ingest.dsn()).build().expect("a tunnel");
    format!("{}/tunnel", serve(Router::new().route_service("/tunnel", tunnel)).await)
}

fn through(tunnel: &str, ingest: &LocalIngest) -> SentryBuilder {
    let builder = Sentry::builder().with_dsn(ingest.dsn()).with_tunnel(tunnel).with_traces_sample_rate(1.0);
    builder.with_resource(Resource::builder_empty().build())
}

fn end_span(sentry: &Sentry, name: &'static str) {
    sentry.tracer_provider().tracer("test").in_span(name, |_| {});
}

/// What waits for the server must not hold the threads on which the tunnel runs.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(f).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_through_our_own_tunnel_compressed_or_not() {
    for encoding in [None, Some(Encoding::Gzip)] {
        let ingest = LocalIngest::start().expect("a free port");
        let builder = through(&tunnel_to(&ingest).await, &ingest);
        let builder = encoding
            .into_iter()
            .fold(builder, |builder, encoding| builder.with_exporter(|exporter| exporter.with_encoding(encoding)));
        let sentry = builder.build().expect("a valid setup");
        end_span(&sentry, "work");
        let (checked, flushed) = blocking({
            move || {
                let checked = sentry.check();
                let flushed = sentry.flush(PATIENCE);
                (checked, (flushed, sentry.stats()))
            }
        })
        .await;
        // The tunnel accepts the empty envelope, and the process has no global propagator of this Sentry.
        let is_about_server = |problem: &Problem| {
            matches!(problem, Problem::Unreachable(_) | Problem::Refused { .. } | Problem::Unavailable(_))
        };
        assert!(!checked.iter().any(is_about_server), "{checked:?}");
        assert_eq!((flushed.0, flushed.1.spans_sent), (Ok(()), 1), "{encoding:?}");
        assert_eq!(ingest.captured().transaction("work").name, "work");
        for request in ingest.requests() {
            assert_eq!(request.header("x-sentry-auth"), None);
            assert_eq!(request.header("traceparent"), None);
        }
        for envelope in ingest.envelopes() {
            assert_eq!(envelope.headers()["dsn"], ingest.dsn());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_sentry_holds_behind_a_tunnel() {
    let ingest = LocalIngest::start().expect("a free port");
    ingest.answer_next([Answer::status(429).with_header("x-sentry-rate-limits", "3600:transaction:organization")]);
    let sentry = through(&tunnel_to(&ingest).await, &ingest).build().expect("a valid setup");
    let stats = blocking(move || {
        end_span(&sentry, "limited");
        assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 1 }));
        end_span(&sentry, "later");
        assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 1 }));
        sentry.stats()
    })
    .await;
    let lost = |reason| stats.dropped.get(&reason).map(|dropped| dropped.spans);
    assert_eq!((lost(DropReason::RateLimited), lost(DropReason::RateLimitBackoff)), (Some(1), Some(1)), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_does_not_know_the_project_costs_the_spans_and_is_reported() {
    let (ingest, other) = (LocalIngest::start().expect("a free port"), LocalIngest::start().expect("a free port"));
    let sentry = through(&tunnel_to(&other).await, &ingest).build().expect("a valid setup");
    end_span(&sentry, "work");
    let (problems, flushed) = blocking(move || (sentry.check(), sentry.flush(PATIENCE))).await;
    assert!(problems.iter().any(|problem| matches!(problem, Problem::Refused { .. })), "{problems:?}");
    assert_eq!(flushed, Err(FlushError::Undelivered { spans: 1 }));
    assert!(ingest.requests().is_empty() && other.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spooled_without_a_tunnel_goes_through_one_later() {
    let ingest = LocalIngest::start().expect("a free port");
    let directory = tempfile::tempdir().expect("a directory");
    ingest.answer_with(Answer::close());
    let tunnel = tunnel_to(&ingest).await;
    // Nothing listens at the second tunnel.
    for url in ["", "http://127.0.0.1:1/tunnel"] {
        let sentry = through(url, &ingest).with_spool_dir(directory.path()).build().expect("a valid setup");
        end_span(&sentry, "kept");
        let kept = blocking(move || sentry.shutdown(std::time::Duration::from_millis(400))).await;
        assert!(matches!(kept, Err(FlushError::KeptOnDisk { .. })), "{kept:?}");
    }
    ingest.answer_with(Answer::ok());
    let before = ingest.requests().len();
    let sentry = through(&tunnel, &ingest).with_spool_dir(directory.path()).build().expect("a valid setup");
    end_span(&sentry, "new");
    assert_eq!(blocking(move || sentry.flush(PATIENCE).map(|()| sentry)).await.map(drop), Ok(()));
    ingest.wait_until(PATIENCE, |_| ingest.transactions().len() >= 3).expect("they arrive");
    assert!(ingest.requests()[before..].iter().all(|request| request.header("x-sentry-auth").is_none()));
    let all = ingest.envelopes();
    let carry = all.iter().filter(|envelope| !envelope.items().is_empty() && envelope.event_id().is_some());
    let named = carry.filter(|envelope| envelope.headers().get("dsn") == Some(&ingest.dsn().into()));
    assert_eq!(named.count(), 3, "also those of the process without a tunnel");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_the_application_to_the_tunnel_make_no_spans_and_others_to_its_host_do() {
    let ingest = LocalIngest::start().expect("a free port");
    let sentry = through(" http://shop.example.com/tunnel ", &ingest).build().expect("a valid setup");
    let tracer = sentry.tracer_provider().tracer("test");
    for url in ["http://shop.example.com/tunnel", "http://shop.example.com/tunnel/?a", "http://shop.example.com/cart"] {
        let span = tracer.span_builder("request").with_kind(SpanKind::Client);
        drop(tracer.build(span.with_attributes([KeyValue::new("url.full", url)])));
    }
    assert_eq!(sentry.stats().spans_received, 1);
    // Nothing answers there, and nothing has to.
    let _ = sentry.shutdown(std::time::Duration::ZERO);
}
