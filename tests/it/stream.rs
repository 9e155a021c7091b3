//! Streamed spans through the facade.

use std::{
    collections::{BTreeMap, HashMap},
    env,
};

use opentelemetry::{
    Context, TraceFlags,
    propagation::TextMapPropagator,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sentry::{
    Sentry, SentryBuilder, TraceLifecycle,
    exporter::{DropReason, testing::LocalIngest},
};

use crate::support::{PATIENCE, dropped, pair, reported, run_alone, sentry_to_ingest};

/// An ingest, and a builder that streams every span to it.
fn stream_to_ingest() -> (LocalIngest, SentryBuilder) {
    let (ingest, builder) = sentry_to_ingest();
    (ingest, builder.with_lifecycle(TraceLifecycle::Stream))
}

fn tracer(sentry: &Sentry) -> SdkTracer {
    sentry.tracer_provider().tracer("test")
}

/// Starts a span below the one of a context.
fn below(tracer: &SdkTracer, parent: &Context, name: &'static str) -> Context {
    parent.with_span(tracer.start_with_context(name, parent))
}

fn id(cx: &Context) -> String {
    cx.span().span_context().span_id().to_string()
}

fn extracted<const N: usize>(sentry: &Sentry, headers: [(&str, &str); N]) -> Context {
    let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    sentry.propagator().extract_with_context(&Context::new(), &headers)
}

fn injected(sentry: &Sentry, cx: &Context) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    sentry.propagator().inject_context(cx, &mut headers);
    headers
}

/// Sentry's members of outgoing baggage.
fn members(headers: &HashMap<String, String>) -> BTreeMap<String, String> {
    let members = headers["baggage"].split(',').filter_map(|member| member.strip_prefix("sentry-")?.split_once('='));
    members.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// All losses that were reported, after the end.
fn reported_by(sentry: Sentry, ingest: &LocalIngest) -> BTreeMap<(String, String), u64> {
    sentry.shutdown(PATIENCE).expect("everything arrives");
    reported(&ingest.envelopes())
}

#[test]
fn a_streamed_trace_continues_an_incoming_one() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_lifecycle(TraceLifecycle::Stream).build().unwrap();
    let headers =
        HashMap::from([("sentry-trace".to_owned(), "11111111111111111111111111111111-2222222222222222-1".to_owned())]);
    let incoming = sentry.propagator().extract_with_context(&Context::new(), &headers);
    let tracer = sentry.tracer_provider().tracer("test");
    let request = tracer.span_builder("request").with_kind(SpanKind::Server).start_with_context(&tracer, &incoming);
    let request = incoming.with_span(request);
    tracer.start_with_context("load", &request);
    sentry.flush(PATIENCE).unwrap();
    request.span().end();
    sentry.flush(PATIENCE).unwrap();

    let (load, request) = (ingest.span("load"), ingest.span("request"));
    assert_eq!(request.parent_span_id.as_deref(), Some("2222222222222222"));
    assert_eq!((load.segment_id, load.parent_span_id), (Some(request.span_id.clone()), Some(request.span_id)));
    // The client sent no context. Without one Sentry would reject the spans.
    for envelope in ingest.envelopes() {
        let trace = envelope.trace().unwrap();
        assert_eq!(trace["trace_id"], "11111111111111111111111111111111");
    }
}

/// What becomes of a span, with the lifecycle of this process's environment.
fn sent(lifecycle: Option<TraceLifecycle>) -> (usize, usize) {
    let (ingest, builder) = sentry_to_ingest();
    let builder = lifecycle.into_iter().fold(builder, SentryBuilder::with_lifecycle);
    let sentry = builder.build().expect("a valid set-up");
    sentry.tracer_provider().tracer("test").start("work");
    sentry.flush(PATIENCE).expect("it arrives");
    (ingest.transactions().len(), ingest.spans().len())
}

#[test]
fn transactions_are_the_default() {
    assert_eq!(sent(None), (1, 0));
}

