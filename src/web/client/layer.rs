//! How do requests that go out become spans, and carry their trace along?
//!
//! | attribute | value |
//! | --- | --- |
//! | the span's name | the method; Sentry shows the URL with it |
//! | `http.request.method` | one that HTTP knows, else `_OTHER` with `http.request.method_original` |
//! | `url.full` | the URL without user info; the exporter filters secrets in its query |
//! | `server.address`, `server.port` | from the URL; the scheme's own port if it has none |
//! | `http.response.status_code` | once there is a response; from 400 on the span's status is an error |
//! | `error.type` | that status, or the type of the error |
//! | the status's description | what the error says; of reqwest's, what its first cause says, which has no URL in it |

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

/// Makes a span (`http.client`) of each request that an HTTP client sends, and puts the trace's headers on it.
///
/// It goes around any service that takes an [`http::Request`], and with the feature `reqwest-013` around a
/// `reqwest::Client`. The span ends when the response's head is there. Use it for clients that no other
/// middleware makes spans of.
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
/// Where telemetry is suppressed there is neither a span nor a header. A client that follows redirects by itself takes
/// the headers with it, whatever the targets say.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientLayer {
    targets: Arc<PropagationTargets>,
}

impl ClientLayer {
    /// Makes one whose headers go everywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets which URLs get the trace's headers. Defaults to all.
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

/// An HTTP client of which [`ClientLayer`] makes spans.
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
