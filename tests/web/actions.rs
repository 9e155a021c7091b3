//! Server actions as transactions.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use opentelemetry::trace::{FutureExt, TraceContextExt};
use opentelemetry_sentry::web::{ActionOutcome, server_action};
use serde_json::{Value, json};

use crate::support::{P, STAGE, Sent, active, headers, new_trace, root};

/// Runs an action in a trace of its own, and returns its transaction.
async fn run<T, E>(action: Result<T, E>, outcome: impl FnOnce(&E) -> ActionOutcome) -> Sent {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let action = async { action };
    let _ = server_action("createOrder").with_headers(&headers(&trace_id, "-1")).run_with(action, outcome).await;
    STAGE.transaction(&trace_id)
}

fn errors(sent: &Sent) -> Vec<Sent> {
    // Error events of an action are sent together with its transaction.
    STAGE.sent("event", sent.context()["trace_id"].as_str().expect("an id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_a_transaction_with_the_names_of_nextjs() {
    let sent = run(Ok::<_, StatusCode>(42), |status| (*status).into()).await;
    assert_eq!(sent.event["transaction"], "serverAction/createOrder");
    assert_eq!(sent.event["transaction_info"]["source"], "route");
    assert_eq!(sent.context()["op"], "function.server_action");
    assert_eq!(sent.context()["origin"], "auto.function.server_action");
    assert_eq!(sent.context()["status"], "ok");
    assert_eq!(sent.context()["parent_span_id"], P);
    assert_eq!(sent.trace["release"], "web@1");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_status_and_events_that_nextjs_gives_them() {
    let status = |status: &StatusCode| (*status).into();
    let response = |response: &Response| response.status().into();
    let redirect = Redirect::to("/welcome");
    for (sent, expected, count) in [
        (run(Err::<(), _>(redirect.clone()), |_| ActionOutcome::Redirect).await, "ok", 0),
        (run(Err::<(), _>(redirect.into_response()), response).await, "ok", 0),
        (run(Err::<(), _>(StatusCode::OK), status).await, "ok", 0),
        (run(Err::<(), _>("cached"), |_| ActionOutcome::NoError).await, "ok", 0),
        (run(Err::<(), _>(StatusCode::NOT_FOUND), status).await, "not_found", 0),
        (run(Err::<(), _>(StatusCode::BAD_GATEWAY), status).await, "internal_error", 1),
        (run(Err::<(), _>("no stock"), ActionOutcome::failed).await, "internal_error", 1),
    ] {
        assert_eq!(sent.context()["status"], expected, "{sent:?}");
        if count > 0 {
            STAGE.wait("event", sent.context()["trace_id"].as_str().expect("an id"), count);
        }
        let errors = errors(&sent);
        assert_eq!(errors.len(), count, "{errors:?}");
        for error in errors {
            assert_eq!(error.context()["span_id"], sent.context()["span_id"]);
            let exception = &error.event["exception"]["values"][0];
            assert!(exception["value"] == "no stock" || exception["value"] == "502 Bad Gateway", "{exception}");
            assert_eq!(exception["mechanism"]["handled"], false);
        }
    }
}

#[test]
fn each_class_of_status_has_an_outcome() {
    for (status, expected) in [
        (100, ActionOutcome::NoError),
        (200, ActionOutcome::NoError),
        (204, ActionOutcome::NoError),
        (301, ActionOutcome::Redirect),
        (303, ActionOutcome::Redirect),
        (404, ActionOutcome::NotFound),
        (410, ActionOutcome::Failed("410 Gone".into())),
        (500, ActionOutcome::Failed("500 Internal Server Error".into())),
        (600, ActionOutcome::NoError),
    ] {
        assert_eq!(ActionOutcome::from(StatusCode::from_u16(status).expect("a status")), expected, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_implements_error_needs_no_outcome_function() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let action = async { Err::<(), _>(std::io::Error::other("no disk")) };
    let error = server_action("save").with_headers(&headers(&trace_id, "-1")).run(action).await;
    assert_eq!(error.map_err(|error| error.to_string()), Err("no disk".to_owned()));
    let event = &STAGE.wait("event", &trace_id, 1)[0];
    let exception = &event.event["exception"]["values"][0];
    assert_eq!((&exception["type"], &exception["value"]), (&json!("std::io::error::Error"), &json!("no disk")));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_ignored_where_a_span_is_active() {
    let (cx, trace_id) = root("POST /orders");
    let came_in = new_trace();
    let action = server_action("nested").with_headers(&headers(&came_in, "-1"));
    let done = action.run(async { Ok::<_, StatusCode>(()) }).with_context(cx.clone()).await;
    assert_eq!(done, Ok(()));
    cx.span().end();

    let sent = STAGE.wait("transaction", &trace_id, 2);
    let named = |name: &str| sent.iter().find(|sent| sent.event["transaction"] == name).expect("it was sent");
    let (action, request) = (named("serverAction/nested"), named("POST /orders"));
    assert_eq!(action.context()["parent_span_id"], request.context()["span_id"]);
    assert_eq!(action.trace, request.trace);
    assert_eq!(request.spans(), [] as [Value; 0]);
    assert_eq!(STAGE.sent("transaction", &came_in).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_without_headers_begins_a_trace() {
    let _ = &*STAGE;
    let trace = async { Ok::<_, StatusCode>(active().0) };
    let trace_id = server_action("lonely").with_headers(&HeaderMap::new()).run(trace).await.expect("no error");
    assert_eq!(STAGE.transaction(&trace_id.to_string()).context().get("parent_span_id"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn form_data_and_result_are_recorded_only_if_set_and_are_filtered() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let form = [("sku", "lamp"), ("password", "hunter2"), ("shop", "https://me:pw@shop.example.com/")];
    let done = server_action("createOrder")
        .with_headers(&headers(&trace_id, "-1"))
        .with_form_data(form)
        .with_result(|order: &u64| format!("order {order}").into())
        .run(async { Ok::<_, StatusCode>(42) })
        .await;
    assert_eq!(done, Ok(42));
    let sent = STAGE.transaction(&trace_id);
    let data = &sent.context()["data"];
    assert_eq!(data["server_action.form_data.sku"], "lamp");
    assert_eq!(data["server_action.form_data.password"], "[Filtered]");
    assert_eq!(data["server_action.form_data.shop"], "https://[filtered]:[filtered]@shop.example.com/");
    assert_eq!(data["server_action.result"], "order 42");

    let silent = run(Ok::<_, StatusCode>(42), |status| (*status).into()).await;
    assert!(!silent.event.to_string().contains("server_action."), "{silent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_passed_on_and_the_span_ends() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let action = server_action::<()>("createOrder").with_headers(&headers(&trace_id, "-1"));
    let task = tokio::spawn(action.run::<StatusCode>(async { panic!("as the test wants") }));
    assert!(task.await.expect_err("a panic").is_panic());
    assert_eq!(STAGE.transaction(&trace_id).context()["status"], "internal_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_inside_of_an_action_are_its_children() {
    let _ = &*STAGE;
    let trace_id = new_trace();
    let action = async {
        tracing::info_span!("reserve").in_scope(|| ());
        Ok::<_, StatusCode>(())
    };
    server_action("createOrder").with_headers(&headers(&trace_id, "-1")).run(action).await.expect("no error");
    let sent = STAGE.transaction(&trace_id);
    assert_eq!(sent.spans()[0]["description"], "reserve");
    assert_eq!(sent.spans()[0]["parent_span_id"], sent.context()["span_id"]);
}
