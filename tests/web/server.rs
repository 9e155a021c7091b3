//! Requests that come in through `ServerLayer`.

mod ends;
mod layers;
mod nesting;
mod requests;
mod servers;

use std::convert::Infallible;

use http::{Request, Response, response::Parts};
use http_body_util::{BodyExt, Empty};
use opentelemetry_http::Bytes;
use opentelemetry_sentry::web::ServerLayer;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::headers;

type Incoming = Request<Empty<Bytes>>;

/// A request that continues a trace.
fn request(trace_id: &str, uri: &str) -> Incoming {
    let mut request = Request::get(uri).body(Empty::new()).expect("a request");
    *request.headers_mut() = headers(trace_id, "-1");
    request
}

/// Answers one request without a network, and reads the whole body.
async fn answer<B, F>(layer: &ServerLayer, request: Incoming, handler: impl FnMut(Incoming) -> F) -> Parts
where
    B: http_body::Body,
    F: Future<Output = Response<B>>,
{
    let mut handler = handler;
    let service = service_fn(|request| {
        let response = handler(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let (head, body) = layer.layer(service).oneshot(request).await.expect("an answer").into_parts();
    assert!(body.collect().await.is_ok());
    head
}

/// An empty answer.
fn empty() -> Response<Empty<Bytes>> {
    Response::new(Empty::new())
}
