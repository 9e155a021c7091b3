//! The function. Its spans leave before its response does, within a budget.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{Request, Response},
};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use opentelemetry::{
    KeyValue, global,
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sentry::{Delivery, FlushError, Sentry, web::FlushLayer};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::Layer;

/// How long an invocation may wait for Sentry.
const BUDGET: Duration = Duration::from_millis(500);

/// An event, as an API gateway would send it.
#[derive(Deserialize)]
struct Event {
    headers: HashMap<String, String>,
    sku: String,
}

/// What the last flush has left, if it has left something.
type LastReport = Arc<Mutex<Option<String>>>;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run() -> Result<(), Error> {
    // DSN, release and environment come from `SENTRY_*`.
    let sentry = Sentry::builder().with_traces_sample_rate(1.0).install_driven()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let fetch = move |request: Request<Bytes>| {
        let client = client.clone();
        async move { Ok::<_, reqwest::Error>(Response::from(client.execute(request.try_into()?).await?)) }
    };
    let last_report = LastReport::default();
    let reported = Arc::clone(&last_report);
    let layer = FlushLayer::driven(&sentry, fetch.clone()).with_budget(BUDGET).with_report(move |error, stats| {
        // What waits for the end of a pause is not worth a line at each invocation.
        if *error != FlushError::Waiting {
            eprintln!("Sentry: {error}; {stats}");
        }
        if let Ok(mut last) = reported.lock() {
            *last = Some(error.to_string());
        }
    });
    let delivery = sentry.delivery().clone();
    let handler = service_fn(move |event| handle(event, delivery.clone(), Arc::clone(&last_report)));
    lambda_runtime::run(layer.layer(handler)).await?;
    sentry.shutdown_with(fetch).await?;
    Ok(())
}

/// One invocation, in a span that continues the caller's trace.
async fn handle(event: LambdaEvent<Event>, delivery: Delivery, last_report: LastReport) -> Result<Value, Error> {
    let before = delivery.stats();
    let report = last_report.lock().ok().and_then(|mut last| last.take());
    let LambdaEvent { payload: Event { headers, sku }, context } = event;
    let tracer = global::tracer("stock");
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&headers));
    let span = tracer.span_builder("GET /stock/{sku}").with_kind(SpanKind::Server).with_attributes([
        KeyValue::new("faas.trigger", "http"),
        KeyValue::new("faas.invocation_id", context.request_id),
    ]);
    // The span ends when the context is dropped, also if this panics.
    let cx = parent.with_span(tracer.build_with_context(span, &parent));
    drop(tracer.start_with_context("SELECT stock", &cx));
    match &*sku {
        "nothing" => {
            cx.span().set_status(Status::error("no such product"));
            Err("no such product".into())
        }
        "panic" => panic!("as the event wants"),
        _ => Ok(json!({
            "sku": sku,
            "received": before.spans_received,
            "sent": before.spans_sent,
            "pending": before.spans_pending,
            "lost": before.spans_lost(),
            "report": report,
        })),
    }
}
