//! An HTTP client that is a function, for the test folders and the benches.

use std::{fmt, pin::Pin};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

/// The future of an answer.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send>>;

/// An HTTP client that calls a function for each request.
pub(crate) struct Client<F>(pub(crate) F);

impl<F> fmt::Debug for Client<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl<F: Fn(Request<Bytes>) -> Answering + Send + Sync> HttpClient for Client<F> {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        (self.0)(request)
    }
}
