//! Layers and services of `tower` for a server between browsers and other services.
//!
//! | you want | you write |
//! | --- | --- |
//! | a span for each request that comes in, in the trace of its headers | [`ServerLayer`] |
//! | a page load that continues the server's trace, though the page cannot be changed | [`ServerTimingLayer`] |
//! | the same in a page that you render | [`meta_tags`](crate::propagator::meta_tags) in its `<head>` |
//! | envelopes of browsers whose ad blockers block Sentry | [`Tunnel`] |
//! | trace headers from browsers of another origin | [`TRACE_HEADERS`] |
//! | server actions as in Next.js | [`server_action`] |
//! | a flush at the end of each request or invocation, in functions | [`FlushLayer`] |
//! | work that outlives its response, as `after()` in Next.js | [`deferred`] |
//! | spans and headers for outgoing requests | [`ClientLayer`]; `RequestBuilderExt` for reqwest |
//!
//! Everything here uses OpenTelemetry's **global** tracer provider and propagator, which
//! [`SentryBuilder::install`](crate::SentryBuilder::install) sets. Where telemetry is suppressed, no span is made.
//!
//! The [guide](crate::guide::web) has the tables: attributes of requests, answers of the tunnel, results of
//! server actions.
//!
//! # In axum
//!
//! A layer of axum applies to the routes that were added before it. So the page is served inside the span of its
//! request, and the tunnel outside of any. Inside the layer it would work too: the envelopes that it forwards are not
//! requests of the application, so they are not sent as spans.
//!
//! ```
//! use axum::{Router, response::Html, routing::get};
//! use opentelemetry::Context;
//! use opentelemetry_sentry::{
//!     propagator::meta_tags,
//!     web::{ServerLayer, Tunnel},
//! };
//!
//! async fn page() -> Html<String> {
//!     Html(format!("<html><head>{}</head></html>", meta_tags(&Context::current())))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tunnel = Tunnel::builder().with_dsn("https://public@o1.ingest.sentry.io/2").build()?;
//! let app: Router = Router::new()
//!     .route("/", get(page))
//!     .layer(ServerLayer::new().with_server_timing(true))
//!     .route_service("/tunnel", tunnel); // outside of the layer
//! # let _: Router = app;
//! # Ok(()) }
//! ```

mod action;
mod client;
mod deferred;
mod flush;
mod method;
mod server;
mod server_timing;
mod span;
mod tunnel;

use http::HeaderName;

#[cfg(feature = "reqwest-013")]
pub use self::client::RequestBuilderExt;
pub use self::{
    action::{ActionOutcome, ServerAction, server_action},
    client::{ClientLayer, TracedClient, TracedFuture},
    deferred::deferred,
    flush::{FlushBody, FlushLayer, Flushed, HttpFlushLayer, HttpFlushed},
    server::{ServerBody, ServerFuture, ServerLayer, TracedServer},
    server_timing::{ServerTiming, ServerTimingFuture, ServerTimingLayer},
    tunnel::{EXPOSED_HEADERS, Tunnel, TunnelBuildError, TunnelBuilder},
};

/// The headers of a trace that a browser of another origin must be allowed to send.
///
/// Sentry's browser SDK sends the first two, and with `propagateTraceparent` the third. With tower-http, beside the
/// headers that your application needs:
///
/// ```
/// use http::{HeaderValue, Method, header::CONTENT_TYPE};
/// use opentelemetry_sentry::web::TRACE_HEADERS;
/// use tower_http::cors::CorsLayer;
///
/// let cors = CorsLayer::new()
///     .allow_origin(HeaderValue::from_static("https://shop.example.com"))
///     .allow_methods([Method::GET, Method::POST])
///     .allow_headers(TRACE_HEADERS.into_iter().chain([CONTENT_TYPE]).collect::<Vec<_>>());
/// ```
///
/// The layer belongs outside all others, so that it answers preflight requests before they become spans.
pub const TRACE_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("sentry-trace"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("traceparent"),
];
