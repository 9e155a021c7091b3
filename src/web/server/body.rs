//! The body of a response, with which its request ends.

use std::{
    any::type_name,
    fmt,
    pin::Pin,
    task::{self, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use opentelemetry_sentry_semantics::semconv;
use pin_project_lite::pin_project;

use super::{grpc, span::RequestSpan};

pin_project! {
    /// The body of a response of a [`TracedServer`](crate::web::TracedServer). The request's span ends with it.
    pub struct ServerBody<B> {
        // `None` once it is dropped.
        #[pin]
        inner: Option<B>,
        stream: Stream,
    }

    impl<B> PinnedDrop for ServerBody<B> {
        // In the span and before it ends, so that what the body has open, and what it does when it is dropped, are part
        // of the request.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            enter(&mut this.stream.span, || this.inner.set(None));
        }
    }
}

impl<B> ServerBody<B> {
    pub(super) const fn untraced(inner: B) -> Self {
        Self { inner: Some(inner), stream: Stream { span: None, sent: 0, length: None } }
    }
}

impl<B: Body> ServerBody<B> {
    /// Keeps the span open until the body has ended. `length` is how many bytes will be sent, if that is known.
    pub(super) fn traced(inner: B, span: RequestSpan, length: Option<u64>) -> Self {
        let mut stream = Stream { span: Some(span), sent: 0, length };
        // A server need not poll such a body, nor drop it soon.
        if inner.is_end_stream() {
            stream.end();
        }
        Self { inner: Some(inner), stream }
    }
}

impl<B: Body> Body for ServerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let frame = ready!(enter(&mut this.stream.span, || inner.as_mut().poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => this.stream.note(frame),
            Some(Err(_)) => this.stream.fail(type_name::<B::Error>()),
            None => this.stream.end(),
        }
        // A server does not poll a body again that says so.
        if this.stream.span.is_some() && inner.is_end_stream() {
            this.stream.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> fmt::Debug for ServerBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBody").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What was sent so far. If it is dropped while the span is open, the client went away.
#[derive(Debug)]
struct Stream {
    span: Option<RequestSpan>,
    sent: u64,
    length: Option<u64>,
}

impl Stream {
    fn note<D: bytes::Buf>(&mut self, frame: &Frame<D>) {
        let size = frame.data_ref().map_or(0, |data| data.remaining() as u64);
        self.sent = self.sent.saturating_add(size);
        if let (Some(span), Some(trailers)) = (&self.span, frame.trailers_ref()) {
            grpc::note_status(span, trailers);
        }
    }

    fn fail(&mut self, error_type: &'static str) {
        if let Some(span) = &self.span {
            span.set(semconv::ERROR_TYPE, error_type);
            span.fail("");
        }
        self.end();
    }

    fn end(&mut self) {
        if let Some(span) = self.span.take() {
            self.note_size(&span);
            span.end();
        }
    }

    fn note_size(&self, span: &RequestSpan) {
        span.set(semconv::HTTP_RESPONSE_BODY_SIZE, i64::try_from(self.sent).unwrap_or(i64::MAX));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A server that has sent as many bytes as it announced drops the body without asking for its end.
        if self.length.is_some_and(|length| self.sent >= length) {
            self.end();
        } else if let Some(span) = &self.span {
            self.note_size(span);
        }
    }
}

/// Calls a function in the span of a request. If it panics, the span ends as a failure.
///
/// The panic may be caught around this, and the future or body dropped much later. Then it would look like a client
/// that went away.
pub(super) fn enter<T>(span: &mut Option<RequestSpan>, work: impl FnOnce() -> T) -> T {
    let mut guard = EndOnPanic { span, has_returned: false };
    let result = match guard.span.as_ref() {
        Some(span) => span.enter(work),
        None => work(),
    };
    guard.has_returned = true;
    result
}

struct EndOnPanic<'a> {
    span: &'a mut Option<RequestSpan>,
    /// Asked instead of the thread, which may unwind from a panic elsewhere.
    has_returned: bool,
}

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if !self.has_returned {
            drop(self.span.take());
        }
    }
}
