//! Delivered, or counted: what happens when Sentry does not simply say yes.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::{
    TraceFlags,
    trace::{SpanContext, TraceState, Tracer, TracerProvider},
};
use opentelemetry_http::{Bytes, Request, Response};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanProcessor};
use opentelemetry_sentry::{
    FlushError, Sentry, Stats,
    exporter::{DropReason, SentryExporter, testing::Answer},
};

use crate::support::{Answering, Client, PATIENCE, dropped, end_spans, sentry_to_ingest};

#[test]
fn what_is_refused_is_counted_under_its_reason() {
    let cases = [
        (Answer::status(400), DropReason::SendError),
        (Answer::status(413), DropReason::SendError),
        (Answer::status(503), DropReason::SendError),
        (Answer::status(302).with_header("location", "http://127.0.0.1:1/"), DropReason::NetworkError),
    ];
    for (answer, reason) in cases {
        let (ingest, builder) = sentry_to_ingest();
        ingest.answer_next([answer]);
        let sentry = builder.build().unwrap();
        end_spans(&sentry, 1);
        assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 1 }), "{reason}");
        end_spans(&sentry, 1);
        assert_eq!(sentry.flush(PATIENCE), Ok(()), "{reason}");
        let stats = sentry.stats();
        assert_eq!((stats.spans_received, stats.spans_sent), (2, 1), "{reason}");
        assert_eq!(dropped(&stats), BTreeMap::from([(reason, 1)]));
        assert_eq!(
            stats.to_string(),
            format!("spans received: 2, sent: 1, dropped: 1 ({reason} 1); transactions sent: 1")
        );
    }
}

#[test]
fn a_slow_answer_holds_nothing_up() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::hang()]);
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 20);
    ingest.wait_for(19, PATIENCE).unwrap();
    assert_eq!(sentry.flush(Duration::from_millis(1)), Err(FlushError::Timeout(Duration::from_millis(1))));
}

#[test]
fn a_shutdown_ends_in_time_and_counts_what_did_not_leave() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_with(Answer::hang());
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build().unwrap();
    let processor = opentelemetry_sentry::SentrySpanProcessor::from(exporter);
    let sentry = builder.with_dsn("").with_span_processor(processor.clone()).build().unwrap();
    end_spans(&sentry, 5);
    let timeout = Duration::from_millis(200);
    assert_eq!(processor.close(timeout), Err(FlushError::Undelivered { spans: 5 }));
    assert_eq!(processor.close(timeout), Err(FlushError::AlreadyShutdown));
    end_spans(&sentry, 2);
    assert_eq!(processor.stats().spans_received, 7);
    assert_eq!(dropped(&processor.stats()), BTreeMap::from([(DropReason::Shutdown, 7)]));
}

#[test]
fn a_client_that_holds_the_thread_is_left_behind_and_its_spans_are_counted() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let blocking = Client(move |_| -> Answering {
        let released = std::sync::Arc::clone(&released);
        Box::pin(async move {
            // Until the test is over.
            let _ = released.lock().map(|released| released.recv());
            Err("released".into())
        })
    });
    let exporter = SentryExporter::builder().with_dsn("http://public@127.0.0.1:1/1");
    let exporter = exporter.with_http_client(blocking).build().unwrap();
    let processor = opentelemetry_sentry::SentrySpanProcessor::from(exporter);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    for _ in 0..100 {
        provider.tracer("test").start("work");
    }
    let timeout = Duration::from_millis(100);
    assert_eq!(processor.close(timeout), Err(FlushError::Timeout(timeout)));
    let late = provider.tracer("test").start("late");
    drop(late);
    drop(release);
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_sent), (101, 0));
    assert_eq!(dropped(&stats), BTreeMap::from([(DropReason::Shutdown, 101)]));
}

#[test]
fn requests_go_on_while_spans_pour_in() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = std::sync::Arc::new(builder.build().unwrap());
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let producers: Vec<_> = (0..2)
        .map(|_| {
            let (sentry, stop) = (std::sync::Arc::clone(&sentry), std::sync::Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    end_spans(&sentry, 100);
                }
            })
        })
        .collect();
    // Without a turn of their own, requests were at a tenth of the pace of this.
    let arrived = ingest.wait_for(500, 2 * PATIENCE);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    arrived.unwrap();
}

