//! An exporter without a thread, which the application drives.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    io::Read,
    mem,
    pin::pin,
    rc::Rc,
    sync::{Arc, OnceLock},
    task::{self, Poll, Waker},
};

use http::{HeaderMap, Response, StatusCode};
use opentelemetry::{
    Context, TraceId,
    logs::{LogRecord as _, Logger as _, LoggerProvider as _},
    metrics::{AsyncInstrument, MeterProvider as _},
    trace::{
        Span as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceState, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_http::{Bytes, Request};
use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
use opentelemetry_sentry_exporter::{
    Delivery, DropReason, Encoding, FlushError, SentryExporter, SentryExporterBuilder, SentryLogProcessor,
    SentryMeterProvider, SentrySpanProcessor, Take, TraceLifecycle,
};

/// A process without a thread for delivery.
struct Driven {
    provider: SdkTracerProvider,
    processor: SentrySpanProcessor,
    delivery: Delivery,
}

fn driven(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Driven {
    let builder = SentryExporter::builder().with_dsn("https://public@sentry.example.com/1");
    let (exporter, delivery) = set_up(builder).build_driven().expect("a valid setup");
    let processor = SentrySpanProcessor::from(exporter);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    Driven { provider, processor, delivery }
}

impl Driven {
    /// Begins a request of a trace. It ends when the value is dropped.
    fn request(&self, trace: u128, name: &'static str) -> Context {
        let parent =
            SpanContext::new(TraceId::from(trace), SpanId::from(7), TraceFlags::SAMPLED, true, TraceState::default());
        let cx = Context::new().with_remote_span_context(parent);
        let span = self.provider.tracer("test").start_with_context(name, &cx);
        cx.with_span(span)
    }

    fn child(&self, cx: &Context, name: &'static str) {
        self.provider.tracer("test").start_with_context(name, cx).end();
    }

    /// Takes, and accepts all that comes. Returns the bodies.
    fn accept(&self, what: Take) -> Vec<String> {
        let all = self.delivery.take(what).into_iter();
        all.map(|outgoing| {
            let text = text(outgoing.request());
            outgoing.answered(StatusCode::OK, &HeaderMap::new());
            text
        })
        .collect()
    }
}

fn text(request: &Request<Bytes>) -> String {
    let mut text = String::new();
    if request.headers().contains_key("content-encoding") {
        flate2::read::GzDecoder::new(&request.body()[..]).read_to_string(&mut text).expect("gzip");
    } else {
        text.push_str(std::str::from_utf8(request.body()).expect("text"));
    }
    text
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn ok() -> Result<Response<()>, io::Error> {
    Ok(Response::new(()))
}

#[test]
fn a_request_that_ends_leaves_alone() {
    let driven = driven(|builder| builder);
    // Two requests of one trace and one of another are open at a time.
    let (first, second, other) = (driven.request(1, "first"), driven.request(1, "second"), driven.request(2, "other"));
    for (cx, name) in [(&first, "of first"), (&second, "of second"), (&other, "of other")] {
        driven.child(cx, name);
    }
    first.span().end();
    let bodies = driven.accept(Take::Trace(TraceId::from(1)));
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(bodies[0].contains("of first") && !bodies[0].contains("of second") && !bodies[0].contains("of other"));
    assert_eq!(driven.accept(Take::Trace(TraceId::from(2))), [""; 0], "nothing of an open request leaves");

    second.span().end();
    let bodies = driven.accept(Take::Trace(TraceId::from(1)));
    assert!(bodies.len() == 1 && bodies[0].contains("of second"), "{bodies:?}");
    // Before a freeze everything leaves.
    let bodies = driven.accept(Take::Everything);
    assert!(bodies.len() == 1 && bodies[0].contains("of other"), "{bodies:?}");
    other.span().end();
    assert_eq!(driven.accept(Take::Everything).len(), 1);
    let stats = driven.delivery.stats();
    assert_eq!((stats.spans_received, stats.spans_sent, stats.spans_pending), (6, 6, 0), "{stats:?}");
}

#[test]
fn what_has_ended_leaves_of_all_traces_and_nothing_of_an_open_request() {
    for lifecycle in [TraceLifecycle::Transactions, TraceLifecycle::Stream] {
        let driven = driven(|builder| builder.with_lifecycle(lifecycle));
        let (first, second, other) =
            (driven.request(1, "first"), driven.request(1, "second"), driven.request(2, "other"));
        for (cx, name) in [(&first, "of first"), (&second, "of second"), (&other, "of other")] {
            driven.child(cx, name);
        }
        first.span().end();
        driven.request(3, "alone").span().end();
        let text = driven.accept(Take::Ended).concat();
        assert!(text.contains("of first") && text.contains("alone"), "{text}");
        // A stream has no transaction that could be torn.
        let is_torn = text.contains("of second") || text.contains("of other");
        assert_eq!(is_torn, lifecycle == TraceLifecycle::Stream, "{text}");
        second.span().end();
        other.span().end();
        let bodies = driven.accept(Take::Ended);
        assert_eq!(bodies.len(), 2, "each request as a whole: {bodies:?}");
        assert_eq!(driven.accept(Take::Ended), [""; 0]);
        let stats = driven.delivery.stats();
        assert_eq!((stats.spans_received, stats.spans_sent, stats.spans_pending), (7, 7, 0), "{stats:?}");
    }
}

#[test]
fn streamed_spans_of_a_trace_leave_at_its_requests_end() {
    let driven = driven(|builder| builder.with_lifecycle(TraceLifecycle::Stream));
    let (first, other) = (driven.request(1, "first"), driven.request(2, "other"));
    driven.child(&first, "of first");
    driven.child(&other, "of other");
    first.span().end();
    let bodies = driven.accept(Take::Trace(TraceId::from(1)));
    assert!(bodies.len() == 1 && bodies[0].contains("of first") && !bodies[0].contains("of other"), "{bodies:?}");
    other.span().end();
    assert_eq!(driven.accept(Take::Everything).len(), 1);
    assert_eq!(driven.delivery.stats().spans_sent, 4);
}

#[test]
fn logs_leave_with_a_trace() {
    let driven = driven(|builder| builder);
    let logs = SentryLogProcessor::from(&driven.processor);
    let provider = SdkLoggerProvider::builder().with_log_processor(logs).build();
    let logger = provider.logger("test");
    let mut record = logger.create_log_record();
    record.set_body("order placed".into());
    logger.emit(record);
    let bodies = driven.accept(Take::Trace(TraceId::from(1)));
    assert!(bodies.len() == 1 && bodies[0].contains("order placed"), "{bodies:?}");
    assert_eq!(driven.delivery.stats().logs_sent, 1);
}

#[test]
fn metrics_leave_with_everything_and_their_callbacks_may_call_the_delivery() {
    let delivery: Arc<OnceLock<Delivery>> = Arc::default();
    let of_hook = Arc::clone(&delivery);
    let driven = driven(move |builder| {
        builder.with_before_send_metric(move |metric| {
            let delivery = of_hook.get()?;
            assert!(delivery.take(Take::Everything).is_empty());
            Some(metric)
        })
    });
    delivery.set(driven.delivery.clone()).unwrap();
    let provider = SentryMeterProvider::from(&driven.processor);
    let meter = provider.meter("test");
    let orders = meter.u64_counter("orders").build();
    let inner = provider.clone();
    let callback = move |observer: &dyn AsyncInstrument<u64>| {
        assert!(delivery.get().is_some_and(|delivery| delivery.take(Take::Everything).is_empty()));
        assert!(inner.flush(std::time::Duration::ZERO).is_err(), "a call of the provider cannot deliver");
        inner.meter("test").u64_counter("inside").build().add(1, &[]);
        observer.observe(7, &[]);
    };
    meter.u64_observable_gauge("level").with_callback(callback).with_callback(|_| panic!("a bug")).build();
    orders.add(2, &[]);
    orders.add(3, &[]);
    assert!(driven.delivery.due_in() <= std::time::Duration::from_secs(5));
    assert_eq!(driven.accept(Take::Trace(TraceId::from(1))), [""; 0], "a sum of many requests");
    let bodies = driven.accept(Take::Everything);
    assert!(bodies.len() == 1 && bodies[0].contains("\"value\":5") && bodies[0].contains("\"value\":7"), "{bodies:?}");
    orders.add(4, &[]);
    assert!(provider.shutdown(std::time::Duration::ZERO).is_err(), "the sum still waits for the delivery");
    let bodies = driven.accept(Take::Everything);
    assert!(bodies.len() == 1 && bodies[0].contains("\"value\":4"), "{bodies:?}");
    orders.add(1, &[]);
    let stats = provider.stats();
    assert_eq!((stats.metrics_received, stats.metrics_sent, stats.metrics_pending), (5, 4, 0), "{stats:?}");
    assert_eq!(stats.dropped[&DropReason::Shutdown].metrics, 1);
}

#[test]
fn at_most_64_requests_are_out() {
    let driven = driven(|builder| builder);
    for trace in 1..=300 {
        driven.request(trace, "request").span().end();
    }
    let out = Rc::new(Cell::new(0));
    let most = Rc::new(Cell::new(0));
    let sent = block_on(driven.delivery.flush_with(Take::Everything, |_| {
        let (out, most) = (Rc::clone(&out), Rc::clone(&most));
        out.set(out.get() + 1);
        most.set(most.get().max(out.get()));
        async move {
            tokio::task::yield_now().await;
            out.set(out.get() - 1);
            ok()
        }
    }));
    assert_eq!(sent, Ok(()));
    assert!((2..=64).contains(&most.get()), "{}", most.get());
    let stats = driven.delivery.stats();
    assert_eq!((stats.transactions_sent, stats.spans_pending), (300, 0), "{stats:?}");
}

#[test]
fn a_limit_is_obeyed_and_the_loss_is_reported() {
    let driven = driven(|builder| builder);
    driven.request(1, "limited").span().end();
    let limit = |_| async {
        let limited = Response::builder().status(429).header("x-sentry-rate-limits", "3600:transaction:organization");
        Ok::<_, io::Error>(limited.body(()).unwrap())
    };
    let result = block_on(driven.delivery.flush_with(Take::Trace(TraceId::from(1)), limit));
    assert_eq!(result, Err(FlushError::Undelivered { spans: 1 }));
    driven.request(2, "later").span().end();
    // The second transaction is not even sent; a request of its own reports both.
    let bodies = driven.accept(Take::Everything);
    assert!(bodies.len() == 1 && bodies[0].contains("client_report"), "{bodies:?}");
    assert!(bodies[0].contains("ratelimit_backoff"), "{bodies:?}");
    let stats = driven.delivery.stats();
    assert_eq!(stats.dropped[&DropReason::RateLimited].spans, 1);
    assert_eq!(stats.dropped[&DropReason::RateLimitBackoff].spans, 1);
    assert_eq!(stats.spans_pending, 0);
}

#[test]
fn what_got_no_answer_waits_for_a_later_call() {
    let driven = driven(|builder| builder);
    driven.request(1, "first").span().end();
    let dead = |_| async { Err::<Response<()>, _>(io::Error::other("connection refused")) };
    assert_eq!(block_on(driven.delivery.flush_with(Take::Everything, dead)), Err(FlushError::Waiting));
    driven.request(2, "second").span().end();
    // To drop a request is the same.
    drop(driven.delivery.take(Take::Everything));
    let stats = driven.delivery.stats();
    assert_eq!((stats.spans_sent, stats.spans_pending, stats.spans_lost()), (0, 2, 0), "{stats:?}");
    assert!(driven.delivery.due_in() <= std::time::Duration::from_secs(5));
    assert!(driven.provider.force_flush().is_err(), "a call of the provider cannot deliver, and says so");

    driven.request(3, "third").span().end();
    let Driven { provider, processor, delivery } = driven;
    assert!(provider.shutdown().is_err());
    drop(delivery);
    let stats = processor.stats();
    let lost = |reason| stats.dropped.get(&reason).map(|dropped| dropped.spans);
    assert_eq!((lost(DropReason::NetworkError), lost(DropReason::Shutdown)), (Some(2), Some(1)), "{stats:?}");
    assert_eq!(stats.spans_pending, 0);
}

#[test]
fn a_flush_that_is_cancelled_keeps_its_envelopes() {
    let driven = driven(|builder| builder);
    driven.request(1, "request").span().end();
    block_on(async {
        let hangs = |_| std::future::pending::<Result<Response<()>, io::Error>>();
        tokio::select! {
            biased;
            _ = driven.delivery.flush_with(Take::Everything, hangs) => unreachable!("it hangs"),
            () = tokio::task::yield_now() => {}
        }
    });
    let stats = driven.delivery.stats();
    assert_eq!((stats.spans_pending, stats.spans_lost()), (1, 0), "{stats:?}");
}

#[test]
fn a_flush_ends_also_while_spans_go_on_ending() {
    for what in [Take::Ready, Take::Ended, Take::Everything] {
        let driven = driven(|exporter| exporter);
        driven.request(1, "first");
        let mut flush = pin!(driven.delivery.flush_with(what, |_| once_pending(ok())));
        let mut cx = task::Context::from_waker(Waker::noop());
        let polls = (2..100).find(|trace| {
            driven.request(*trace, "another");
            flush.as_mut().poll(&mut cx).is_ready()
        });
        assert!(polls.is_some(), "{what:?}");
    }
}

/// A future that is ready when it is polled again.
async fn once_pending<T>(value: T) -> T {
    let mut was_polled = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if mem::replace(&mut was_polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    value
}

#[test]
fn a_hook_may_call_the_delivery() {
    let delivery: Arc<OnceLock<Delivery>> = Arc::default();
    let of_hook = Arc::clone(&delivery);
    let driven = driven(move |builder| {
        builder.with_before_send_transaction(move |event| {
            let delivery = of_hook.get()?;
            assert!(delivery.take(Take::Everything).is_empty() && delivery.stats().spans_sent == 0);
            Some(event)
        })
    });
    delivery.set(driven.delivery.clone()).unwrap();
    driven.request(1, "request").span().end();
    assert_eq!(driven.accept(Take::Everything).len(), 1);
}

#[test]
fn nothing_that_delivers_is_recorded() {
    let driven = driven(|builder| builder);
    driven.request(1, "request").span().end();
    let names = RefCell::new(Vec::new());
    let fetch = |request: Request<Bytes>| {
        driven.request(2, "in the call").span().end();
        names.borrow_mut().push(text(&request));
        async {
            driven.request(3, "in the future").span().end();
            ok()
        }
    };
    assert_eq!(block_on(driven.delivery.flush_with(Take::Everything, fetch)), Ok(()));
    assert_eq!(names.borrow().len(), 1, "{names:?}");
    assert_eq!(driven.delivery.stats().spans_received, 1);
    driven.request(4, "after").span().end();
    assert_eq!(driven.delivery.stats().spans_received, 2, "the thread records again");
}

#[test]
fn a_page_sends_simple_requests() {
    let driven = driven(|builder| builder.with_simple_requests(true));
    let request = driven.request(1, "page load");
    (0..50).for_each(|_| driven.child(&request, "a name that repeats itself"));
    request.span().end();
    let mut all = driven.delivery.take(Take::Everything);
    let mut outgoing = all.remove(0);
    assert!(all.is_empty() && outgoing.fits_keepalive());
    let request = outgoing.take_request();
    let query = request.uri().query().unwrap();
    assert!(query.starts_with("sentry_version=7&sentry_client=") && query.ends_with("&sentry_key=public"), "{query}");
    let headers: Vec<_> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("content-type", "text/plain;charset=UTF-8")]);
    assert!(request.body().starts_with(b"{") && request.body().len() > 2000, "it is not compressed");
    outgoing.answered(StatusCode::OK, &HeaderMap::new());
}

#[test]
fn what_needs_a_thread_is_refused() {
    let error = SentryExporter::builder().with_spool_dir("spool").build_driven().unwrap_err();
    assert!(error.to_string().starts_with("with_spool_dir: "), "{error}");
    let (_, delivery) = SentryExporter::builder().build_driven().unwrap();
    assert!(delivery.take(Take::Everything).is_empty(), "without a DSN there is nothing to send");
    assert_eq!(block_on(delivery.flush_with(Take::Everything, |_| async { ok() })), Ok(()));
}

#[test]
fn debug_output_shows_nothing_that_waits() {
    let driven = driven(|exporter| exporter.with_encoding(Encoding::Identity));
    driven.request(1, "the order of a customer");
    driven.child(&driven.request(2, "open"), "a child for a customer");
    let outgoing = driven.delivery.take(Take::Trace(TraceId::from(1)));
    assert!(text(outgoing[0].request()).contains("customer"));
    let debug = format!("{:?} {:?} {outgoing:?}", driven.delivery, driven.processor);
    assert!(!debug.contains("customer"), "{debug}");
}
