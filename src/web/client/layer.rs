//! The layer, the service that it makes, and the response of that.

use std::{
    any::type_name,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
};

use http::{Request, Response, StatusCode};
use opentelemetry_sentry_propagator::PropagationTargets;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::call;
use crate::web::span::OpenSpan;

/// Makes a span (`http.client`) for each request that an HTTP client sends, and adds the trace's headers to it.
///
/// It wraps any service that takes an [`http::Request`], and with the feature `reqwest-013` a `reqwest::Client`. The
/// span ends when the head of the response has arrived. Use it for clients that no other middleware traces.
///
/// ```
/// use opentelemetry_sentry::{propagator::PropagationTargets, web::ClientLayer};
/// use tower::{ServiceBuilder, service_fn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let targets = PropagationTargets::builder().with_text("api.example.com").build()?;
/// let client = ServiceBuilder::new()
///     .layer(ClientLayer::new().with_targets(targets))
///     .service(service_fn(async |_: http::Request<String>| Ok::<_, std::io::Error>(http::Response::new(()))));
/// # let _ = client;
/// # Ok(()) }
/// ```
///
/// The [guide](crate::guide::web#outgoing-requests) lists the attributes of the span.
///
/// Where telemetry is suppressed it makes no span and adds no header. A client that follows redirects by itself sends the
/// headers to the new URL too, whatever the targets say.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientLayer {
    targets: Arc<PropagationTargets>,
}

impl ClientLayer {
    /// Makes a layer that adds headers to every request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets which URLs get the trace's headers. Defaults to all. The span is made for every URL.
    pub fn with_targets(self, targets: PropagationTargets) -> Self {
        Self { targets: Arc::new(targets) }
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = TracedClient<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TracedClient { inner, targets: Arc::clone(&self.targets) }
    }
}

/// An HTTP client that [`ClientLayer`] traces.
#[derive(Clone, Debug)]
pub struct TracedClient<S> {
    pub(super) inner: S,
    pub(super) targets: Arc<PropagationTargets>,
}

impl<S, Q, R> Service<Request<Q>> for TracedClient<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
    S::Error: fmt::Display,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TracedFuture<S::Future, S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let open = call::start(&self.targets, &method, &uri, request.headers_mut());
        TracedFuture::new(open, Response::status, ToString::to_string, || self.inner.call(request))
    }
}

pin_project! {
    /// The response of a [`TracedClient`].
    pub struct TracedFuture<F, R, E> {
        #[pin]
        inner: F,
        open: Option<OpenSpan>,
        status: fn(&R) -> StatusCode,
        message: fn(&E) -> String,
    }
}

impl<F, R, E> TracedFuture<F, R, E> {
    pub(super) fn new(
        open: Option<OpenSpan>,
        status: fn(&R) -> StatusCode,
        message: fn(&E) -> String,
        call: impl FnOnce() -> F,
    ) -> Self {
        let active = open.as_ref().map(|open| open.context().clone().attach());
        let inner = call();
        drop(active);
        Self { inner, open, status, message }
    }
}

impl<F: Future<Output = Result<R, E>>, R, E> Future for TracedFuture<F, R, E> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let active = this.open.as_ref().map(|open| open.context().clone().attach());
        let result = ready!(this.inner.poll(cx));
        drop(active);
        if let Some(open) = this.open.take() {
            match &result {
                Ok(response) => call::answered(open, (this.status)(response)),
                Err(error) => call::failed(open, type_name::<E>(), (this.message)(error)),
            }
        }
        Poll::Ready(result)
    }
}

impl<F, R, E> fmt::Debug for TracedFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedFuture").field("open", &self.open).finish_non_exhaustive()
    }
}
