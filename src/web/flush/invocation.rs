//! The service whose calls end with their response.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    task::{self, Poll},
    thread,
};

use tower_service::Service;

use super::flusher::Flusher;

/// A service after each call of which [`FlushLayer`](crate::web::FlushLayer) flushes.
#[derive(Clone, Debug)]
pub struct Flushed<S> {
    inner: S,
    flusher: Flusher,
}

impl<S> Flushed<S> {
    pub(super) const fn new(inner: S, flusher: Flusher) -> Self {
        Self { inner, flusher }
    }
}

impl<S: Service<Q>, Q> Service<Q> for Flushed<S>
where
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        let flusher = self.flusher.clone();
        Box::pin(async move {
            let result = caught(called).await;
            flusher.flush().await;
            result.unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// What the future of a call returns, or the panic of either. The future is dropped before that, because spans inside of it end
/// with it.
pub(super) async fn caught<F: Future>(called: thread::Result<F>) -> thread::Result<F::Output> {
    let mut future = pin!(called?);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
