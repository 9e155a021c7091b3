//! The transactions and headers that arrive at Sentry.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{Span as _, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sentry::{exporter::testing::Envelope, protocol::DynamicSamplingContext};
use serde_json::{Value, json};
use tracing_subscriber::prelude::*;

use crate::support::{Headers, PATIENCE, sentry_to_ingest};

const T: &str = "771a43a4192642f0b136d5159a501700";
const P: &str = "b0e6f15b45c36b12";

#[test]
fn tracing_spans_become_one_transaction() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        let server = tracing::info_span!(
            "HTTP",
            otel.kind = "server",
            http.request.method = "GET",
            http.route = "/users/:id",
            http.response.status_code = 200_u16,
        );
        let _server = server.enter();
        load_user(42);
    });
    let transaction = only_transaction(&ingest.wait_for(1, PATIENCE).unwrap());
    assert_eq!(transaction["transaction"], "GET /users/:id");
    assert_eq!(transaction["transaction_info"]["source"], "route");
    assert_eq!(transaction["platform"], "native");
    assert_eq!(transaction["release"], "shop@1.2.3");
    assert_eq!(transaction["environment"], "production");
    let trace = &transaction["contexts"]["trace"];
    assert_eq!(trace["op"], "http.server");
    assert_eq!(trace["status"], "ok");
    assert_eq!(trace["data"]["otel.kind"], "SERVER");
    assert_eq!(trace["data"]["http.response.status_code"], 200);
    assert_eq!(trace["data"]["sentry.sample_rate"], 1.0);
    assert_eq!(trace.get("parent_span_id"), None);
    let [handler, query] = spans(&transaction);
    assert_eq!(handler["description"], "load_user");
    assert_eq!(handler["parent_span_id"], trace["span_id"]);
    assert_eq!(handler["data"]["id"], 42);
    assert_eq!(query["op"], "db");
    assert_eq!(query["description"], "SELECT name FROM users WHERE id = ?");
    assert_eq!(query["parent_span_id"], handler["span_id"]);
}

#[tracing::instrument]
fn load_user(id: i64) {
    let _query = tracing::info_span!(
        "query",
        otel.kind = "client",
        db.system.name = "sqlite",
        db.query.text = "SELECT name FROM users WHERE id = ?",
    )
    .entered();
}

#[test]
fn the_envelope_of_a_continued_trace_has_the_incoming_sampling_context() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_traces_sample_rate(0.0).build().unwrap();
    let baggage =
        "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=up,sentry-sample_rand=0.05,other=1";
    let headers = Headers::new([("sentry-trace", &format!("{T}-{P}-1")), ("baggage", baggage)]);
    let cx = sentry.propagator().extract_with_context(&Context::new(), &headers);
    sentry.tracer_provider().tracer("test").start_with_context("work", &cx);
    let envelope = ingest.wait_for(1, PATIENCE).unwrap().remove(0);
    let dsc = json!({ "trace_id": T, "public_key": "up", "sample_rand": "0.05" });
    assert_eq!(envelope.trace().cloned().map(Value::Object), Some(dsc));
    let transaction = envelope.items()[0].json().unwrap();
    assert_eq!(transaction["contexts"]["trace"]["trace_id"], T);
    assert_eq!(transaction["contexts"]["trace"]["parent_span_id"], P);
}

#[test]
fn the_envelope_of_a_trace_without_sentry_baggage_has_no_sampling_context() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let headers = Headers::new([("sentry-trace", &format!("{T}-{P}-1")), ("baggage", "other=1")]);
    let cx = sentry.propagator().extract_with_context(&Context::new(), &headers);
    sentry.tracer_provider().tracer("test").start_with_context("work", &cx);
    assert_eq!(ingest.wait_for(1, PATIENCE).unwrap()[0].trace(), None);
}

#[test]
fn headers_and_envelope_of_a_new_trace_have_the_same_sampling_context() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    for extracted in [Context::new(), sentry.propagator().extract_with_context(&Context::new(), &Headers::default())] {
        ingest.clear();
        let span = sentry.tracer_provider().tracer("test").start_with_context("nightly job", &extracted);
        let cx = extracted.with_span(span);
        let mut sent = HashMap::new();
        sentry.propagator().inject_context(&cx, &mut sent);
        drop(cx);
        let dsc: DynamicSamplingContext = sent["baggage"].parse().unwrap();
        let entries = dsc.iter().map(|(key, value)| (key.into_owned(), json!(value))).collect();
        assert_eq!(dsc.get("transaction").as_deref(), Some("nightly job"));
        assert_eq!(dsc.get("sample_rate").as_deref(), Some("1"));
        assert_eq!(ingest.wait_for(1, PATIENCE).unwrap()[0].trace(), Some(&entries));
    }
}

#[test]
fn a_child_that_ends_after_its_root_is_sent_and_marked() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let root = Context::new().with_span(tracer.start("root"));
    let late = root.with_span(tracer.start_with_context("late", &root));
    let grandchild = tracer.start_with_context("under late", &late);
    root.span().end();
    ingest.wait_for(1, PATIENCE).unwrap();
    drop(grandchild);
    late.span().end();
    let envelopes = ingest.wait_for(2, PATIENCE).unwrap();
    assert_eq!(envelopes[1].trace(), envelopes[0].trace());
    let transactions = ingest.transactions();
    let trace = &transactions[1]["contexts"]["trace"];
    assert_eq!(transactions[1]["transaction"], "late");
    assert_eq!(trace["parent_span_id"], transactions[0]["contexts"]["trace"]["span_id"]);
    assert_eq!(trace["data"]["sentry.parent_span_already_sent"], true);
    let [grandchild] = spans(&transactions[1]);
    assert_eq!(grandchild["description"], "under late");
}

