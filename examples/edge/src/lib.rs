//! Rust in the browser and at the edge, in one trace with the services behind them.
//!
//! One source, and one module: [`page`] runs in a browser and calls [`worker`], which runs in an edge runtime and calls a
//! native service.

mod fetch;
mod page;
mod worker;

use std::sync::OnceLock;

use opentelemetry_sdk::Resource;
use opentelemetry_sentry::{DrivenSentry, FlushError, Sentry, Take};
use tracing_subscriber::prelude::*;
use wasm_bindgen::prelude::*;

static SENTRY: OnceLock<DrivenSentry> = OnceLock::new();

/// Sets up Sentry. An edge runtime has random numbers from the first request on, so that is when a Worker calls it.
#[wasm_bindgen]
pub fn start(service: String, dsn: String) -> Result<(), JsError> {
    let is_page = service == "page";
    let sentry = Sentry::builder()
        .with_dsn(dsn)
        .with_release("edge@1.0.0")
        .with_traces_sample_rate(1.0)
        .with_resource(Resource::builder_empty().with_service_name(service).build())
        .with_exporter(|exporter| exporter.with_simple_requests(is_page))
        .install_driven()?;
    tracing_subscriber::registry().with(sentry.tracing_layer()).init();
    SENTRY.get_or_init(|| sentry);
    Ok(())
}

/// Sends what has ended. What gets no answer is sent again by a later call.
async fn deliver(what: Take) {
    if let Some(sentry) = SENTRY.get() {
        match sentry.flush_with(what, fetch::fetch).await {
            Ok(()) | Err(FlushError::Waiting) => {} // a later call sends what waits
            Err(error) => web_sys::console::warn_1(&format!("Sentry: {error}").into()),
        }
    }
}

/// What became of the spans.
#[wasm_bindgen]
pub fn stats() -> String {
    let stats = SENTRY.get().map(|sentry| sentry.stats()).unwrap_or_default();
    let dropped = stats.dropped.iter().map(|(reason, dropped)| format!(", {} {reason}", dropped.spans));
    let (received, sent, waiting) = (stats.spans_received, stats.spans_sent, stats.spans_pending);
    format!("{received} received, {sent} sent, {waiting} waiting{}", dropped.collect::<String>())
}
