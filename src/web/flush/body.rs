//! The body of a response, after which its request is flushed.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{self, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::flusher::{Flusher, Flushing};

pin_project! {
    /// The body of a response of [`HttpFlushed`](super::HttpFlushed): its last piece is passed on after the flush.
    pub struct FlushBody<B: Body> {
        // `None` once it has ended: spans that end with it must have ended before the flush.
        #[pin]
        inner: Option<B>,
        flusher: Option<Flusher>,
        flushing: Option<Flushing>,
        // All bytes are here, but trailers may follow. A server that has all bytes drops the body without asking for its end,
        // so this is passed on after the flush.
        held: Option<Frame<B::Data>>,
        // What is passed on after that.
        last: Option<Last<B>>,
        // The bytes that are still to come, if that is known.
        rest: Option<u64>,
        // The size of a body that is never sent: a response to `HEAD` says it.
        unsent: Option<SizeHint>,
    }
}

/// How a body ends.
enum Last<B: Body> {
    Frame(Option<Result<Frame<B::Data>, B::Error>>),
    Panic(Box<dyn Any + Send>),
}

impl<B: Body> FlushBody<B> {
    pub(super) fn new(inner: B, flusher: Flusher) -> Self {
        let rest = inner.size_hint().exact();
        Self { inner: Some(inner), flusher: Some(flusher), flushing: None, held: None, last: None, rest, unsent: None }
    }

    /// A body that has ended, or is not sent. It is dropped now, so that the spans that it has open end.
    pub(super) fn ended(inner: B) -> Self {
        let unsent = (!inner.is_end_stream()).then(|| inner.size_hint());
        drop(inner);
        Self { inner: None, flusher: None, flushing: None, held: None, last: None, rest: None, unsent }
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
        *this.unsent = None;
        while let Some(mut inner) = this.inner.as_mut().as_pin_mut() {
            let last = match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll_frame(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Some(Ok(frame)))) => {
                    if let Some(rest) = this.rest {
                        *rest = rest.saturating_sub(size(&frame));
                    }
                    // Trailers are the end: after them a server drops the body.
                    if inner.is_end_stream() || frame.is_trailers() {
                        Last::Frame(Some(Ok(frame)))
                    } else if *this.rest == Some(0) {
                        // A body with more bytes than it has said goes on.
                        match this.held.replace(frame) {
                            Some(before) => return Poll::Ready(Some(Ok(before))),
                            None => continue,
                        }
                    } else {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Ok(Poll::Ready(end)) => Last::Frame(end),
                Err(panic) => Last::Panic(panic),
            };
            this.inner.set(None);
            *this.last = Some(last);
            *this.flushing = this.flusher.take().map(|flusher| flusher.flush());
        }
        if let Some(flushing) = this.flushing {
            ready!(flushing.as_mut().poll(cx));
            *this.flushing = None;
        }
        if let Some(held) = this.held.take() {
            return Poll::Ready(Some(Ok(held)));
        }
        match this.last.take() {
            Some(Last::Frame(frame)) => Poll::Ready(frame),
            Some(Last::Panic(panic)) => resume_unwind(panic),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let has_last = !matches!(self.last, None | Some(Last::Frame(None)));
        let has_more = has_last || self.held.is_some() || self.flushing.is_some() || self.unsent.is_some();
        self.inner.is_none() && !has_more
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, size);
        match (&self.inner, &self.last, &self.unsent) {
            (.., Some(unsent)) => *unsent,
            (Some(inner), ..) if held == 0 => inner.size_hint(),
            (_, Some(Last::Frame(Some(Ok(frame)))), _) => SizeHint::with_exact(held + size(frame)),
            _ => SizeHint::with_exact(held),
        }
    }
}

impl<B: Body> fmt::Debug for FlushBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushBody").field("is_flushing", &self.flushing.is_some()).finish_non_exhaustive()
    }
}

fn size<D: Buf>(frame: &Frame<D>) -> u64 {
    frame.data_ref().map_or(0, |data| data.remaining() as u64)
}
