//! Requests that reqwest sends.

use std::task::{self, Poll};

use http::Uri;
use opentelemetry_sentry_protocol::__shared::causes;
use reqwest::{Client, Request, RequestBuilder, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    call,
    layer::{ClientLayer, TracedClient, TracedFuture},
};

impl Service<Request> for TracedClient<Client> {
    type Response = Response;
    type Error = reqwest::Error;
    type Future = TracedFuture<<Client as Service<Request>>::Future, Response, reqwest::Error>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let method = request.method().clone();
        let uri = request.url().as_str().parse::<Uri>().unwrap_or_default();
        let open = call::start(&self.targets, &method, &uri, request.headers_mut());
        TracedFuture::new(open, Response::status, root_cause, || self.inner.call(request))
    }
}

/// The text of the innermost cause. The text of a reqwest error contains the URL, which may contain secrets.
fn root_cause(error: &reqwest::Error) -> String {
    let cause = causes(error).last().unwrap_or(error);
    match cause.is::<reqwest::Error>() {
        true => "the request failed".to_owned(),
        false => cause.to_string(),
    }
}

/// Sends a request of reqwest 0.13 as a span.
///
/// ```no_run
/// use opentelemetry_sentry::web::{ClientLayer, RequestBuilderExt};
///
/// # async fn example() -> Result<(), reqwest::Error> {
/// let layer = ClientLayer::new(); // once, with the targets
/// let client = reqwest::Client::new();
/// let stock = client.get("http://stock.internal/lamp").send_traced(&layer).await?;
/// # Ok(()) }
/// ```
///
/// For a service of tower, wrap the client with the layer: `ClientLayer::new().layer(client)`.
pub trait RequestBuilderExt: Sealed {
    /// Sends the request in a span and with the trace's headers. See [`ClientLayer`].
    ///
    /// # Errors
    ///
    /// Those of [`RequestBuilder::send`].
    fn send_traced(
        self,
        layer: &ClientLayer,
    ) -> impl Future<Output = Result<Response, reqwest::Error>> + Send + 'static;
}

impl RequestBuilderExt for RequestBuilder {
    fn send_traced(
        self,
        layer: &ClientLayer,
    ) -> impl Future<Output = Result<Response, reqwest::Error>> + Send + 'static {
        let (client, request) = self.build_split();
        let mut client = layer.layer(client);
        async move { client.call(request?).await }
    }
}

/// Keeps others from implementing the trait, so that it can grow.
pub trait Sealed {}

impl Sealed for RequestBuilder {}