#[test]
#[ignore = "it needs an environment of its own; `the_environment_chooses_a_lifecycle` runs it"]
fn with_this_environment() {
    let (transactions, streamed) = ((1, 0), (0, 1));
    if env::var("SENTRY_TRACE_LIFECYCLE").is_ok_and(|lifecycle| lifecycle == "static") {
        assert_eq!(sent(None), transactions);
    } else {
        assert_eq!(sent(None), streamed);
    }
    assert_eq!(sent(Some(TraceLifecycle::Transactions)), transactions, "code beats the environment");
    assert_eq!(sent(Some(TraceLifecycle::Stream)), streamed);
}

#[test]
#[ignore = "it needs an environment of its own; `the_environment_chooses_a_lifecycle` runs it"]
fn with_a_wrong_environment() {
    let error = Sentry::builder().with_dsn("").build().unwrap_err().to_string();
    assert_eq!(error, "SENTRY_TRACE_LIFECYCLE: it must be static or stream, found \"yes\"");
    let ingest = LocalIngest::start().unwrap();
    let builder = Sentry::builder().with_dsn(ingest.dsn());
    assert!(builder.with_lifecycle(TraceLifecycle::Stream).build().is_ok(), "code beats the environment");
}

#[test]
fn the_environment_chooses_a_lifecycle() {
    for lifecycle in ["stream", "static"] {
        run_alone("stream::with_this_environment", &[("SENTRY_TRACE_LIFECYCLE", lifecycle)]);
    }
    run_alone("stream::with_a_wrong_environment", &[("SENTRY_TRACE_LIFECYCLE", "yes")]);
}

#[test]
fn each_span_of_an_unsampled_trace_is_counted() {
    let (ingest, builder) = stream_to_ingest();
    let sentry = builder.with_traces_sample_rate(0.0).build().unwrap();
    let tracer = tracer(&sentry);
    let root = below(&tracer, &Context::new(), "root");
    let child = below(&tracer, &root, "child");
    (0..5).for_each(|_| drop(below(&tracer, &child, "grandchild")));
    drop((child, root));
    // A caller's decision is the caller's loss.
    let incoming = extracted(&sentry, [("sentry-trace", "11111111111111111111111111111111-2222222222222222-0")]);
    let request = below(&tracer, &incoming, "request");
    drop(below(&tracer, &request, "child"));
    assert_eq!(dropped(&sentry.stats()), [(DropReason::SampleRate, 7)].into());
    assert_eq!(reported_by(sentry, &ingest), [pair("sample_rate", "span", 7)].into());
    assert_eq!(ingest.spans().len(), 0);
}

#[test]
fn an_ignored_child_is_left_out_and_its_children_and_headers_name_its_parent() {
    let (ingest, builder) = stream_to_ingest();
    let builder = builder.with_exporter(|exporter| exporter.with_ignore_spans(["middle", "SELECT*"]));
    let sentry = builder.build().unwrap();
    let tracer = tracer(&sentry);
    let root = below(&tracer, &Context::new(), "root");
    let middle = below(&tracer, &root, "middle");
    let inner = below(&tracer, &middle, "SELECT 1");
    let leaf = below(&tracer, &inner, "leaf");
    let headers = |cx| injected(&sentry, cx)["sentry-trace"].clone();
    let trace_id = root.span().span_context().trace_id();
    for ignored in [&middle, &inner] {
        assert_eq!(headers(ignored), format!("{trace_id}-{}-1", id(&root)));
        assert!(injected(&sentry, ignored)["traceparent"].contains(&id(&root)));
    }
    assert_eq!(headers(&leaf), format!("{trace_id}-{}-1", id(&leaf)));
    let (root_id, late) = (id(&root), {
        middle.span().end();
        // It starts after the ignored span has ended.
        below(&tracer, &middle, "late")
    });
    for cx in [late, leaf, inner, root] {
        cx.span().end();
    }
    assert_eq!(reported_by(sentry, &ingest), [pair("ignored", "span", 2)].into());
    assert_eq!(ingest.spans().len(), 3);
    for name in ["leaf", "late"] {
        assert_eq!(ingest.span(name).parent_span_id.as_ref(), Some(&root_id), "{name}");
    }
}

