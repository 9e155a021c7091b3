//! The service of HTTP requests, which end with the body of their response.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{self, Poll, ready},
};

use bytes::Buf;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    flusher::{Flusher, Flushing},
    invocation::caught,
};

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

impl<S: Service<Q, Response = Response<B>>, Q, B> Service<Q> for HttpFlushed<S>
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

    fn call(&mut self, request: Q) -> Self::Future {
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        let flusher = self.flusher.clone();
        Box::pin(async move {
            let result = match called {
                Ok(future) => caught(future).await,
                Err(panic) => Err(panic),
            };
            match result {
                // A server need not poll a body that has ended.
                Ok(Ok(response)) if !response.body().is_end_stream() => {
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

pin_project! {
    /// The body of a response of [`HttpFlushed`]: its last piece is passed on after the flush.
    pub struct FlushBody<B: Body> {
        // `None` once it has ended: spans that end with it must have ended before the flush.
        #[pin]
        inner: Option<B>,
        flusher: Option<Flusher>,
        flushing: Option<Flushing>,
        // What is passed on after the flush.
        last: Option<Result<Frame<B::Data>, B::Error>>,
        // The bytes that are still to come, if that is known. A server that has all of them drops the body without asking for
        // its end.
        rest: Option<u64>,
    }
}

impl<B: Body> FlushBody<B> {
    fn new(inner: B, flusher: Flusher) -> Self {
        let rest = inner.size_hint().exact();
        Self { inner: Some(inner), flusher: Some(flusher), flushing: None, last: None, rest }
    }

    /// A body that had ended before. It is dropped now, so that the spans that it has open end.
    fn ended(inner: B) -> Self {
        drop(inner);
        Self { inner: None, flusher: None, flushing: None, last: None, rest: None }
    }
}

impl<B: Body> Body for FlushBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        if let Some(mut inner) = this.inner.as_mut().as_pin_mut() {
            let frame = ready!(inner.as_mut().poll_frame(cx));
            if let (Some(rest), Some(Ok(frame))) = (&mut *this.rest, &frame) {
                *rest = rest.saturating_sub(frame.data_ref().map_or(0, |data| data.remaining() as u64));
            }
            let is_last = !matches!(frame, Some(Ok(_))) || inner.is_end_stream() || *this.rest == Some(0);
            if !is_last {
                return Poll::Ready(frame);
            }
            this.inner.set(None);
            *this.last = frame;
            *this.flushing = this.flusher.take().map(|flusher| flusher.flush());
        }
        if let Some(flushing) = this.flushing {
            ready!(flushing.as_mut().poll(cx));
            *this.flushing = None;
        }
        Poll::Ready(this.last.take())
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none() && self.flushing.is_none() && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.last) {
            (Some(inner), _) => inner.size_hint(),
            (None, Some(Ok(frame))) => SizeHint::with_exact(frame.data_ref().map_or(0, |data| data.remaining() as u64)),
            (None, _) => SizeHint::with_exact(0),
        }
    }
}

impl<B: Body> fmt::Debug for FlushBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushBody").field("is_flushing", &self.flushing.is_some()).finish_non_exhaustive()
    }
}
