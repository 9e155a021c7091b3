//! The orders in which OpenTelemetry's API lets spans end, and what is sent of late and lone spans.

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData, SpanProcessor,
};
use opentelemetry_sentry::exporter::{DropReason, testing::LocalIngest};

use super::account::{Arrived, Audited, arrived, named};
use crate::support::{Headers, PATIENCE, exporter_to, sentry_to_ingest};

const T: &str = "771a43a4192642f0b136d5159a501700";
const P: &str = "b0e6f15b45c36b12";

impl Audited {
    fn tracer(&self) -> SdkTracer {
        self.sentry.tracer_provider().tracer("test")
    }

    /// Waits until `count` envelopes have arrived without a flush.
    fn wait_for(&self, count: usize) {
        self.ingest.wait_for(count, PATIENCE).expect("they arrive without a flush");
    }
}

fn start(tracer: &SdkTracer, name: &'static str, parent: &Context) -> Context {
    parent.with_span(tracer.start_with_context(name, parent))
}

fn end(spans: &[&Context]) {
    spans.iter().for_each(|cx| cx.span().end());
}

fn id(cx: &Context) -> String {
    cx.span().span_context().span_id().to_string()
}

#[track_caller]
fn assert_below(child: &Arrived, parent: &Context) {
    assert_eq!(child.trace()["parent_span_id"], id(parent));
    assert_eq!(child.trace_id(), parent.span().span_context().trace_id().to_string());
}

#[test]
fn two_roots_in_one_batch_become_two_transactions() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = exporter_to(&ingest);
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let tracer = provider.tracer("test");
    let [one, other] = ["one", "other"].map(|name| start(&tracer, name, &Context::new()));
    end(&[&start(&tracer, "below one", &one), &start(&tracer, "below other", &other), &other, &one]);
    provider.shutdown_with_timeout(PATIENCE).unwrap();
    let arrived = arrived(&ingest.envelopes());
    assert_eq!(arrived.len(), 2);
    assert_eq!(named(&arrived, "one").below(), ["below one"]);
    assert_eq!(named(&arrived, "other").below(), ["below other"]);
}

#[test]
fn local_roots_of_one_trace_that_are_open_at_once_become_a_transaction_each() {
    let audited = Audited::new();
    let headers = Headers::new([("sentry-trace", &format!("{T}-{P}-1")), ("baggage", "sentry-release=up%401")]);
    let remote = audited.sentry.propagator().extract_with_context(&Context::new(), &headers);
    let tracer = audited.tracer();
    let roots: Vec<_> = ["a", "b", "c"].map(|name| start(&tracer, name, &remote)).into();
    let children: Vec<_> = roots.iter().map(|root| start(&tracer, "child", root)).collect();
    let leaves: Vec<_> = children.iter().map(|child| start(&tracer, "leaf", child)).collect();
    for spans in [&leaves, &children, &roots] {
        end(&spans.iter().rev().collect::<Vec<_>>());
    }
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 3);
    for (name, root) in ["a", "b", "c"].into_iter().zip(&roots) {
        let transaction = named(&arrived, name);
        assert_eq!((transaction.trace_id(), &transaction.trace()["span_id"]), (T, &id(root).into()));
        assert_eq!(transaction.trace()["parent_span_id"], P);
        assert_eq!(transaction.below(), ["child", "leaf"]);
        assert_eq!(transaction.header, arrived[0].header);
    }
}

#[test]
fn in_any_order_in_which_children_end_one_transaction_has_them_all() {
    // The parent of each span by its place; 0 is the root.
    let parents = [0, 0, 1, 0, 3];
    for order in permutations(&[1, 2, 3, 4]) {
        let audited = Audited::new();
        let tracer = audited.tracer();
        let mut spans = vec![start(&tracer, "root", &Context::new())];
        for parent in &parents[1..] {
            spans.push(start(&tracer, "child", &spans[*parent]));
        }
        order.iter().for_each(|place| spans[*place].span().end());
        spans[0].span().end();
        let arrived = audited.settle();
        assert_eq!(arrived.len(), 1, "{order:?}");
        assert_eq!(arrived[0].below().len(), 4, "{order:?}");
    }
}