#[test]
fn an_ignored_root_takes_its_tree_along_and_the_next_services_too() {
    let (ingest, builder) = stream_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_ignore_spans(["GET /health*"])).build().unwrap();
    let tracer = tracer(&sentry);
    let root = below(&tracer, &Context::new(), "GET /health");
    let child = below(&tracer, &root, "child");
    for cx in [&root, &child] {
        let headers = injected(&sentry, cx);
        assert!(headers["sentry-trace"].ends_with("-0") && headers["traceparent"].ends_with("-00"), "{headers:?}");
        let members = members(&headers);
        assert_eq!(members["sampled"], "false");
        for key in ["sample_rate", "sample_rand", "transaction"] {
            assert!(!members.contains_key(key), "{members:?}");
        }
    }
    drop((child, root));
    assert_eq!(dropped(&sentry.stats()), [(DropReason::Ignored, 2)].into());

    // Of a context that came in only `sampled` changes.
    let baggage = "sentry-trace_id=11111111111111111111111111111111,sentry-public_key=public,sentry-sample_rate=0.5,\
                   sentry-sample_rand=0.1,sentry-sampled=true,sentry-transaction=page";
    let sentry_trace = "11111111111111111111111111111111-2222222222222222-1";
    let incoming = extracted(&sentry, [("sentry-trace", sentry_trace), ("baggage", baggage)]);
    let ignored = below(&tracer, &incoming, "GET /healthz");
    let headers = injected(&sentry, &ignored);
    assert_eq!(headers["baggage"], baggage.replace("true", "false"));
    assert_eq!(headers["sentry-trace"], format!("11111111111111111111111111111111-{}-0", id(&ignored)));
    // Another local root of the same request decides for itself.
    let other = below(&tracer, &incoming, "GET /orders");
    assert!(injected(&sentry, &other)["sentry-trace"].ends_with("-1"));
    drop(below(&tracer, &ignored, "child"));
    assert_eq!(injected(&sentry, &ignored)["sentry-trace"], headers["sentry-trace"]);
    assert_eq!(injected(&sentry, &ignored)["baggage"], headers["baggage"]);
    drop((ignored, other));
    assert_eq!(reported_by(sentry, &ingest), [pair("ignored", "span", 4)].into());
    assert_eq!(ingest.spans().iter().map(|span| &span["name"]).collect::<Vec<_>>(), ["GET /orders"]);
}

#[test]
fn what_is_set_after_the_start_is_not_looked_at() {
    let (ingest, builder) = stream_to_ingest();
    let sentry = builder.with_exporter(|exporter| exporter.with_ignore_spans(["noise"])).build().unwrap();
    let root = below(&tracer(&sentry), &Context::new(), "root");
    root.span().update_name("noise");
    drop(root);
    sentry.shutdown(PATIENCE).unwrap();
    assert_eq!(ingest.span("noise").status, "ok");
}

#[test]
fn forced_transactions_are_segments_of_their_own() {
    let (ingest, builder) = stream_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = tracer(&sentry);
    let root = below(&tracer, &Context::new(), "root");
    let (trace_id, span_id) = (root.span().span_context().trace_id(), root.span().span_context().span_id());
    let remote = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default());
    let remote = Context::new().with_remote_span_context(remote);
    let forced = below(&tracer, &remote, "deferred");
    root.span().end();
    below(&tracer, &forced, "inner").span().end();
    forced.span().end();
    sentry.shutdown(PATIENCE).unwrap();
    let (root, forced, inner) = (ingest.span("root"), ingest.span("deferred"), ingest.span("inner"));
    assert_eq!((forced.is_segment, forced.parent_span_id.as_ref()), (true, Some(&root.span_id)));
    assert_eq!((forced.segment_id.as_ref(), inner.segment_id.as_ref()), (Some(&forced.span_id), Some(&forced.span_id)));
    assert_eq!(inner.attributes["sentry.segment.name"], "deferred");
    assert_eq!((&forced.trace_id, root.segment_id.as_ref()), (&root.trace_id, Some(&root.span_id)));
}

#[test]
fn a_child_that_starts_after_its_parent_ended_knows_its_segment() {
    let (ingest, builder) = stream_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = tracer(&sentry);
    let root = below(&tracer, &Context::new(), "root");
    let child = below(&tracer, &root, "child");
    child.span().end();
    root.span().end();
    below(&tracer, &child, "late").span().end();
    sentry.shutdown(PATIENCE).unwrap();
    assert_eq!(ingest.span("late").segment_id, Some(ingest.span("root").span_id));
}
