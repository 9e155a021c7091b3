//! The service of HTTP requests, which end with the body of their response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{self, Poll},
};

use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{body::FlushBody, flusher::Flusher, invocation::caught};

/// The [`FlushLayer`](crate::web::FlushLayer) for HTTP: it flushes when the body of a response has ended, before its last piece
/// is passed on. Until then a platform takes the request for one that runs.
///
/// It belongs **outside** of a [`ServerLayer`](crate::web::ServerLayer): in axum after it.
///
/// ```
/// use axum::{Router, routing::get};
/// use opentelemetry_sentry::{Sentry, web::{FlushLayer, ServerLayer}};
///
/// let sentry = Sentry::builder().with_dsn("").with_traces_sample_rate(1.0).build()?;
/// let app: Router = Router::new()
///     .route("/", get(|| async { "a page" }))
///     .layer(ServerLayer::new())
///     .layer(FlushLayer::new(&sentry).for_http());
/// # drop(app);
/// # sentry.shutdown(std::time::Duration::ZERO)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A response whose client goes away is not flushed; the next one does that.
#[derive(Clone, Debug)]
#[must_use]
pub struct HttpFlushLayer {
    flusher: Flusher,
}

impl HttpFlushLayer {
    pub(super) const fn new(flusher: Flusher) -> Self {
        Self { flusher }
    }
}

impl<S> Layer<S> for HttpFlushLayer {
    type Service = HttpFlushed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpFlushed { inner, flusher: self.flusher.clone() }
    }
}

/// A service after each response of which [`HttpFlushLayer`] flushes.
#[derive(Clone, Debug)]
pub struct HttpFlushed<S> {
    inner: S,
    flusher: Flusher,
}

impl<S: Service<Request<T>, Response = Response<B>>, T, B> Service<Request<T>> for HttpFlushed<S>
where
    S::Future: Send + 'static,
    S::Error: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<FlushBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<T>) -> Self::Future {
        let is_head = request.method() == Method::HEAD;
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        let flusher = self.flusher.clone();
        Box::pin(async move {
            match caught(called).await {
                Ok(Ok(response)) if is_polled(is_head, &response) => {
                    Ok(response.map(|body| FlushBody::new(body, flusher)))
                }
                ended => {
                    let ended = ended.map(|ended| ended.map(|response| response.map(FlushBody::ended)));
                    flusher.flush().await;
                    ended.unwrap_or_else(|panic| resume_unwind(panic))
                }
            }
        })
    }
}

/// Whether a server polls the body. It need not poll one that has ended, and drops one that it must not send.
fn is_polled<B: Body>(is_head: bool, response: &Response<B>) -> bool {
    let is_bare = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !(is_head || is_bare || response.body().is_end_stream())
}
