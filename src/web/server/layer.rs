//! The layer, the service that it makes, and the response of that.

use std::{
    any::type_name,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
};

use http::{HeaderName, Method, Request, Response};
use http_body::Body;
use opentelemetry::{Context, global, trace::TraceContextExt};
use opentelemetry_sentry_protocol::__shared::not_sampled;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    body::{ServerBody, enter},
    headers::Lines,
    request::Described,
    response,
    settings::Settings,
    span::RequestSpan,
};

/// Makes a span (`http.server`) for each request that comes in, in the trace of its headers.
///
/// The span is open and active until the **body** of the response has ended, so a stream is as long as it is, and spans
/// that are made while it is sent are children of the request. If the client goes away before that, the status is
/// `cancelled`; if the handler panics, it is `internal_error`. Log lines of `tracing` inside of the request show it.
///
/// It works around any service of HTTP requests: axum, hyper, tonic. In axum add it after the routes. With the feature
/// `axum-08` it then knows the matched route.
///
/// ```
/// use axum::{Router, routing::get};
/// use opentelemetry_sentry::web::ServerLayer;
///
/// let app: Router = Router::new()
///     .route("/products/{sku}", get(|| async { "a lamp" }))
///     .layer(ServerLayer::new().with_untraced_paths(["/health"]).with_server_timing(true));
/// ```
///
/// CORS preflights and requests of a [`Tunnel`](crate::web::Tunnel) make no span, nor does anything where telemetry is
/// suppressed. Under a second layer for the same
/// request only the outer one makes a span. An upgrade, as to a WebSocket, ends with its response (101), unless the
/// connection is [served in the request's span](crate::guide::web#websockets).
///
/// The [guide](crate::guide::web#incoming-requests) lists the attributes of the span.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ServerLayer {
    settings: Arc<Settings>,
}

impl ServerLayer {
    /// Makes a layer that traces every request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds paths whose requests make no span. A path that ends in `*` stands for all that begin with it. Defaults to
    /// none.
    ///
    /// Their handlers run as if the layer was not there: spans below begin traces of their own.
    pub fn with_untraced_paths(self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|settings| settings.untraced.extend(paths.into_iter().map(Into::into)))
    }

    /// Adds headers of requests to record, as `http.request.header.<name>`. Defaults to none.
    ///
    /// The exporter filters headers whose names speak of secrets, such as `cookie` and `authorization`.
    pub fn with_request_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.request_headers.extend(names))
    }

    /// Adds headers of responses to record, as `http.response.header.<name>`. Defaults to none.
    pub fn with_response_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.response_headers.extend(names))
    }

    /// Records the client's address as `client.address`, and takes the scheme from `X-Forwarded-Proto` if there are
    /// proxies. Defaults to neither: the address is personal data, and clients can forge both headers.
    ///
    /// `trusted_proxies` is the number of your own proxies that a request passes before it is here. Each of them must
    /// append to `X-Forwarded-For`. With 0 it is the address of the connection, which the feature `axum-08` finds if
    /// axum serves with `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn with_client_address(self, trusted_proxies: usize) -> Self {
        self.with(|settings| settings.client_behind = Some(trusted_proxies))
    }

    /// Adds the header `Server-Timing` to responses, from which a page load in a browser continues the trace. Defaults to
    /// not adding it. See [`ServerTimingLayer`](crate::web::ServerTimingLayer).
    pub fn with_server_timing(self, on: bool) -> Self {
        self.with(|settings| settings.server_timing = on)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = TracedServer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TracedServer { inner, settings: Arc::clone(&self.settings) }
    }
}

/// A service of HTTP requests that [`ServerLayer`] traces.
#[derive(Clone, Debug)]
pub struct TracedServer<S> {
    inner: S,
    settings: Arc<Settings>,
}

/// Marks a request that has a span already, and names the span.
#[derive(Clone)]
pub(in crate::web) struct Traced(Context);

impl Traced {
    /// Keeps the span from Sentry: the request turned out to be none of the application's. The active span, which a handler
    /// may have around what it calls, would otherwise be left without its request.
    pub(in crate::web) fn forget(&self) {
        let request = self.0.span();
        request.set_attribute(not_sampled::attribute());
        Context::map_current(|cx| {
            let (active, request) = (cx.span(), request.span_context());
            let of_active = active.span_context();
            if of_active.trace_id() == request.trace_id() && of_active.span_id() != request.span_id() {
                active.set_attribute(not_sampled::attribute());
            }
        });
    }
}

impl<S, Q, B> Service<Request<Q>> for TracedServer<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
    S::Error: fmt::Display,
    B: Body,
{
    type Response = Response<ServerBody<B>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let around = Context::current();
        let is_traced = !around.is_telemetry_suppressed()
            && self.settings.traces(&head)
            && head.extensions.get::<Traced>().is_none();
        let mut span = is_traced.then(|| {
            let lines = Lines::of(&head.headers);
            let parent = global::get_text_map_propagator(|global| global.extract_with_context(&around, &lines));
            let span = RequestSpan::start(Described::of(&head, &self.settings), &parent);
            head.extensions.insert(Traced(span.context().clone()));
            span
        });
        let is_head = head.method == Method::HEAD;
        let request = Request::from_parts(head, body);
        let inner = enter(&mut span, || self.inner.call(request));
        ServerFuture { inner: Some(inner), span, is_head, settings: Arc::clone(&self.settings) }
    }
}

pin_project! {
    /// The response of a [`TracedServer`].
    pub struct ServerFuture<F> {
        // `None` once it is dropped.
        #[pin]
        inner: Option<F>,
        span: Option<RequestSpan>,
        is_head: bool,
        settings: Arc<Settings>,
    }

    impl<F> PinnedDrop for ServerFuture<F> {
        // In the span and before it ends, so that what the handler has open, and what it does when it is dropped, are
        // part of the request.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            enter(this.span, || this.inner.set(None));
        }
    }
}

impl<F: Future<Output = Result<Response<B>, E>>, B: Body, E: fmt::Display> Future for ServerFuture<F> {
    type Output = Result<Response<ServerBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let result = ready!(enter(this.span, || inner.poll(cx)));
        let span = this.span.take();
        Poll::Ready(match (result, span) {
            (Ok(response), None) => Ok(response.map(ServerBody::untraced)),
            (Ok(response), Some(span)) => Ok(response::answered(span, response, *this.is_head, this.settings)),
            (Err(error), span) => {
                if let Some(span) = span {
                    response::failed(span, type_name::<E>(), error.to_string());
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ServerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerFuture").field("span", &self.span).finish_non_exhaustive()
    }
}
