//! The Worker: it answers requests, and calls a native service for them.

use bytes::Bytes;
use js_sys::Promise;
use opentelemetry::{global, trace::TraceContextExt};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sentry::Take;
use tracing::{Instrument, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::{Request, Response, ResponseInit, Url};

use crate::{deliver, fetch};

#[wasm_bindgen]
extern "C" {
    /// What the runtime passes with each request.
    pub type Context;
    #[wasm_bindgen(method, js_name = waitUntil)]
    fn wait_until(this: &Context, work: Promise);
}

/// Answers `GET /products/{sku}` with what the gateway answers.
#[wasm_bindgen]
pub async fn answer(request: Request, gateway: String, context: Context) -> Result<Response, JsValue> {
    let span = info_span!(
        "request",
        otel.name = "GET /products/{sku}",
        otel.kind = "server",
        http.request.method = "GET",
        http.route = "/products/{sku}",
        http.response.status_code = Empty,
    );
    let headers = fetch::headers(&request.headers());
    let caller = global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(&headers)));
    let _ = span.set_parent(caller); // fails only after the span's start
    let trace_id = span.context().span().span_context().trace_id();

    let (status, body) = match product(&gateway, &request.url()).instrument(span.clone()).await {
        Ok(response) => (response.status().as_u16(), response.into_body()),
        Err(error) => (502, error.to_string().into()),
    };
    span.record("http.response.status_code", status);
    drop(span); // ends it
    context.wait_until(future_to_promise(async move {
        deliver(Take::Trace(trace_id)).await; // other requests stay whole
        Ok(JsValue::UNDEFINED)
    }));
    respond(status, &body)
}

#[tracing::instrument(skip_all, err)]
async fn product(gateway: &str, url: &str) -> Result<http::Response<Bytes>, fetch::NoAnswer> {
    fetch::get(&address(gateway, url)?).await
}

/// Where the gateway has what a request asks for.
#[tracing::instrument(skip_all)]
fn address(gateway: &str, url: &str) -> Result<String, JsValue> {
    Ok(format!("{gateway}{}", Url::new(url)?.pathname()))
}

fn respond(status: u16, body: &[u8]) -> Result<Response, JsValue> {
    let init = ResponseInit::new();
    init.set_status(status);
    Response::new_with_opt_u8_array_and_init(Some(&mut body.to_vec()), &init)
}
