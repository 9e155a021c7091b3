//! Spans of generative models leave beside their transaction.

#[path = "support/case.rs"]
mod case;
mod support;

use std::collections::BTreeMap;

use opentelemetry::{KeyValue, SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_exporter::{DropReason, TraceLifecycle, testing::Envelope};
use opentelemetry_sentry_vectors::{Joined, each};
use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    case::SpanCase,
    support::{Pipeline, span},
};

#[derive(Deserialize)]
struct Case {
    spans: Vec<Joined<SpanCase, Ids>>,
    transaction: Vec<u64>,
    beside: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Ids {
    id: u64,
    parent: u64,
}

impl Case {
    fn spans(&self, trace_id: TraceId) -> Vec<SpanData> {
        let span = |Joined(case, ids): &Joined<SpanCase, Ids>| case.apply_to(span(trace_id, ids.id, ids.parent));
        self.spans.iter().map(span).collect()
    }
}

/// A span 2 in which a model is asked, below a job 1.
fn chat(trace_id: TraceId) -> Vec<SpanData> {
    let mut chat = span(trace_id, 2, 1);
    chat.attributes = vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.request.model", "gpt-4o"),
        KeyValue::new("gen_ai.prompt", "a secret"),
    ];
    let mut job = span(trace_id, 1, 0);
    job.name = "job".into();
    vec![chat, job]
}

/// Gives an answer of this length to a chat.
fn long(chat: &mut SpanData, bytes: usize) {
    chat.attributes.push(KeyValue::new("gen_ai.output.messages", "x".repeat(bytes)));
}

fn id(number: &str) -> String {
    format!("{:016x}", number.parse::<u64>().expect("a number"))
}

fn types(envelope: &Envelope) -> Vec<&str> {
    envelope.items().iter().map(|item| item.item_type()).collect()
}

/// The items of the container of an envelope.
fn container(envelope: &Envelope) -> Vec<Value> {
    let item = envelope.items().iter().find(|item| item.item_type() == "span");
    let json = item.map(|item| item.json().expect("JSON"));
    json.and_then(|json| json["items"].as_array().cloned()).unwrap_or_default()
}

/// What a streamed span has in any lifecycle.
fn common(mut span: Value) -> Value {
    let attributes = span["attributes"].as_object_mut().expect("attributes");
    attributes.retain(|key, _| key != "sentry.trace_lifecycle" && !key.starts_with("sentry.segment."));
    span
}

#[test]
fn spans_leave_beside_the_transaction_as_the_vectors_say() {
    let pipeline = Pipeline::start(|exporter| exporter.with_release("shop@1"));
    let stream = Pipeline::start(|exporter| exporter.with_release("shop@1").with_lifecycle(TraceLifecycle::Stream));
    each("gen_ai_items", |case: &Case| {
        let spans = case.spans(pipeline.new_trace());
        let envelopes = pipeline.send(spans.clone());
        let [envelope] = &envelopes[..] else { panic!("one envelope, found {}", envelopes.len()) };
        let event = envelope.items()[0].json().expect("JSON");
        let ids: Vec<_> = event["spans"].as_array().into_iter().flatten().map(|span| span["span_id"].clone()).collect();
        let stay: Vec<_> = case.transaction.iter().map(|id| Value::from(format!("{id:016x}"))).collect();
        assert_eq!(ids, stay, "in the transaction");
        let wanted_types: &[_] = if case.beside.is_empty() { &["transaction"] } else { &["transaction", "span"] };
        assert_eq!(types(envelope), wanted_types);

        let beside = container(envelope);
        assert_eq!(beside.len(), case.beside.len());
        stream.send(spans);
        for (number, pointers) in &case.beside {
            let find = |all: Vec<Value>| all.into_iter().find(|span| span["span_id"] == *id(number)).expect(number);
            let span = find(beside.clone());
            for (pointer, value) in pointers {
                assert_eq!(span.pointer(pointer).unwrap_or(&Value::Null), value, "{number}: {pointer}");
            }
            let streamed = find(stream.ingest.envelopes().iter().flat_map(container).collect());
            assert_eq!(common(span), common(streamed), "a stream has the same span");
        }
    });
    let stats = pipeline.exporter.stats();
    assert_eq!((stats.spans_received, stats.spans_dropped()), (stats.spans_sent, 0));
}

#[test]
fn a_switch_keeps_them_in_the_transaction() {
    let pipeline = Pipeline::start(|exporter| exporter.with_gen_ai_span_items(false));
    let envelopes = pipeline.send(chat(pipeline.new_trace()));
    assert_eq!(types(&envelopes[0]), ["transaction"]);
    assert_eq!(pipeline.ingest.transactions()[0]["spans"][0]["op"], "gen_ai.chat");
}

