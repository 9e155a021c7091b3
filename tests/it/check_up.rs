//! The problems of a set-up that `check` finds.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use http::{Request, Response};
use opentelemetry::{
    Context, global,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::{SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use opentelemetry_sentry::{Problem, Sentry, exporter::testing::Answer};
use tower::{Layer as _, ServiceExt, service_fn};
use tower_otel::trace::HttpLayer;
use tracing::{Level, Subscriber};
use tracing_subscriber::{filter::filter_fn, prelude::*, reload};

use crate::support::{PATIENCE, block_on, processor_to, run_alone, sentry_to_ingest};

#[test]
fn a_set_up_that_works_has_only_the_problems_of_what_is_not_installed() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    assert_eq!(sentry.span_processor().check(PATIENCE), [Problem::NoSpans]);
    sentry.tracer_provider().tracer("test").start("work");
    sentry.flush(PATIENCE).unwrap();
    assert_eq!(sentry.span_processor().check(PATIENCE), []);
    // Nothing is installed in this process.
    assert_eq!(sentry.check(), [Problem::NoPropagator]);
    assert_eq!(ingest.transactions().len(), 1, "a check sends no transaction");
}

#[test]
fn a_check_reports_what_the_server_answers() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    sentry.tracer_provider().tracer("test").start("work");
    sentry.flush(PATIENCE).unwrap();
    let ask = |answer: Answer| {
        ingest.answer_next([answer]);
        sentry.span_processor().check(PATIENCE).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let refused = ask(Answer::status(403).with_header("x-sentry-error", "project disabled"));
    let host = ingest.address();
    assert_eq!(refused, [format!("Sentry at {host} refuses what this DSN sends, with status 403: project disabled.")]);
    assert!(
        ask(Answer::ok().with_header("date", "Sun, 06 Nov 1994 08:49:37 GMT"))[0].contains("ahead of the server's")
    );
    let unreachable = ask(Answer::close());
    assert!(unreachable[0].starts_with(&format!("Sentry cannot be reached: {host}: ")), "{unreachable:?}");
}

#[test]
fn a_check_reports_another_sampler_and_a_missing_dsn() {
    let (ingest, _) = sentry_to_ingest();
    let processor = processor_to(&ingest);
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_span_processor(processor.clone());
    let provider = provider.build();
    provider.tracer("test").start("work");
    assert_eq!(processor.check(PATIENCE), [Problem::OtherSampler]);
    let nowhere = Sentry::builder().with_dsn("").build().unwrap();
    assert_eq!(nowhere.check(), [Problem::NoDsn, Problem::TracingOff, Problem::NoPropagator]);
}

#[test]
fn only_one_check_at_a_time_asks_a_server_that_does_not_answer() {
    let (ingest, builder) = sentry_to_ingest();
    ingest.answer_with(Answer::hang());
    let sentry = builder.build().unwrap();
    let short = Duration::from_millis(5);
    let first = sentry.span_processor().check(short);
    assert!(first[0].to_string().contains("no answer within"), "{first:?}");
    for _ in 0..20 {
        let next = sentry.span_processor().check(PATIENCE);
        assert!(next[0].to_string().contains("an earlier check"), "{next:?}");
    }
}

/// Reads the headers of a request that begins a trace or continues one.
fn read_headers(propagator: &dyn TextMapPropagator, sentry_trace: Option<&str>) -> Context {
    let lines = sentry_trace.map(|line| ("sentry-trace".to_owned(), line.to_owned()));
    propagator.extract_with_context(&Context::new(), &lines.into_iter().collect::<HashMap<_, _>>())
}

const TRACE: Option<&str> = Some("771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-1");

#[test]
fn a_check_finds_requests_without_a_span() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    // What `#[instrument]` functions do below a middleware whose own span a filter hides.
    for sentry_trace in [TRACE, None] {
        let _ = read_headers(sentry.propagator(), sentry_trace);
        tracer.in_span("handler", |_| ());
    }
    assert_eq!(sentry.span_processor().check(PATIENCE), [Problem::HiddenRequests(2)]);
    let text = Problem::HiddenRequests(2).to_string();
    assert!(text.starts_with("The headers of 2 requests were read, but no span began in their traces"), "{text}");
    // As soon as one has a span, middleware and layer work together.
    let cx = read_headers(sentry.propagator(), TRACE);
    drop(tracer.build_with_context(tracer.span_builder("GET /"), &cx));
    assert_eq!(sentry.span_processor().check(PATIENCE), []);
}

#[test]
fn a_check_finds_a_filter_that_hides_the_middleware() {
    run_alone("check_up::alone_filter", &[]);
}

#[test]
#[ignore = "sets the globals; the test before runs it in a process of its own"]
fn alone_filter() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.install().unwrap();
    let hidden = sentry.tracing_layer().with_filter(filter_fn(|span| !span.target().starts_with("tower_otel")));
    serve_three(tracing_subscriber::registry().with(hidden));
    assert_eq!(sentry.check(), [Problem::HiddenRequests(3)]);
    let (reloaded, _handle) = reload::Layer::new(sentry.tracing_layer());
    serve_three(tracing_subscriber::registry().with(reloaded));
    assert_eq!(sentry.check(), [Problem::HiddenRequests(6)]);
    serve_three(tracing_subscriber::registry().with(sentry.tracing_layer()));
    assert_eq!(sentry.check(), []);
}

