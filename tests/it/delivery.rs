//! What cannot be delivered is counted, and what can be is delivered in every way to flush and to shut down.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags,
    propagation::TextMapPropagator,
    trace::{Span as _, SpanContext, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_http::{Bytes, Request, Response};
use opentelemetry_sdk::{
    testing::trace::new_test_export_span_data,
    trace::{SdkTracer, SdkTracerProvider, SpanProcessor},
};
use opentelemetry_sentry::{
    FlushError, SentryExporter, SentrySpanProcessor, SpanEvent, Stats,
    exporter::{DropReason, testing::Answer},
};
use tokio::task::{spawn_blocking, yield_now};

use crate::support::{
    Answering, Client, NO_SERVER, PATIENCE, assert_gave_up, dropped, end_spans, exporter_to, processor_to, sentry_at,
    sentry_to_ingest,
};

#[test]
fn refused_spans_are_counted_under_their_reason() {
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
fn a_request_without_an_answer_does_not_hold_up_the_others() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_next([Answer::hang()]);
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 20);
    ingest.wait_for(19, PATIENCE).unwrap();
    assert_eq!(sentry.flush(Duration::from_millis(1)), Err(FlushError::Timeout(Duration::from_millis(1))));
}

#[test]
fn a_shutdown_gives_up_at_its_deadline_and_counts_what_was_not_delivered() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_with(Answer::hang());
    let processor = processor_to(&ingest);
    let sentry = builder.with_dsn("").with_span_processor(processor.clone()).build().unwrap();
    end_spans(&sentry, 5);
    let timeout = Duration::from_millis(200);
    assert_gave_up(processor.shutdown(timeout), 5, timeout, DropReason::Shutdown);
    assert_eq!(processor.shutdown(timeout), Err(FlushError::AlreadyShutdown));
    end_spans(&sentry, 2);
    assert_eq!(processor.stats().spans_received, 7);
    assert_eq!(dropped(&processor.stats()), BTreeMap::from([(DropReason::Shutdown, 7)]));
}

#[test]
fn a_shutdown_does_not_wait_for_a_client_that_blocks_the_thread_and_counts_its_spans() {
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let channels = Arc::new(Mutex::new((entered, released)));
    let blocking = Client(move |_| -> Answering {
        let channels = Arc::clone(&channels);
        Box::pin(async move {
            let channels = channels.lock().map_err(|error| error.to_string())?;
            channels.0.send(())?;
            let _ = channels.1.recv(); // fails when the test is over
            Err("released".into())
        })
    });
    let exporter = SentryExporter::builder().with_dsn(NO_SERVER).with_http_client(blocking).build().unwrap();
    let processor = SentrySpanProcessor::from(exporter);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    for _ in 0..100 {
        provider.tracer("test").start("work");
    }
    has_entered.recv_timeout(PATIENCE).expect("the first request");
    let timeout = Duration::from_millis(100);
    assert_eq!(processor.shutdown(timeout), Err(FlushError::Timeout(timeout)));
    let late = provider.tracer("test").start("late");
    drop(late);
    drop(release);
    let stats = processor.stats();
    assert_eq!((stats.spans_received, stats.spans_sent), (101, 0));
    assert_eq!(dropped(&stats), BTreeMap::from([(DropReason::Shutdown, 101)]));
}

#[test]
fn a_request_is_answered_while_most_of_a_long_backlog_still_has_to_be_serialised() {
    const BACKLOG: usize = 3_000;
    /// How often the worker must let a request run before it is answered.
    const TURNS: usize = 2;
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let serialised = Arc::new(AtomicUsize::new(0));
    let at_first_answer: Arc<OnceLock<usize>> = Arc::default();
    let (count, first) = (Arc::clone(&serialised), Arc::clone(&at_first_answer));
    let client = Client(move |_| -> Answering {
        let (serialised, at_first_answer) = (Arc::clone(&serialised), Arc::clone(&at_first_answer));
        Box::pin(async move {
            for _ in 0..TURNS {
                yield_now().await;
            }
            at_first_answer.get_or_init(|| serialised.load(Ordering::Relaxed));
            Ok(Response::new(Bytes::new()))
        })
    });
    // The hook runs on the worker's thread, as requests do. It holds the first trace until all have ended.
    let hold_first = move |_: &mut SpanEvent| {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            let _ = gate.lock().map(|gate| gate.recv_timeout(PATIENCE));
        }
    };
    let builder = sentry_at(NO_SERVER)
        .with_http_client(client)
        .with_exporter(|exporter| exporter.with_before_send_span(hold_first));
    let sentry = builder.build().unwrap();
    end_spans(&sentry, BACKLOG);
    go.send(()).unwrap();
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!(sentry.stats().spans_sent, BACKLOG as u64);
    let first = *first.get().expect("an answer");
    assert!(first < BACKLOG / 2, "the first answer came after {first} traces were serialised");
}

#[test]
fn any_duration_works_as_a_timeout() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(Duration::MAX), Ok(()));
    assert_eq!(sentry.flush(Duration::ZERO), Err(FlushError::Timeout(Duration::ZERO)));
    assert_eq!(sentry.shutdown(Duration::MAX), Ok(()));
    assert_eq!(ingest.envelopes().len(), 1);
}

