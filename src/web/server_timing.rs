//! A header that names the trace to browsers, for pages that are served as they are.

use std::{
    pin::Pin,
    task::{self, Poll, ready},
};

use http::{HeaderName, HeaderValue, Response};
use opentelemetry::Context;
use opentelemetry_sentry_propagator::server_timing;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Adds a `Server-Timing` header to responses. Sentry's browser SDK reads it and continues the trace of the page load.
///
/// The value is that of [`server_timing`](crate::propagator::server_timing) for the span that is active when the response
/// is ready. [`ServerLayer`](crate::web::ServerLayer) has an option for the same; this layer is for other middleware. It
/// belongs **inside** the layer that makes the request's span: in axum before it, in tower's `ServiceBuilder` after it.
/// Without an active span no header is added. Other `Server-Timing` lines stay.
///
/// ```
/// use axum::{Router, routing::get};
/// use opentelemetry_sentry::web::ServerTimingLayer;
/// use tower_otel::trace::HttpLayer;
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "a page" }))
///     .layer(ServerTimingLayer::new())
///     .layer(HttpLayer::server(tracing::Level::INFO));
/// ```
///
/// The header contains the trace's dynamic sampling context: release, environment, public key, sample rate.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ServerTimingLayer;

impl ServerTimingLayer {
    /// Makes the layer.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for ServerTimingLayer {
    type Service = ServerTiming<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerTiming { inner }
    }
}

/// A service to whose responses [`ServerTimingLayer`] adds the header.
#[derive(Clone, Debug)]
pub struct ServerTiming<S> {
    inner: S,
}

impl<S: Service<Q, Response = Response<B>>, Q, B> Service<Q> for ServerTiming<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = ServerTimingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        ServerTimingFuture { inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The response of a [`ServerTiming`].
    #[derive(Debug)]
    pub struct ServerTimingFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B, E> Future for ServerTimingFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(self.project().inner.poll(cx))?;
        // Not in `call`: some layers make their span active only while the future is polled.
        let value = Context::map_current(server_timing);
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().append(SERVER_TIMING, value);
        }
        Poll::Ready(Ok(response))
    }
}