/// Answers three requests below the middleware of others.
fn serve_three(subscriber: impl Subscriber + Send + Sync) {
    let handler = service_fn(async |_: Request<String>| {
        tracing::info_span!("handler").in_scope(|| ());
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let server = HttpLayer::server(Level::INFO).layer(handler);
    tracing::subscriber::with_default(subscriber, || {
        for sentry_trace in [TRACE, TRACE, None] {
            let request = Request::get("/");
            let request = sentry_trace.into_iter().fold(request, |request, line| request.header("sentry-trace", line));
            let request = request.body(String::new()).expect("a request");
            block_on(server.clone().oneshot(request)).expect("an answer");
        }
    });
}

#[test]
fn messages_that_are_read_in_a_batch_are_no_hidden_requests() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let message = read_headers(sentry.propagator(), TRACE).span().span_context().clone();
    let batch = tracer.span_builder("batch").with_links(vec![opentelemetry::trace::Link::with_context(message)]);
    drop(tracer.build_with_context(batch, &Context::new()));
    assert_eq!(sentry.span_processor().check(PATIENCE), []);
}

#[test]
fn a_check_finds_requests_whose_headers_are_not_read() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let request = |cx: &Context| {
        drop(tracer.build_with_context(tracer.span_builder("GET /").with_kind(SpanKind::Server), cx));
    };
    // What a middleware does that asks the globals of another opentelemetry: its span has no parent.
    request(&Context::new());
    assert_eq!(sentry.span_processor().check(PATIENCE), [Problem::UnreadHeaders(1)]);
    let text = Problem::UnreadHeaders(1).to_string();
    assert!(text.starts_with("1 requests have a span, but Sentry's propagator was asked for no headers"), "{text}");
    request(&read_headers(sentry.propagator(), None));
    assert_eq!(sentry.span_processor().check(PATIENCE), []);
}

#[test]
fn a_check_after_the_end_says_that_nothing_is_sent_any_more() {
    let (_ingest, builder) = sentry_to_ingest();
    let dropped = builder.build().unwrap().span_processor().clone();
    assert_eq!(dropped.check(PATIENCE), [Problem::ShutDown]);
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let processor = sentry.span_processor().clone();
    sentry.shutdown(PATIENCE).unwrap();
    assert_eq!(processor.check(PATIENCE), [Problem::ShutDown]);
}

#[test]
fn a_check_tries_the_globals() {
    run_alone("check_up::alone_globals", &[]);
}

#[test]
#[ignore = "sets the globals; the test before runs it in a process of its own"]
fn alone_globals() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.install().unwrap();
    sentry.tracer_provider().tracer("test").start("work");
    sentry.flush(PATIENCE).unwrap();
    // Twice: a check counts neither as a request nor as a span.
    assert_eq!([sentry.check(), sentry.check()], [[], []]);

    let second: Box<dyn TextMapPropagator + Send + Sync> = Box::new(TraceContextPropagator::new());
    let ours = || Box::new(sentry.propagator().clone());
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![ours(), second]));
    assert_eq!(sentry.check(), [Problem::TraceOverwritten]);
    global::set_text_map_propagator(TraceContextPropagator::new());
    assert_eq!(sentry.check(), [Problem::NoPropagator]);
    global::set_text_map_propagator(*ours());

    for sampler in [Sampler::AlwaysOn, Sampler::ParentBased(Box::new(Sampler::AlwaysOn))] {
        global::set_tracer_provider(SdkTracerProvider::builder().with_sampler(sampler).build());
        assert_eq!(sentry.check(), [Problem::OtherProvider]);
    }
    let (_ingest, builder) = sentry_to_ingest();
    global::set_tracer_provider(builder.build().unwrap().tracer_provider().clone());
    assert_eq!(sentry.check(), [Problem::OtherProvider], "another Sentry's is none of this one's");
    global::set_tracer_provider(sentry.tracer_provider().clone());
    assert_eq!(sentry.check(), []);
    sentry.flush(PATIENCE).unwrap();
    assert_eq!(ingest.transactions().len(), 1, "a check makes no span");
}

#[test]
#[cfg(feature = "tower")]
fn a_check_finds_that_layers_need_the_globals_after_build() {
    run_alone("check_up::alone_layers_after_build", &[]);
}

#[test]
#[cfg(feature = "tower")]
#[ignore = "notes for its process that a layer was used; the test before runs it in a process of its own"]
fn alone_layers_after_build() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    sentry.tracer_provider().tracer("test").start("work");
    assert_eq!(sentry.check(), [Problem::NoPropagator], "without a layer it may work without the globals");
    let answer = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let client = opentelemetry_sentry::web::ClientLayer::new().layer(answer);
    block_on(client.oneshot(Request::get("http://stock/").body(()).unwrap())).unwrap();
    assert_eq!(sentry.check(), [Problem::NoPropagator, Problem::OtherProvider]);
    global::set_text_map_propagator(sentry.propagator().clone());
    global::set_tracer_provider(sentry.tracer_provider().clone());
    assert_eq!(sentry.check(), []);
}