#[test]
fn a_shutdown_delivers_all_spans_that_have_ended() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 100);
    assert_eq!(sentry.shutdown(PATIENCE), Ok(()));
    assert_eq!(ingest.envelopes().len(), 100);
}

#[test]
fn dropping_sentry_delivers_all_spans_that_have_ended() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    drop(sentry);
    assert_eq!(ingest.envelopes().len(), 1);
}

#[tokio::test]
async fn flush_and_shutdown_work_inside_a_current_thread_runtime() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    end_spans(&sentry, 1);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    end_spans(&sentry, 1);
    assert_eq!(sentry.shutdown(PATIENCE), Ok(()));
    assert_eq!(ingest.envelopes().len(), 2);
}

#[test]
fn the_exporter_works_under_the_sdks_span_processors() {
    for simple in [true, false] {
        let (ingest, _) = sentry_to_ingest();
        let exporter = exporter_to(&ingest);
        let provider = SdkTracerProvider::builder();
        let provider =
            if simple { provider.with_simple_exporter(exporter) } else { provider.with_batch_exporter(exporter) };
        let provider = provider.build();
        provider.tracer("test").in_span("root", |_| provider.tracer("test").in_span("child", |_| {}));
        provider.shutdown_with_timeout(PATIENCE).unwrap();
        let transactions = ingest.transactions();
        assert_eq!(transactions.len(), 1);
        assert_eq!(transactions[0]["spans"][0]["description"], "child");
    }
}

#[test]
fn large_bodies_are_compressed_and_the_key_is_in_the_header_only() {
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
        Box::pin(async { panic!("as the test wants") })
    });
    let builder = sentry_at(NO_SERVER);
    let sentry = builder.with_http_client(broken).build().unwrap();
    end_spans(&sentry, 3);
    assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 3 }));
    assert_eq!(dropped(&sentry.stats()), BTreeMap::from([(DropReason::InternalSdkError, 3)]));
}

#[test]
fn unsampled_spans_that_are_recorded_for_other_processors_are_not_counted() {
    let (ingest, _) = sentry_to_ingest();
    let processor = processor_to(&ingest);
    let mut span = new_test_export_span_data();
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
    let processor = processor_to(&ingest);
    let root = || {
        let mut span = new_test_export_span_data();
        span.parent_span_id = SpanId::INVALID;
        span
    };
    let text = |key: &'static str, value: String| KeyValue::new(key, value);
    let mut long_rand = root();
    long_rand.attributes = vec![
        text("sentry.dsc.transaction", "x".to_owned()),
        text("sentry.dsc.sample_rand", format!("0.{}1", "0".repeat(70_000))),
        text("sentry.sample_rate", "NaN".to_owned()),
        text("http.response.status_code", "999999999999999999999".to_owned()),
    ];
    let mut many = root();
    many.attributes = (0..5000).map(|number| KeyValue::new(format!("key{}", number % 4000), number)).collect();
    let mut huge = root();
    huge.attributes = vec![text("huge", "x".repeat(2_000_000))];
    let mut zero = root();
    zero.span_context = SpanContext::NONE;
    for span in [long_rand, many, huge, zero] {
        processor.on_end(span);
    }
    processor.flush(PATIENCE).unwrap();
    let stats = processor.stats();
    assert_eq!(
        (stats.spans_received, stats.spans_sent),
        (3, 3),
        "a span without ids is not sampled, so it is not counted: {stats}"
    );
    assert_eq!(stats.trimmed.values, 1);
    // The transactions may arrive in any order.
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
fn spans_that_an_http_client_starts_on_the_exporters_threads_are_not_recorded() {
    let (_ingest, builder) = sentry_to_ingest();
    let slot: Arc<OnceLock<SdkTracer>> = Arc::default();
    let inner = Arc::clone(&slot);
    let tracing = Client(move |_| -> Answering {
        let slot = Arc::clone(&inner);
        Box::pin(async move {
            // h2 starts a span for every connection like this, under a new context.
            if let Some(tracer) = slot.get() {
                let connection = tracer.start_with_context("connection", &Context::new());
                assert!(!connection.is_recording());
            }
            let work = move || slot.get().map(|tracer| tracer.start("request")).is_some();
            assert!(spawn_blocking(work).await?);
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
fn the_longest_possible_grace_does_not_overflow() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_late_span_grace(Duration::MAX)).build().unwrap();
    end_spans(&sentry, 10);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert_eq!(sentry.stats().spans_sent, 10);
}

#[test]
fn a_secret_in_a_span_name_is_sent_nowhere() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let cx = Context::new().with_span(tracer.start("sync https://user:hush@h/?token=hush"));
    let mut headers = HashMap::new();
    sentry.propagator().inject_context(&cx, &mut headers);
    drop(cx);
    sentry.flush(PATIENCE).unwrap();
    assert!(!format!("{headers:?}").contains("hush"), "{headers:?}");
    let envelope = &ingest.envelopes()[0];
    assert!(!format!("{:?} {}", envelope.headers(), ingest.transactions()[0]).contains("hush"));
    assert!(envelope.trace().unwrap()["transaction"].as_str().unwrap().starts_with("sync https://"));
}