#[test]
fn nothing_is_lost_wherever_the_root_ends_among_its_children() {
    let parents = [0, 0, 1, 0];
    for order in permutations(&[0, 1, 2, 3]) {
        let audited = Audited::new();
        let tracer = audited.tracer();
        let mut spans = vec![start(&tracer, "root", &Context::new())];
        for parent in &parents[1..] {
            spans.push(start(&tracer, "child", &spans[*parent]));
        }
        order.iter().for_each(|place| spans[*place].span().end());
        let arrived = audited.settle();
        assert!(arrived.iter().all(|transaction| transaction.header.is_some()), "the root's context: {order:?}");
    }
}

/// All permutations of a few places.
fn permutations(places: &[usize]) -> Vec<Vec<usize>> {
    if places.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |first: &usize| {
        let rest: Vec<_> = places.iter().copied().filter(|place| place != first).collect();
        permutations(&rest).into_iter().map(|rest| [vec![*first], rest].concat()).collect::<Vec<_>>()
    };
    places.iter().flat_map(with_first).collect()
}

#[test]
fn a_child_that_ends_after_its_root_was_sent_is_a_late_transaction_of_the_same_trace() {
    let audited = Audited::new();
    let tracer = audited.tracer();
    let root = start(&tracer, "root", &Context::new());
    let late = start(&tracer, "late", &root);
    end(&[&root]);
    audited.wait_for(1);
    end(&[&late]);
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 2);
    assert_below(named(&arrived, "late"), &root);
    assert!(named(&arrived, "late").is_late() && !named(&arrived, "root").is_late());
    assert!(arrived[0].header.is_some());
    assert_eq!(arrived[0].header, arrived[1].header);
}

#[test]
fn children_of_a_late_child_are_sent_with_it_or_after_it() {
    let audited = Audited::new();
    let tracer = audited.tracer();
    let root = start(&tracer, "root", &Context::new());
    let late = start(&tracer, "late", &root);
    let [before, deep, after] = ["before", "deep", "after"].map(|name| start(&tracer, name, &late));
    let deeper = start(&tracer, "deeper", &deep);
    end(&[&root]);
    audited.wait_for(1);
    end(&[&deeper, &deep, &before, &late]);
    assert_eq!(audited.settle().len(), 2);
    end(&[&after]);
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 3);
    assert_eq!(named(&arrived, "late").below(), ["before", "deep", "deeper"]);
    assert_below(named(&arrived, "after"), &late);
    assert!(arrived.iter().all(|transaction| transaction.header == arrived[0].header));
    assert!(["late", "after"].iter().all(|name| named(&arrived, name).is_late()));
}

#[test]
fn a_span_waits_with_its_parent_that_has_ended_but_was_not_sent() {
    let audited = Audited::new();
    let tracer = audited.tracer();
    let root = start(&tracer, "root", &Context::new());
    let parent = start(&tracer, "parent", &root);
    let child = start(&tracer, "child", &parent);
    end(&[&parent]);
    // Another trace arrives only after the worker has taken in `parent`.
    end(&[&start(&tracer, "another trace", &Context::new())]);
    audited.wait_for(1);
    end(&[&child]);
    end(&[&start(&tracer, "a third trace", &Context::new())]);
    audited.wait_for(2);
    end(&[&root]);
    audited.wait_for(3);
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 3);
    assert_eq!(named(&arrived, "root").below(), ["child", "parent"]);
}

#[test]
fn a_child_that_starts_after_its_root_was_sent_stays_below_it() {
    let audited = Audited::new();
    let tracer = audited.tracer();
    let root = start(&tracer, "root", &Context::new());
    end(&[&root]);
    audited.wait_for(1);
    end(&[&start(&tracer, "afterwards", &root)]);
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 2);
    assert_below(named(&arrived, "afterwards"), &root);
    assert_eq!(named(&arrived, "afterwards").header, named(&arrived, "root").header);
}

#[test]
fn an_orphan_beside_a_known_root_becomes_a_transaction_below_its_real_parent() {
    let audited = Audited::new();
    let tracer = audited.tracer();
    let root = start(&tracer, "root", &Context::new());
    let trace_id = root.span().span_context().trace_id();
    // A parent that is never recorded and is not marked as remote.
    let unknown = SpanId::from(0x0b5c);
    let local = SpanContext::new(trace_id, unknown, TraceFlags::SAMPLED, false, TraceState::default());
    let orphan = start(&tracer, "orphan", &Context::new().with_remote_span_context(local));
    end(&[&start(&tracer, "below orphan", &orphan), &orphan, &start(&tracer, "child", &root), &root]);
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 2);
    assert_eq!(named(&arrived, "root").below(), ["child"]);
    let orphan = named(&arrived, "orphan");
    assert_eq!((orphan.trace_id(), orphan.below()), (trace_id.to_string().as_str(), vec!["below orphan"]));
    assert_eq!(orphan.trace()["parent_span_id"], unknown.to_string());
    assert!(!orphan.is_late());
}