#[test]
fn any_duration_is_a_timeout() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(Duration::MAX), Ok(()));
    assert_eq!(sentry.flush(Duration::ZERO), Err(FlushError::Timeout(Duration::ZERO)));
    assert_eq!(sentry.shutdown(Duration::MAX), Ok(()));
    assert_eq!(ingest.envelopes().len(), 1);
}

#[test]
fn a_shutdown_delivers_what_has_ended() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 100);
    assert_eq!(sentry.shutdown(PATIENCE), Ok(()));
    assert_eq!(ingest.envelopes().len(), 100);
}

#[test]
fn dropping_it_delivers_too() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    drop(sentry);
    assert_eq!(ingest.envelopes().len(), 1);
}

#[tokio::test]
async fn it_works_from_within_a_current_thread_runtime() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    end_spans(&sentry, 1);
    assert_eq!(sentry.shutdown(PATIENCE), Ok(()));
    assert_eq!(ingest.envelopes().len(), 2);
}

#[test]
fn the_exporter_works_under_the_stock_processors() {
    for simple in [true, false] {
        let (ingest, _) = sentry_to_ingest();
        let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build().unwrap();
        let provider = SdkTracerProvider::builder();
        let provider =
            if simple { provider.with_simple_exporter(exporter) } else { provider.with_batch_exporter(exporter) };
        let provider = provider.build();
        provider.tracer("test").in_span("root", |_| provider.tracer("test").in_span("child", |_| {}));
        provider.shutdown().unwrap();
        let transactions = ingest.transactions();
        assert_eq!(transactions.len(), 1);
        assert_eq!(transactions[0]["spans"][0]["description"], "child");
    }
}

#[test]
fn large_bodies_are_compressed_and_the_key_travels_in_the_header_alone() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    tracer.build(tracer.span_builder("x".repeat(4000)));
    sentry.flush(PATIENCE).unwrap();
    let request = ingest.requests().remove(0);
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert!(request.body_size() < 2000);
    assert_eq!(request.query(), None);
    let auth = request.header("x-sentry-auth").unwrap();
    assert!(auth.starts_with("Sentry sentry_version=7, sentry_client=sentry.rust.otel/"), "{auth}");
}

#[test]
fn a_client_that_panics_or_fails_is_contained() {
    let broken = Client(|request: Request<Bytes>| -> Answering {
        assert!(request.uri().path().starts_with("/api/1/"), "a path");
        Box::pin(async { panic!("the client's own") })
    });
    let builder = Sentry::builder().with_dsn("http://public@127.0.0.1:1/1").with_traces_sample_rate(1.0);
    let sentry = builder.with_http_client(broken).build().unwrap();
    end_spans(&sentry, 3);
    assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 3 }));
    assert_eq!(dropped(&sentry.stats()), BTreeMap::from([(DropReason::InternalSdkError, 3)]));
}

#[test]
fn unsampled_spans_that_are_recorded_for_others_are_none_of_ours() {
    let (ingest, _) = sentry_to_ingest();
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build().unwrap();
    let processor = opentelemetry_sentry::SentrySpanProcessor::from(exporter);
    let mut span = opentelemetry_sdk::testing::trace::new_test_export_span_data();
    let context = &span.span_context;
    let (trace_id, span_id) = (context.trace_id(), context.span_id());
    span.span_context = SpanContext::new(trace_id, span_id, TraceFlags::NOT_SAMPLED, false, TraceState::default());
    processor.on_end(span);
    processor.flush(PATIENCE).unwrap();
    assert_eq!(processor.stats(), Stats::default());
}