#[test]
fn large_ones_cost_the_transaction_nothing() {
    let pipeline = Pipeline::start(|exporter| exporter);
    let mut spans = chat(pipeline.new_trace());
    long(&mut spans[0], 700_000);
    for id in 3..6 {
        let mut more = span(spans[0].span_context.trace_id(), id, 1);
        more.attributes = spans[0].attributes.clone();
        spans.insert(0, more);
    }
    let envelopes = pipeline.send(spans);
    let found: Vec<_> = envelopes.iter().map(|envelope| (types(envelope), container(envelope).len())).collect();
    assert_eq!(found.iter().filter(|(types, _)| types[0] == "transaction").count(), 1, "{found:?}");
    assert_eq!(found.iter().map(|(_, spans)| spans).sum::<usize>(), 4, "{found:?}");
    assert!(envelopes.iter().all(|envelope| envelope.trace().is_some()));
    let stats = pipeline.exporter.stats();
    assert_eq!((stats.spans_sent, stats.transactions_sent, stats.trimmed.bytes), (5, 1, 0));
}

#[test]
fn one_that_is_too_large_alone_is_cut() {
    let pipeline = Pipeline::start(|exporter| exporter);
    let mut spans = chat(pipeline.new_trace());
    long(&mut spans[0], 3_000_000);
    let envelopes = pipeline.send(spans);
    assert_eq!(types(&envelopes[0]), ["transaction", "span"]);
    let stats = pipeline.exporter.stats();
    assert_eq!((stats.spans_sent, stats.spans_dropped()), (2, 0));
    assert!(stats.trimmed.bytes > 2_000_000);
}

#[test]
fn a_trace_whose_context_is_not_known_gets_one() {
    let pipeline = Pipeline::start(|exporter| exporter);
    let mut spans = chat(pipeline.new_trace());
    // Their local root is elsewhere, so the exporter never sees its context.
    spans[1].parent_span_id = SpanId::from_bytes([9; 8]);
    let trace_id = spans[0].span_context.trace_id().to_string();
    let envelopes = pipeline.send(spans);
    let trace = envelopes[0].trace().expect("Sentry refuses streamed spans without it");
    assert_eq!((&trace["trace_id"], &trace["public_key"]), (&json!(trace_id), &json!("public")));
    assert_eq!(types(&envelopes[0]), ["transaction", "span"]);
}

#[test]
fn more_than_a_thousand_leave_in_several_containers() {
    let pipeline = Pipeline::start(|exporter| exporter);
    let trace_id = pipeline.new_trace();
    let mut spans = chat(trace_id);
    for id in 3..2503 {
        let mut more = span(trace_id, id, 1);
        more.attributes = vec![KeyValue::new("gen_ai.operation.name", "chat")];
        spans.insert(0, more);
    }
    let envelopes = pipeline.send(spans);
    let mut found: Vec<_> = envelopes.iter().map(|envelope| (types(envelope), container(envelope).len())).collect();
    found.sort();
    let wanted = [(vec!["span"], 501), (vec!["span"], 1000), (vec!["transaction", "span"], 1000)];
    assert_eq!(found, wanted);
    assert_eq!(pipeline.exporter.stats().spans_sent, 2502);
}

