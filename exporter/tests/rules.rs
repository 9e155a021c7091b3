//! How an application changes what is sent: scrubbing, hooks, filters.

mod support;

use std::collections::BTreeMap;

use opentelemetry::{KeyValue, TraceId, Value, trace::SpanKind};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_exporter::{DropReason, SentryExporter, SpanFilter, Stats};
use serde_json::json;

use self::support::{Pipeline, span};

/// A root 1 with a child 2, which has a child 3: a request, a database query, and the decoding of its rows.
fn three(trace_id: TraceId) -> Vec<SpanData> {
    let named = |id, parent, name: &'static str, attributes: Vec<KeyValue>| {
        let mut span = span(trace_id, id, parent);
        span.name = name.into();
        span.attributes = attributes;
        span
    };
    let mut root = named(
        1,
        0,
        "request",
        vec![
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("http.route", "/users/:id"),
            KeyValue::new("url.full", "https://me:pw@shop.example/users/7?token=xyz"),
            KeyValue::new("http.request.header.authorization", "Bearer x"),
        ],
    );
    root.span_kind = SpanKind::Server;
    let db = named(
        2,
        1,
        "query",
        vec![KeyValue::new("db.system.name", "postgresql"), KeyValue::new("db.query.text", "SELECT 1")],
    );
    vec![named(3, 2, "decode", vec![KeyValue::new("rows", 7)]), db, root]
}

fn dropped(stats: &Stats) -> BTreeMap<DropReason, (u64, u64)> {
    assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped(), "{stats}");
    stats.dropped.iter().map(|(reason, dropped)| (*reason, (dropped.spans, dropped.transactions))).collect()
}

/// Description and parent of each span but the root.
fn children(pipeline: &Pipeline) -> Vec<(String, String)> {
    let transaction = pipeline.ingest.transactions().remove(0);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let spans = transaction["spans"].as_array().cloned().unwrap_or_default();
    spans.iter().map(|span| (text(&span["description"]), text(&span["parent_span_id"]))).collect()
}

#[test]
fn secrets_are_filtered_in_every_field_that_an_attribute_is_copied_to() {
    let pipeline = Pipeline::start(|builder| builder);
    pipeline.send(three(pipeline.new_trace()));
    let sent = pipeline.ingest.transactions().remove(0).to_string();
    for secret in ["pw", "xyz", "Bearer"] {
        assert!(!sent.contains(secret), "{secret} in {sent}");
    }
    let open = Pipeline::start(|builder| builder.with_default_scrubbing(false));
    open.send(three(open.new_trace()));
    let sent = open.ingest.transactions().remove(0);
    assert_eq!(sent["contexts"]["trace"]["data"]["http.request.header.authorization"], "Bearer x");
    assert_eq!(sent["request"]["query_string"], "token=xyz");
    // Credentials in the name and the URL are filtered even without scrubbing.
    assert_eq!(sent["request"]["url"], "https://[filtered]:[filtered]@shop.example/users/7");
}

#[test]
fn a_scrubber_sees_filtered_values_and_replaces_them() {
    let pipeline = Pipeline::start(|builder| {
        builder.with_scrubber(|key, value| match (key, value) {
            ("db.query.text", _) => Some("SELECT ?".into()),
            ("rows", _) => panic!("as the test wants"),
            ("url.full", value) => {
                assert!(value.as_str().contains("token=[Filtered]"));
                None
            }
            _ => None::<Value>,
        })
    });
    pipeline.send(three(pipeline.new_trace()));
    let sent = pipeline.ingest.transactions().remove(0);
    assert_eq!(sent["spans"][0]["description"], "SELECT ?");
    assert_eq!(sent["spans"][0]["data"]["db.query.text"], "SELECT ?");
    assert_eq!(sent["spans"][1]["data"]["rows"], "[Filtered]", "a value whose scrubber panics is hidden");
    assert_eq!(dropped(&pipeline.exporter.stats()), BTreeMap::new());
}

