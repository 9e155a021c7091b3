//! Streamed spans, from a tracer provider of the SDK to the server.

use std::time::Duration;

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use opentelemetry_sentry_exporter::{
    DropReason, SentryExporter, SentrySpanProcessor, TraceLifecycle, testing::LocalIngest,
};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a span below the one of a context.
fn below(tracer: &SdkTracer, parent: &Context, name: &'static str) -> Context {
    parent.with_span(tracer.start_with_context(name, parent))
}

fn id(cx: &Context) -> String {
    cx.span().span_context().span_id().to_string()
}

#[test]
fn spans_leave_before_their_root_and_name_it() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder()
        .with_dsn(ingest.dsn())
        .with_release("shop@1.2.3")
        .with_lifecycle(TraceLifecycle::Stream)
        .build()
        .unwrap();
    let processor = SentrySpanProcessor::from(exporter);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    let tracer = provider.tracer("shop");
    let attributes = [KeyValue::new("http.request.method", "GET"), KeyValue::new("http.route", "/users/{id}")];
    let builder = tracer.span_builder("request").with_kind(SpanKind::Server).with_attributes(attributes);
    let root = Context::new().with_span(tracer.build_with_context(builder, &Context::new()));
    let parent = below(&tracer, &root, "load");
    below(&tracer, &parent, "query").span().end();
    processor.flush(PATIENCE).unwrap();

    let query = ingest.span("query");
    assert_eq!((query.is_segment, query.parent_span_id.as_deref()), (false, Some(id(&parent).as_str())));
    assert_eq!(query.segment_id.as_deref(), Some(id(&root).as_str()));
    assert_eq!(query.attributes["sentry.segment.name"], "GET /users/{id}");
    assert_eq!(query.attributes["sentry.release"], "shop@1.2.3");
    assert_eq!(ingest.spans().len(), 1, "the others are open");
    let envelopes = ingest.envelopes();
    let trace = envelopes[0].trace().unwrap();
    assert_eq!((&trace["trace_id"], &trace["public_key"]), (&query.trace_id.into(), &"public".into()));

    parent.span().end();
    root.span().end();
    processor.flush(PATIENCE).unwrap();
    let request = ingest.span("GET /users/{id}");
    assert_eq!((request.is_segment, request.op.as_deref()), (true, Some("http.server")));
    assert_eq!(request.parent_span_id, None);
    assert_eq!((ingest.spans().len(), ingest.transactions().len()), (3, 0));
    assert_eq!((processor.stats().spans_sent, processor.stats().spans_dropped()), (3, 0));
}

#[test]
fn without_the_processor_a_child_does_not_guess_its_segment() {
    let ingest = LocalIngest::start().unwrap();
    let exporter =
        SentryExporter::builder().with_dsn(ingest.dsn()).with_lifecycle(TraceLifecycle::Stream).build().unwrap();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter).build();
    let tracer = provider.tracer("shop");
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    below(&tracer, &root, "child").span().end();
    root.span().end();
    provider.shutdown_with_timeout(PATIENCE).unwrap();

    let (child, root) = (ingest.span("child"), ingest.span("root"));
    assert_eq!(child.segment_id, None);
    assert!(!child.attributes.contains_key("sentry.segment.name"));
    assert_eq!(child.parent_span_id, Some(root.span_id.clone()));
    assert_eq!((root.is_segment, root.segment_id), (true, Some(root.span_id)));
}