#[test]
fn hooks_see_them_in_the_transaction_and_what_they_change_leaves() {
    let pipeline = Pipeline::start(|exporter| {
        exporter
            .with_before_send_span(|span| {
                if span.op.as_deref() == Some("gen_ai.chat") {
                    span.data.remove("gen_ai.prompt");
                    span.data.insert("gen_ai.system".to_owned(), "openai".into());
                    span.data.insert("score".to_owned(), json!({ "b": 1, "a": [1.5] }));
                    span.description = "chat hidden".to_owned();
                    span.status = "aborted".to_owned();
                }
            })
            .with_before_send_transaction(|mut event| {
                event.name = format!("{} with {} spans", event.name, event.spans.len());
                Some(event)
            })
    });
    let envelopes = pipeline.send(chat(pipeline.new_trace()));
    let event = envelopes[0].items()[0].json().unwrap();
    assert_eq!((&event["transaction"], &event["spans"]), (&json!("job with 1 spans"), &json!([])));
    let [span] = &container(&envelopes[0])[..] else { panic!("one span") };
    assert_eq!((&span["name"], &span["status"]), (&json!("chat hidden"), &json!("error")));
    let value = |key: &str| span["attributes"][key]["value"].clone();
    assert_eq!(value("gen_ai.input.messages"), Value::Null, "a hook removed it under its old name");
    assert_eq!(value("gen_ai.provider.name"), "openai");
    assert_eq!(value("score"), r#"{"a":[1.5],"b":1}"#);
    assert_eq!(value("sentry.status.message"), "aborted");
    assert_eq!(value("sentry.segment.name"), "job with 1 spans");
}

#[test]
fn a_hook_that_changes_nothing_changes_no_item() {
    let plain = Pipeline::start(|exporter| exporter);
    let hooked = Pipeline::start(|exporter| exporter.with_before_send_span(|_| {}).with_before_send_transaction(Some));
    each("gen_ai_items", |case: &Case| {
        let spans = case.spans(plain.new_trace());
        let containers = [&plain, &hooked]
            .map(|pipeline| pipeline.send(spans.clone()).iter().flat_map(container).collect::<Vec<_>>());
        assert_eq!(containers[0], containers[1]);
    });
}

#[test]
fn a_hook_that_changes_the_op_decides_where_a_span_leaves() {
    let pipeline = Pipeline::start(|exporter| {
        exporter.with_before_send_span(|span| {
            span.op = Some(if span.op.is_some() { "work" } else { "gen_ai.think" }.to_owned());
        })
    });
    let trace_id = pipeline.new_trace();
    let mut spans = chat(trace_id);
    spans.insert(0, span(trace_id, 3, 1));
    let envelopes = pipeline.send(spans);
    let event = envelopes[0].items()[0].json().unwrap();
    assert_eq!(event["spans"][0]["span_id"], *id("2"));
    let beside = container(&envelopes[0]);
    assert_eq!((beside.len(), &beside[0]["span_id"]), (1, &json!(id("3"))));
    assert_eq!(beside[0]["attributes"]["sentry.op"]["value"], "gen_ai.think");
}

#[test]
fn long_ones_to_which_a_hook_gives_another_op_do_not_cost_the_transaction() {
    let pipeline = Pipeline::start(|exporter| {
        exporter.with_before_send_span(|span| span.op = Some("work".to_owned()).filter(|_| span.op.is_some()))
    });
    let mut spans = chat(pipeline.new_trace());
    long(&mut spans[0], 1_200_000);
    spans.insert(0, span(spans[0].span_context.trace_id(), 3, 1));
    let envelopes = pipeline.send(spans);
    let event = envelopes[0].items()[0].json().unwrap();
    assert_eq!((event["spans"].as_array().map(Vec::len), &event["spans"][0]["span_id"]), (Some(1), &json!(id("3"))));
    let beside = container(&envelopes[0]);
    assert_eq!((beside.len(), &beside[0]["attributes"]["sentry.op"]["value"]), (1, &json!("work")));
    let stats = pipeline.exporter.stats();
    assert_eq!((stats.spans_sent, stats.transactions_sent, stats.spans_dropped()), (3, 1, 0));
}

#[test]
fn a_transaction_that_a_hook_drops_counts_them_and_so_do_spans_that_it_removes() {
    let dropping = Pipeline::start(|exporter| exporter.with_before_send_transaction(|_| None));
    assert_eq!(dropping.send(chat(dropping.new_trace())).len(), 0);
    let dropped = dropping.exporter.stats().dropped[&DropReason::BeforeSend];
    assert_eq!((dropped.spans, dropped.transactions), (2, 1));

    let removing = Pipeline::start(|exporter| {
        exporter.with_before_send_transaction(|mut event| {
            event.spans.clear();
            Some(event)
        })
    });
    let envelopes = removing.send(chat(removing.new_trace()));
    assert_eq!(types(&envelopes[0])[0], "transaction");
    let stats = removing.exporter.stats();
    assert_eq!((stats.spans_sent, stats.dropped[&DropReason::BeforeSend].spans), (1, 1));
    assert_eq!(container(&envelopes[0]).len(), 0);
}

#[test]
fn an_ignored_one_leaves_nowhere_and_its_children_move_up() {
    let pipeline = Pipeline::start(|exporter| exporter.with_ignore_spans(["orig"]));
    let mut spans = chat(pipeline.new_trace());
    spans[0].name = "orig".into();
    let mut tool = span(spans[0].span_context.trace_id(), 3, 2);
    tool.name = "tool".into();
    tool.attributes = vec![KeyValue::new("gen_ai.operation.name", "execute_tool")];
    spans.insert(0, tool);
    let envelopes = pipeline.send(spans);
    let [tool] = &container(&envelopes[0])[..] else { panic!("one span") };
    assert_eq!((&tool["span_id"], &tool["parent_span_id"]), (&json!(id("3")), &json!(id("1"))));
    assert_eq!(pipeline.exporter.stats().dropped[&DropReason::Ignored].spans, 1);
}