#[test]
fn a_hook_may_change_a_transaction() {
    let pipeline = Pipeline::start(|builder| {
        builder
            .with_before_send_span(|span| {
                if span.op.as_deref() == Some("db") {
                    span.description = "a query".to_owned();
                }
                span.data.insert("seen".to_owned(), span.span_id().into());
            })
            .with_before_send_transaction(|mut event| {
                assert_eq!((event.event_id().len(), event.trace_id().len()), (32, 32));
                event.name = "x".repeat(300);
                event.status = "nonsense".to_owned();
                event.tags.insert("two words".to_owned(), "two\nlines".to_owned());
                event.tags.insert("release".to_owned(), "x".to_owned());
                event.user.insert("id".to_owned(), "7".into());
                event.spans.retain(|span| span.description != "decode");
                Some(event)
            })
    });
    pipeline.send(three(pipeline.new_trace()));
    let sent = pipeline.ingest.transactions().remove(0);
    assert_eq!(sent["transaction"], "x".repeat(200));
    assert_eq!(sent["transaction_info"]["source"], "custom", "the hook chose the name");
    assert_eq!(sent["contexts"]["trace"]["status"], "unknown_error");
    assert_eq!(sent["contexts"]["trace"]["op"], "http.server");
    assert_eq!(sent["contexts"]["trace"]["data"]["seen"], "0000000000000001");
    assert_eq!(sent["tags"], json!({ "two-words": "two lines" }));
    assert_eq!(sent["user"], json!({ "id": "7" }));
    assert_eq!(children(&pipeline), [("a query".to_owned(), "0000000000000001".to_owned())]);
    assert_eq!(dropped(&pipeline.exporter.stats()), BTreeMap::from([(DropReason::BeforeSend, (1, 0))]));
}

#[test]
fn a_transaction_that_hooks_leave_unchanged_is_sent_as_without_hooks() {
    let plain = Pipeline::start(|builder| builder);
    let hooked = Pipeline::start(|builder| builder.with_before_send_span(|_| {}).with_before_send_transaction(Some));
    let spans = three(plain.new_trace());
    plain.send(spans.clone());
    hooked.send(spans);
    let mut sent = [&plain, &hooked].map(|pipeline| pipeline.ingest.transactions().remove(0));
    sent.iter_mut().for_each(|event| event["event_id"] = json!(null));
    assert_eq!(sent[0], sent[1]);
}

#[test]
fn a_hook_drops_a_transaction_by_returning_none_or_by_panicking() {
    let pipeline = Pipeline::start(|builder| {
        builder.with_before_send_transaction(|event| match event.trace_id() {
            id if id.starts_with("0000000000000001") => None,
            id if id.starts_with("0000000000000002") => panic!("as the test wants"),
            _ => Some(event),
        })
    });
    for _ in 0..3 {
        pipeline.send(three(pipeline.new_trace()));
    }
    assert_eq!(pipeline.exporter.stats().transactions_sent, 1);
    let expected = BTreeMap::from([(DropReason::BeforeSend, (3, 1)), (DropReason::InternalSdkError, (3, 1))]);
    assert_eq!(dropped(&pipeline.exporter.stats()), expected);
}

#[test]
fn children_of_an_ignored_span_become_children_of_its_parent() {
    for filter in [
        SpanFilter::from("SELECT *"),
        SpanFilter::new().with_op("db"),
        SpanFilter::new().with_name_regex("^select 1$|^SELECT").with_attribute("db.system.name", "postgresql"),
    ] {
        let pipeline = Pipeline::start(|builder| builder.with_ignore_spans([filter]));
        pipeline.send(three(pipeline.new_trace()));
        assert_eq!(children(&pipeline), [("decode".to_owned(), "0000000000000001".to_owned())]);
        assert_eq!(dropped(&pipeline.exporter.stats()), BTreeMap::from([(DropReason::Ignored, (1, 0))]));
    }
}

