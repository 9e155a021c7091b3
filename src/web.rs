//! What does a server between a browser and other services need?
//!
//! | you want | you write |
//! | --- | --- |
//! | a page load that continues the server's trace, where the page cannot be changed | [`ServerTimingLayer`] |
//! | the same in a page of your own | [`meta_tags`](crate::propagator::meta_tags) in its `<head>` |
//! | browsers whose ad blockers know Sentry | [`Tunnel`] |
//! | browsers of another origin that may send the trace's headers | [`TRACE_HEADERS`] |
//! | server actions as Next.js has them | [`server_action`] |
//! | work that outlives its response, as Next.js's `after()` | [`deferred`] |
//! | spans of the requests that go out, and headers on them | [`ClientLayer`]; `RequestBuilderExt` for reqwest |
//!
//! Everything here uses OpenTelemetry's **global** tracer provider and propagator, which
//! [`SentryBuilder::install`](crate::SentryBuilder::install) sets. Where telemetry is suppressed nothing is made.
//!
//! # In axum
//!
//! A layer of axum covers the routes that stand before it. So the span of the request goes around the page, and the
//! tunnel stands outside of it: what it forwards is no request of the application.
//!
//! ```
//! use axum::{Router, response::Html, routing::get};
//! use opentelemetry::Context;
//! use opentelemetry_sentry::{
//!     propagator::meta_tags,
//!     web::{ServerTimingLayer, Tunnel},
//! };
//! use tower_otel::trace::HttpLayer;
//!
//! async fn page() -> Html<String> {
//!     Html(format!("<html><head>{}</head></html>", meta_tags(&Context::current())))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tunnel = Tunnel::builder().with_dsn("https://public@o1.ingest.sentry.io/2").build()?;
//! let app: Router = Router::new()
//!     .route("/", get(page))
//!     .layer(ServerTimingLayer::new()) // inside of the request's span …
//!     .layer(HttpLayer::server(tracing::Level::INFO)) // … which this one makes
//!     .route_service("/tunnel", tunnel); // outside of it
//! # let _: Router = app;
//! # Ok(()) }
//! ```
//!
//! # What it does not do
//!
//! It makes no span of requests that come in: that is what `tower-otel` and others of its kind do well.

mod action;
mod client {
    mod call;
    mod layer;
    #[cfg(feature = "reqwest-013")]
    mod reqwest;

    pub use self::layer::{ClientLayer, TracedClient, TracedFuture};
    #[cfg(feature = "reqwest-013")]
    pub use self::reqwest::RequestBuilderExt;
}
mod deferred;
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
    server_timing::{ServerTiming, ServerTimingFuture, ServerTimingLayer},
    tunnel::{Tunnel, TunnelBuildError, TunnelBuilder},
};

/// The headers of a trace that a browser of another origin must be allowed to send.
///
/// Sentry's browser SDK sends the first two, and the third with `propagateTraceparent`. With tower-http, beside the headers
/// that your application needs:
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
/// The layer belongs outside of everything else, so that it answers preflight requests before they become spans.
pub const TRACE_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("sentry-trace"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("traceparent"),
];