#[test]
fn settings_for_transactions_are_refused() {
    let stream = || SentryExporter::builder().with_lifecycle(TraceLifecycle::Stream);
    for (builder, message) in [
        (
            stream().with_before_send_transaction(Some),
            "with_before_send_transaction: streamed spans (TraceLifecycle::Stream, SENTRY_TRACE_LIFECYCLE) have no transactions; use with_before_send_span",
        ),
        (
            stream().with_ignore_transactions(["GET /health"]),
            "with_ignore_transactions: streamed spans (TraceLifecycle::Stream, SENTRY_TRACE_LIFECYCLE) have no transactions; use with_ignore_spans",
        ),
        (stream().with_attribute("", 1), "with_attribute: an attribute needs a key"),
        (
            stream().with_attribute("long", "x".repeat(20_000)),
            "with_attribute: all attributes together may have 16384 bytes, because every span repeats them; found 20004",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
    let transactions = SentryExporter::builder().with_before_send_transaction(Some);
    assert!(transactions.with_ignore_transactions(["GET /health"]).build().is_ok());
}

#[test]
fn no_span_names_its_segment_with_secrets() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder()
        .with_dsn(ingest.dsn())
        .with_lifecycle(TraceLifecycle::Stream)
        .with_scrubber(|key, _| (key == "sentry.custom_span_name").then(|| "[hidden]".into()))
        .build()
        .unwrap();
    let processor = SentrySpanProcessor::from(exporter);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    let tracer = provider.tracer("shop");
    let named = [KeyValue::new("sentry.custom_span_name", "geheim")];
    for attributes in [&named[..], &[]] {
        let builder =
            tracer.span_builder("fetch http://me:geheim@h.io/?token=geheim").with_attributes(attributes.to_vec());
        let root = Context::new().with_span(tracer.build_with_context(builder, &Context::new()));
        // One leaves while the root is open, one with it.
        below(&tracer, &root, "early").span().end();
        processor.flush(PATIENCE).unwrap();
        below(&tracer, &root, "late").span().end();
        root.span().end();
        processor.flush(PATIENCE).unwrap();
    }
    let spans = ingest.spans();
    let names: Vec<_> = spans.iter().map(|span| &span["attributes"]["sentry.segment.name"]["value"]).collect();
    let url = "fetch http://[filtered]:[filtered]@h.io/?token=[Filtered]";
    assert_eq!(names, ["[hidden]", "[hidden]", "[hidden]", url, url, url]);
}

#[test]
fn hooks_and_attributes_of_the_application_reach_every_span() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder()
        .with_dsn(ingest.dsn())
        .with_lifecycle(TraceLifecycle::Stream)
        .with_attribute("tenant", "acme")
        .with_attribute("api-key", "geheim")
        .with_before_send_span(|span| {
            span.data.insert("seen".to_owned(), span.description.clone().into());
            if span.description == "child" {
                span.description = "renamed".to_owned();
            }
        })
        .build()
        .unwrap();
    let provider = SdkTracerProvider::builder().with_span_processor(SentrySpanProcessor::from(exporter)).build();
    let tracer = provider.tracer("shop");
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    below(&tracer, &root, "child").span().end();
    root.span().end();
    provider.shutdown_with_timeout(PATIENCE).unwrap();
    for (name, seen) in [("root", "root"), ("renamed", "child")] {
        let span = ingest.span(name);
        assert_eq!((&span.attributes["tenant"], &span.attributes["seen"]), (&"acme".into(), &seen.into()));
        assert_eq!(span.attributes["api-key"], "[Filtered]");
    }
}

#[test]
fn another_sampler_cannot_drop_an_ignored_tree_but_the_processor_does() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder()
        .with_dsn(ingest.dsn())
        .with_lifecycle(TraceLifecycle::Stream)
        .with_ignore_spans(["health"])
        .build()
        .unwrap();
    let processor = SentrySpanProcessor::from(exporter);
    let provider = SdkTracerProvider::builder().with_span_processor(processor.clone()).build();
    let tracer = provider.tracer("shop");
    let root = Context::new().with_span(tracer.start_with_context("health", &Context::new()));
    below(&tracer, &root, "child").span().end();
    root.span().end();
    tracer.start("other");
    provider.shutdown_with_timeout(PATIENCE).unwrap();
    assert_eq!(ingest.spans().iter().map(|span| &span["name"]).collect::<Vec<_>>(), ["other"]);
    let stats = processor.stats();
    assert_eq!((stats.dropped[&DropReason::Ignored].spans, stats.spans_sent, stats.spans_received), (2, 1, 3));
}

#[test]
fn exceptions_of_ignored_spans_are_still_errors() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder()
        .with_dsn(ingest.dsn())
        .with_lifecycle(TraceLifecycle::Stream)
        .with_exceptions_as_errors(true)
        .with_ignore_spans(["noise"])
        .build()
        .unwrap();
    let provider = SdkTracerProvider::builder().with_span_processor(SentrySpanProcessor::from(exporter)).build();
    let tracer = provider.tracer("shop");
    let root = Context::new().with_span(tracer.start_with_context("root", &Context::new()));
    let noise = below(&tracer, &root, "noise");
    noise.span().record_error(&std::io::Error::other("disk full"));
    noise.span().end();
    root.span().end();
    provider.shutdown_with_timeout(PATIENCE).unwrap();
    assert_eq!(ingest.error("disk full").trace_id, ingest.span("root").trace_id);
    assert_eq!(ingest.spans().len(), 1);
    let error = ingest.envelopes().into_iter().find(|envelope| envelope.items()[0].item_type() == "event").unwrap();
    assert_eq!(error.trace().unwrap()["trace_id"], ingest.span("root").trace_id);
}

#[test]
fn without_the_processor_filters_match_spans_when_they_end() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder()
        .with_dsn(ingest.dsn())
        .with_lifecycle(TraceLifecycle::Stream)
        .with_ignore_spans(["noise"])
        .build()
        .unwrap();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter).build();
    let tracer = provider.tracer("shop");
    tracer.start("noise");
    tracer.start("work");
    provider.shutdown_with_timeout(PATIENCE).unwrap();
    assert_eq!(ingest.spans().iter().map(|span| &span["name"]).collect::<Vec<_>>(), ["work"]);
}