#[test]
fn a_filter_that_does_not_match_ignores_nothing() {
    let filters = [
        SpanFilter::new(),
        SpanFilter::new().with_op("db").with_name("decode"),
        SpanFilter::new().with_attribute("rows", "8"),
        SpanFilter::from(""),
    ];
    let pipeline = Pipeline::start(|builder| builder.with_ignore_spans(filters).with_ignore_transactions(["decode"]));
    pipeline.send(three(pipeline.new_trace()));
    assert_eq!(pipeline.exporter.stats().spans_sent, 3);
}

#[test]
fn an_ignored_root_drops_its_transaction() {
    for ignore_span in [true, false] {
        let pipeline = Pipeline::start(|builder| match ignore_span {
            true => builder.with_ignore_spans(["GET /users/*"]),
            false => builder.with_ignore_transactions([SpanFilter::new().with_op("http.*")]),
        });
        pipeline.send(three(pipeline.new_trace()));
        assert_eq!(pipeline.ingest.transactions().len(), 0);
        assert_eq!(dropped(&pipeline.exporter.stats()), BTreeMap::from([(DropReason::Ignored, (3, 1))]));
    }
}

#[test]
fn children_of_an_ignored_span_at_the_top_of_an_early_part_become_transactions() {
    let pipeline = Pipeline::start(|builder| builder.with_ignore_spans([SpanFilter::new().with_op("db")]));
    let mut spans = three(pipeline.new_trace());
    spans.remove(2);
    pipeline.send(spans);
    let sent = pipeline.ingest.transactions().remove(0);
    assert_eq!(
        (&sent["transaction"], &sent["contexts"]["trace"]["parent_span_id"]),
        (&json!("decode"), &json!("0000000000000001"))
    );
    assert_eq!(dropped(&pipeline.exporter.stats()), BTreeMap::from([(DropReason::Ignored, (1, 0))]));
}

#[test]
fn invalid_tags_and_filters_are_errors_when_the_exporter_is_built() {
    let build =
        |builder: opentelemetry_sentry_exporter::SentryExporterBuilder| builder.build().unwrap_err().to_string();
    let builder = SentryExporter::builder;
    assert_eq!(build(builder().with_tag("release", "1")), "with_tag: Sentry keeps the key \"release\" for itself");
    assert_eq!(build(builder().with_tag_attributes([" "])), "with_tag: a tag needs a key");
    let error = build(builder().with_ignore_spans([SpanFilter::new().with_name_regex("(")]));
    assert!(error.starts_with("with_name_regex: \"(\" is not a valid regular expression: "), "{error}");
}

#[test]
fn a_hook_cannot_add_spans() {
    let pipeline = Pipeline::start(|builder| {
        builder.with_before_send_transaction(|mut event| {
            event.spans.extend(event.spans.clone());
            Some(event)
        })
    });
    pipeline.send(three(pipeline.new_trace()));
    assert_eq!(children(&pipeline).len(), 2);
    assert_eq!(dropped(&pipeline.exporter.stats()), BTreeMap::new());
}

#[test]
fn a_trace_with_thousands_of_exceptions_sends_a_hundred_error_events() {
    let pipeline = Pipeline::start(|builder| builder.with_exceptions_as_errors(true));
    let mut root = span(pipeline.new_trace(), 1, 0);
    for number in 0..5000 {
        let attributes = vec![KeyValue::new("exception.message", format!("failure {number}"))];
        root.events.events.push(opentelemetry::trace::Event::new("exception", root.end_time, attributes, 0));
    }
    pipeline.send(vec![root]);
    let stats = pipeline.exporter.stats();
    assert_eq!((stats.errors_sent, stats.dropped[&DropReason::BufferOverflow].errors), (100, 4900));
    assert_eq!(pipeline.ingest.errors().len(), 100);
}