#[test]
fn secrets_in_attributes_are_filtered_and_numbers_are_not() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let attributes = [
        KeyValue::new("http.request.header.authorization", "Bearer abc"),
        KeyValue::new("user.API_KEY", "abc"),
        KeyValue::new("gen_ai.usage.input_tokens", 7),
        KeyValue::new("ratio", f64::NAN),
        KeyValue::new("twice", 1),
        KeyValue::new("twice", 2),
    ];
    tracer.build(tracer.span_builder("work").with_attributes(attributes)).set_status(Status::error("cancelled"));
    let transaction = only_transaction(&ingest.wait_for(1, PATIENCE).unwrap());
    let trace = &transaction["contexts"]["trace"];
    assert_eq!(trace["data"]["http.request.header.authorization"], "[Filtered]");
    assert_eq!(trace["data"]["user.API_KEY"], "[Filtered]");
    assert_eq!(trace["data"]["gen_ai.usage.input_tokens"], 7);
    assert_eq!(trace["data"]["ratio"], "NaN");
    assert_eq!(trace["data"]["twice"], 2);
    assert_eq!(trace["status"], "cancelled");
}

#[test]
fn spans_below_info_are_taken_only_if_asked_for() {
    let work = || {
        tracing::info_span!("request").in_scope(|| {
            // As h2 and hyper do around everything.
            tracing::debug_span!("Connection").in_scope(|| {
                tracing::trace_span!("poll").in_scope(|| tracing::info_span!("query").in_scope(|| ()));
            });
        });
        tracing::debug_span!("a root of a library").in_scope(|| ());
    };
    let names = |is_filtered: bool| {
        let (ingest, builder) = sentry_to_ingest();
        let sentry = builder.build().unwrap();
        if is_filtered {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(sentry.tracing_layer()), work);
        } else {
            let subscriber = tracing_subscriber::registry().with(sentry.unfiltered_tracing_layer());
            tracing::subscriber::with_default(subscriber, work);
        }
        sentry.flush(PATIENCE).unwrap();
        let names = ingest.transactions().into_iter().map(|transaction| {
            let spans = transaction["spans"].as_array().unwrap().iter();
            let parents =
                spans.clone().filter(|span| span["parent_span_id"] == transaction["contexts"]["trace"]["span_id"]);
            let name = transaction["transaction"].as_str().unwrap().to_owned();
            (name, spans.len(), parents.count())
        });
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let expected = |all: &[(&str, usize, usize)]| {
        all.iter().map(|(name, spans, children)| ((*name).to_owned(), *spans, *children)).collect()
    };
    assert_eq!(names(true), expected(&[("request", 1, 1)]));
    assert_eq!(names(false), expected(&[("request", 3, 1), ("a root of a library", 0, 0)]));
}

#[test]
fn a_span_that_a_panic_ends_has_failed() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let work = || {
        let _outer = tracer.start("ends in the panic");
        let mut with_status = tracer.start("says that it is well");
        with_status.set_status(Status::Ok);
        panic!("a bug");
    };
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    tracer.start("later");
    sentry.flush(PATIENCE).unwrap();
    let status = |name: &str| {
        let transaction = ingest.transactions().into_iter().find(|transaction| transaction["transaction"] == name);
        transaction.expect(name)["contexts"]["trace"]["status"].clone()
    };
    assert_eq!(status("ends in the panic"), "internal_error");
    assert_eq!((status("says that it is well"), status("later")), (json!("ok"), json!("ok")));
}

#[test]
fn the_text_of_an_error_is_kept() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        #[tracing::instrument(err)]
        fn fails() -> Result<(), &'static str> {
            Err("no such table: sales")
        }
        let _ = fails();
    });
    let transaction = only_transaction(&ingest.wait_for(1, PATIENCE).unwrap());
    let trace = &transaction["contexts"]["trace"];
    assert_eq!(trace["status"], "internal_error");
    assert_eq!(trace["data"]["sentry.status.message"], "no such table: sales");
}

#[test]
fn more_spans_than_a_transaction_may_have_are_sent_in_several() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let root = Context::new().with_span(tracer.start("root"));
    for _ in 0..30 {
        let branch = root.with_span(tracer.start_with_context("branch", &root));
        for _ in 0..49 {
            tracer.start_with_context("leaf", &branch);
        }
        branch.span().end();
    }
    root.span().end();
    sentry.flush(PATIENCE).unwrap();
    let transactions = ingest.transactions();
    let sizes = transactions.iter().map(|transaction| 1 + transaction["spans"].as_array().unwrap().len());
    assert!(sizes.clone().all(|size| size <= 1000));
    assert_eq!(sizes.sum::<usize>(), 1 + 30 * 50);
    assert_eq!(sentry.stats().spans_sent, 1 + 30 * 50);
}

fn only_transaction(envelopes: &[Envelope]) -> Value {
    assert_eq!(envelopes.len(), 1);
    envelopes[0].items()[0].json().expect("JSON")
}

fn spans<const N: usize>(transaction: &Value) -> [Value; N] {
    transaction["spans"].as_array().expect("spans").clone().try_into().expect("the expected number of spans")
}