#[test]
fn the_incoming_sampling_context_is_on_every_envelope_of_its_trace() {
    let audited = Audited::new();
    let baggage = format!("sentry-trace_id={T},sentry-public_key=up,sentry-sample_rand=0.05,sentry-x=y%20z,other=1");
    let headers = Headers::new([("sentry-trace", &format!("{T}-{P}-1")), ("baggage", &baggage)]);
    let remote = audited.sentry.propagator().extract_with_context(&Context::new(), &headers);
    let tracer = audited.tracer();
    let root = start(&tracer, "root", &remote);
    let late = start(&tracer, "late", &root);
    end(&[&root]);
    audited.wait_for(1);
    end(&[&late]);
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 2);
    let expected = serde_json::json!({ "trace_id": T, "public_key": "up", "sample_rand": "0.05", "x": "y z" });
    for transaction in &arrived {
        assert_eq!(transaction.header.as_ref(), expected.as_object(), "{}", transaction.name());
        assert_eq!(transaction.trace_id(), T);
    }
    assert_eq!(named(&arrived, "root").trace()["parent_span_id"], P);
}

#[test]
fn the_sampling_context_of_a_trace_that_begins_here_is_complete() {
    let (ingest, builder) = sentry_to_ingest();
    let audited = Audited::with(ingest, builder.with_environment("stage").with_traces_sample_rate(1.0));
    end(&[&start(&audited.tracer(), "nightly job", &Context::new())]);
    let arrived = audited.settle();
    let header = arrived[0].header.clone().unwrap();
    let rand: f64 = header["sample_rand"].as_str().unwrap().parse().unwrap();
    assert!((0.0..1.0).contains(&rand));
    let expected = serde_json::json!({
        "trace_id": arrived[0].trace_id(),
        "public_key": "public",
        "release": "shop@1.2.3",
        "environment": "stage",
        "sample_rate": "1",
        "sample_rand": header["sample_rand"],
        "sampled": "true",
        "transaction": "nightly job",
    });
    assert_eq!(Some(&header), expected.as_object());
}

#[test]
fn a_span_without_a_valid_id_is_counted_and_not_sent() {
    let audited = Audited::new();
    let processor = audited.sentry.span_processor();
    let good = opentelemetry_sdk::testing::trace::new_test_export_span_data();
    let ids =
        [(TraceId::INVALID, SpanId::from(1)), (TraceId::from(1), SpanId::INVALID), (TraceId::INVALID, SpanId::INVALID)];
    for (trace_id, span_id) in ids {
        for parent_span_id in [SpanId::INVALID, SpanId::from(2)] {
            let span_context = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::default());
            processor.on_end(SpanData { span_context, parent_span_id, ..good.clone() });
        }
    }
    processor.flush(PATIENCE).unwrap_err();
    assert_eq!(audited.ingest.requests().len(), 0);
    let stats = audited.sentry.stats();
    assert_eq!((stats.spans_received, stats.dropped[&DropReason::Invalid].spans), (6, 6));
    end(&[&start(&audited.tracer(), "work", &Context::new())]);
    assert_eq!(audited.sentry.flush(PATIENCE), Ok(()), "the worker goes on");
    assert_eq!(audited.ingest.envelopes().len(), 1);
}

#[test]
fn a_trace_that_is_exported_in_many_small_batches_is_one_transaction() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = exporter_to(&ingest);
    let config = BatchConfigBuilder::default().with_max_export_batch_size(2).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("test");
    let root = start(&tracer, "root", &Context::new());
    for _ in 0..20 {
        end(&[&start(&tracer, "child", &root)]);
    }
    end(&[&root]);
    provider.shutdown_with_timeout(PATIENCE).unwrap();
    let arrived = arrived(&ingest.envelopes());
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].below().len(), 20);
}
