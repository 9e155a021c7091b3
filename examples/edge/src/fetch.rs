//! HTTP by `fetch`, which browsers and edge runtimes have.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use js_sys::{Array, Promise, Reflect, Uint8Array};
use opentelemetry::global;
use opentelemetry_http::HeaderInjector;
use tracing::{Instrument, Span, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, RequestInit};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    fn start(request: &web_sys::Request) -> Promise;
}

/// Gets from a service in the active span's trace.
pub(crate) async fn get(url: &str) -> Result<Response<Bytes>, NoAnswer> {
    let span = info_span!(
        "fetch",
        otel.name = "GET",
        otel.kind = "client",
        http.request.method = "GET",
        url.full = url,
        http.response.status_code = Empty,
    );
    let mut request = Request::get(url).body(Bytes::new()).map_err(|error| NoAnswer(error.to_string()))?;
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&span.context(), &mut HeaderInjector(request.headers_mut()));
    });
    async {
        let response = fetch(request).await?;
        Span::current().record("http.response.status_code", response.status().as_u16());
        Ok(response)
    }
    .instrument(span)
    .await
}

/// Sends a request as it is. This is also how envelopes leave.
pub(crate) async fn fetch(request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
    let response = JsFuture::from(start(&as_js(&request)?)).await?.unchecked_into::<web_sys::Response>();
    let body = JsFuture::from(response.array_buffer()?).await?;
    let mut answer = Response::new(Uint8Array::new(&body).to_vec().into());
    *answer.status_mut() =
        http::StatusCode::from_u16(response.status()).map_err(|error| NoAnswer(error.to_string()))?;
    *answer.headers_mut() = headers(&response.headers());
    Ok(answer)
}

fn as_js(request: &Request<Bytes>) -> Result<web_sys::Request, JsValue> {
    const MAX_KEEPALIVE: usize = 60 << 10;

    let init = RequestInit::new();
    init.set_method(request.method().as_str());
    if !request.body().is_empty() {
        init.set_body(&Uint8Array::from(&request.body()[..]));
        // The request outlives its page. Browsers refuse it with a body of 64 KiB or more.
        Reflect::set(&init, &"keepalive".into(), &(request.body().len() <= MAX_KEEPALIVE).into())?;
    }
    let headers = Headers::new()?;
    for (name, value) in request.headers() {
        headers.append(name.as_str(), value.to_str().unwrap_or_default())?;
    }
    init.set_headers(&headers);
    web_sys::Request::new_with_str_and_init(&request.uri().to_string(), &init)
}

pub(crate) fn headers(headers: &Headers) -> HeaderMap {
    let pairs = headers.entries().into_iter().flatten().map(|pair| Array::from(&pair));
    let text = |pair: &Array, index| pair.get(index).as_string();
    pairs
        .filter_map(|pair| {
            Some((text(&pair, 0)?.parse::<HeaderName>().ok()?, text(&pair, 1)?.parse::<HeaderValue>().ok()?))
        })
        .collect()
}

/// `fetch` failed.
#[derive(Debug)]
pub(crate) struct NoAnswer(String);

impl From<JsValue> for NoAnswer {
    fn from(error: JsValue) -> Self {
        Self(format!("{error:?}"))
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer: {}", self.0)
    }
}

impl std::error::Error for NoAnswer {}
