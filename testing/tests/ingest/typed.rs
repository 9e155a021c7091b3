//! What a test reads without paths into JSON.

use std::panic::catch_unwind;

use opentelemetry_sentry_testing::LocalIngest;
use serde_json::json;

use crate::support::{AUTH, ID, PATH, TYPE, post, start};

const TRACE: &str = "771a43a4192642f0b136d5159a501700";

fn ingest() -> LocalIngest {
    let ingest = start();
    let spans = json!([
        { "span_id": "2".repeat(16), "parent_span_id": "1".repeat(16), "trace_id": TRACE, "description": "query",
          "op": "db", "status": "ok", "start_timestamp": 1, "timestamp": 2, "data": { "rows": 7 } },
        { "span_id": "3".repeat(16), "parent_span_id": "1".repeat(16), "trace_id": TRACE, "description": "twice",
          "start_timestamp": 1, "timestamp": 2 },
        { "span_id": "4".repeat(16), "parent_span_id": "1".repeat(16), "trace_id": TRACE, "description": "twice",
          "start_timestamp": 1, "timestamp": 2 },
    ]);
    let root = json!({ "trace_id": TRACE, "span_id": "1".repeat(16), "op": "http.server", "status": "ok",
        "data": { "http.route": "/x" } });
    let transaction = json!({ "event_id": ID, "type": "transaction", "transaction": "GET /x",
        "transaction_info": { "source": "route" }, "start_timestamp": 1, "timestamp": 2, "contexts": { "trace": root },
        "tags": { "tenant": "acme" }, "spans": spans });
    let values = json!([{ "type": "Error", "value": "cause" }, { "type": "shop::NoStock", "value": "no lamps left" }]);
    let error = json!({ "event_id": ID, "level": "error", "transaction": "GET /x", "exception": { "values": values },
        "contexts": { "trace": { "trace_id": TRACE, "span_id": "2".repeat(16) } } });
    for (kind, event) in [("transaction", transaction), ("event", error)] {
        let body = format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"{kind}\"}}\n{event}");
        let response = post(&ingest, &format!("POST {PATH}"), &[AUTH, TYPE], body.as_bytes());
        assert_eq!(response.status, 200, "{response:?}");
    }
    ingest
}

#[test]
fn transactions_spans_and_errors_are_found_by_name() {
    let ingest = ingest();
    let request = ingest.transaction("GET /x");
    assert_eq!(
        (request.op.as_deref(), request.status.as_str(), request.source.as_str()),
        (Some("http.server"), "ok", "route")
    );
    assert_eq!((request.trace_id.as_str(), request.parent_span_id.as_ref()), (TRACE, None));
    assert_eq!((&request.data["http.route"], request.tags["tenant"].as_str()), (&json!("/x"), "acme"));
    assert_eq!((request.spans.len(), &request.json["transaction"]), (3, &json!("GET /x")));
    let query = request.span("query");
    assert_eq!((query.op.as_deref(), query.parent_span_id.as_ref()), (Some("db"), Some(&request.span_id)));
    assert_eq!((query.data["rows"].as_u64(), query.status.as_str()), (Some(7), "ok"));
    let error = ingest.error("NoStock: no lamps");
    assert_eq!((error.exception_type.as_str(), error.message.as_str()), ("shop::NoStock", "no lamps left"));
    assert_eq!((error.span_id.as_str(), error.transaction.as_str()), (query.span_id.as_str(), "GET /x"));
    assert_eq!((error.trace_id.as_str(), error.level.as_str(), error.tags.len()), (TRACE, "error", 0));
}

#[test]
fn what_is_not_there_once_is_named_with_what_is() {
    let ingest = ingest();
    let message =
        |f: &(dyn Fn() + std::panic::RefUnwindSafe)| *catch_unwind(f).unwrap_err().downcast::<String>().unwrap();
    let request = ingest.transaction("GET /x");
    assert_eq!(
        message(&|| drop(request.span("other").clone())),
        r#"no span "other" among ["query", "twice", "twice"]"#
    );
    assert_eq!(
        message(&|| drop(request.span("twice").clone())),
        r#"more than one span "twice" among ["query", "twice", "twice"]"#
    );
    let ingest = std::panic::AssertUnwindSafe(&ingest);
    assert_eq!(message(&|| drop(ingest.transaction("GET /y"))), r#"no transaction "GET /y" among ["GET /x"]"#);
    assert_eq!(message(&|| drop(ingest.error("Full"))), r#"no error "Full" among ["shop::NoStock: no lamps left"]"#);
}