#[test]
fn hostile_spans_are_sent_or_counted() {
    let (ingest, _) = sentry_to_ingest();
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build().unwrap();
    let processor = opentelemetry_sentry::SentrySpanProcessor::from(exporter);
    let root = || {
        let mut span = opentelemetry_sdk::testing::trace::new_test_export_span_data();
        span.parent_span_id = opentelemetry::SpanId::INVALID;
        span
    };
    let text = |key: &'static str, value: String| opentelemetry::KeyValue::new(key, value);
    let mut long_rand = root();
    long_rand.attributes = vec![
        text("sentry.dsc.transaction", "x".to_owned()),
        text("sentry.dsc.sample_rand", format!("0.{}1", "0".repeat(70_000))),
        text("sentry.sample_rate", "NaN".to_owned()),
        text("http.response.status_code", "999999999999999999999".to_owned()),
    ];
    let mut many = root();
    many.attributes =
        (0..5000).map(|number| opentelemetry::KeyValue::new(format!("key{}", number % 4000), number)).collect();
    let mut huge = root();
    huge.attributes = vec![text("huge", "x".repeat(2_000_000))];
    let mut zero = root();
    zero.span_context = SpanContext::NONE;
    for span in [long_rand, many, huge, zero] {
        processor.on_end(span);
    }
    processor.flush(PATIENCE).unwrap();
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_sent), (3, 3), "a span without ids is not even sampled: {stats}");
    assert_eq!(stats.trimmed.values, 1);
    // They may arrive in any order.
    let data = ingest.transactions().into_iter().map(|transaction| transaction["contexts"]["trace"]["data"].clone());
    let data: Vec<_> = data.collect();
    let huge = data.iter().find_map(|data| data.get("huge")?.as_str()).unwrap();
    assert!(huge.ends_with("x..."));
    assert_eq!(huge.len() as u64 + stats.trimmed.bytes, 2_000_000);
    let many = data.into_iter().find(|data| data.get("key0").is_some()).unwrap();
    assert_eq!(many.as_object().unwrap().keys().filter(|key| key.starts_with("key")).count(), 4000);
    assert_eq!(many["key0"], 4000);
}

#[test]
fn spans_that_a_client_makes_on_threads_of_ours_are_not_recorded() {
    let (_ingest, builder) = sentry_to_ingest();
    let slot: std::sync::Arc<std::sync::OnceLock<opentelemetry_sdk::trace::SdkTracer>> = std::sync::Arc::default();
    let inner = std::sync::Arc::clone(&slot);
    let tracing = Client(move |_| -> Answering {
        let slot = std::sync::Arc::clone(&inner);
        Box::pin(async move {
            // As h2 does it for every connection: under a context of its own.
            if let Some(tracer) = slot.get() {
                let connection = tracer.start_with_context("connection", &opentelemetry::Context::new());
                assert!(!opentelemetry::trace::Span::is_recording(&connection));
            }
            let work = move || slot.get().map(|tracer| tracer.start("request")).is_some();
            assert!(tokio::task::spawn_blocking(work).await?);
            Ok(Response::new(Bytes::new()))
        })
    });
    let sentry = builder.with_http_client(tracing).build().unwrap();
    slot.set(sentry.tracer_provider().tracer("test")).unwrap();
    end_spans(&sentry, 1);
    for _ in 0..3 {
        assert_eq!(sentry.flush(PATIENCE), Ok(()));
    }
    assert_eq!(sentry.stats().spans_received, 1);
}

#[test]
fn the_longest_grace_is_one() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_late_span_grace(Duration::MAX)).build().unwrap();
    end_spans(&sentry, 10);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!(sentry.stats().spans_sent, 10);
}

#[test]
fn a_name_with_a_secret_is_told_to_nobody() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let cx = opentelemetry::Context::new();
    let cx =
        opentelemetry::trace::TraceContextExt::with_span(&cx, tracer.start("sync https://user:hush@h/?token=hush"));
    let mut headers = std::collections::HashMap::new();
    opentelemetry::propagation::TextMapPropagator::inject_context(sentry.propagator(), &cx, &mut headers);
    drop(cx);
    sentry.flush(PATIENCE).unwrap();
    assert!(!format!("{headers:?}").contains("hush"), "{headers:?}");
    let envelope = &ingest.envelopes()[0];
    assert!(!format!("{:?} {}", envelope.headers(), ingest.transactions()[0]).contains("hush"));
    assert!(envelope.trace().unwrap()["transaction"].as_str().unwrap().starts_with("sync https://"));
}