/// A span with two exceptions, the second one handled by a hook or an ignore list.
fn failures(pipeline: &Pipeline) -> SpanData {
    let mut root = span(pipeline.new_trace(), 1, 0);
    for (kind, message) in [("shop::NoStock", "no lamps left"), ("io::Error", "connection reset by peer")] {
        let attributes = vec![KeyValue::new("exception.type", kind), KeyValue::new("exception.message", message)];
        root.events.events.push(opentelemetry::trace::Event::new("exception", root.end_time, attributes, 0));
    }
    root
}

#[test]
fn a_hook_changes_and_drops_error_events() {
    let pipeline = Pipeline::start(|builder| {
        builder.with_exceptions_as_errors(true).with_before_send_error(|mut event| {
            if event.exception_type == "io::Error" {
                return None;
            }
            event.message = format!("{}!", event.message);
            event.level = "nonsense".to_owned();
            event.tags = BTreeMap::from([("tenant".to_owned(), "acme".to_owned())]);
            event.user.insert("id".to_owned(), json!("7"));
            event.fingerprint = vec!["stock".to_owned()];
            Some(event)
        })
    });
    pipeline.send(vec![failures(&pipeline)]);
    let errors = pipeline.ingest.errors();
    assert_eq!(errors.len(), 1);
    let raised = &errors[0]["exception"]["values"][0];
    assert_eq!((&raised["type"], &raised["value"]), (&json!("shop::NoStock"), &json!("no lamps left!")));
    assert_eq!((&errors[0]["level"], &errors[0]["fingerprint"]), (&json!("error"), &json!(["stock"])));
    assert_eq!((&errors[0]["tags"]["tenant"], &errors[0]["user"]["id"]), (&json!("acme"), &json!("7")));
    let stats = pipeline.exporter.stats();
    assert_eq!((stats.errors_sent, stats.dropped[&DropReason::BeforeSend].errors), (1, 1));
}

/// Sentry rejects an exception without a type and a message.
#[test]
fn an_error_event_that_a_hook_empties_has_a_type() {
    let pipeline = Pipeline::start(|builder| {
        builder.with_exceptions_as_errors(true).with_before_send_error(|mut event| {
            event.exception_type.clear();
            event.message.clear();
            Some(event)
        })
    });
    pipeline.send(vec![failures(&pipeline)]);
    let errors = pipeline.ingest.errors();
    let types: Vec<_> = errors.iter().map(|error| &error["exception"]["values"][0]["type"]).collect();
    assert_eq!(types, ["Error", "Error"]);
}

#[test]
fn a_hook_for_error_events_that_panics_or_adds_too_much_drops_them() {
    type Hook = fn(opentelemetry_sentry_exporter::ErrorEvent) -> Option<opentelemetry_sentry_exporter::ErrorEvent>;
    let too_much: Hook = |mut event| {
        event.fingerprint = vec!["x".repeat(2_000_000)];
        Some(event)
    };
    for (hook, reason) in
        [((|_| panic!("a bug")) as Hook, DropReason::InternalSdkError), (too_much, DropReason::Invalid)]
    {
        let pipeline = Pipeline::start(|builder| builder.with_exceptions_as_errors(true).with_before_send_error(hook));
        pipeline.send(vec![failures(&pipeline)]);
        let stats = pipeline.exporter.stats();
        assert_eq!((stats.spans_sent, stats.errors_sent, stats.dropped[&reason].errors), (1, 0, 2));
    }
}

#[test]
fn error_events_are_ignored_by_a_part_of_type_and_message() {
    for (part, left) in [("NoStock", 1), ("shop::NoStock: no lamps", 1), ("reset by", 1), ("", 2), ("other", 2)] {
        let pipeline = Pipeline::start(|builder| builder.with_exceptions_as_errors(true).with_ignore_errors([part]));
        pipeline.send(vec![failures(&pipeline)]);
        assert_eq!(pipeline.ingest.errors().len(), left, "{part}");
        let stats = pipeline.exporter.stats();
        let ignored = stats.dropped.get(&DropReason::Ignored).map_or(0, |dropped| dropped.errors);
        assert_eq!((stats.errors_sent, ignored), (left as u64, 2 - left as u64));
    }
}
