//! Sentry's page "Distributed tracing" for Next.js, item by item, in Rust.
//!
//! | Next.js | Rust |
//! | --- | --- |
//! | `sentry-trace` and `baggage` on requests | incoming: [`ServerLayer`]; outgoing: [`ClientLayer`], `RequestBuilderExt` |
//! | `tracePropagationTargets` | [`PropagationTargets`](#where-headers-go) |
//! | CORS allow list | [`TRACE_HEADERS`](#cors) |
//! | `generateMetadata`, `<meta name="sentry-trace">` | [`meta_tags`, `ServerLayer::with_server_timing`](#pages) |
//! | reading the tags of a page | the browser's: its SDK does it |
//! | trace duration | a request is in the trace that it arrives with, or in a new one; page loads and navigation are the browser's |
//! | how sampling propagates | [one decision](crate::guide::next_js#precedence), made where the trace begins |
//! | `continueTrace` | [`extract`](#other-carriers) |
//! | `getTraceData` | [`inject_context`](#other-carriers), or `SentryPropagator::to_env` for a process |
//! | WebSocket messages | [an extractor and an injector](#websocket-messages) |
//! | `startNewTrace`, `parentSpan: null` | [`parent: None`](#new-traces) |
//! | `strictTraceContinuation`, `orgId` | [`with_strict_trace_continuation`, `with_org_id`](#strict-continuation) |
//! | `propagateTraceparent` | [always on](#traceparent) |
//!
//! # Where headers go
//! ```js
//! tracePropagationTargets: ["api.example.com", /^https:\/\/[a-z]+\.internal\//]
//! ```
//!
//! ```
//! use opentelemetry_sentry::{
//!     propagator::PropagationTargets,
//!     web::{ClientLayer, RequestBuilderExt},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let targets = PropagationTargets::builder()
//!     .with_text("api.example.com")
//!     .with_regex(r"^https://[a-z]+\.internal/")
//!     .build()?;
//! assert!(targets.matches("https://stock.internal/lamp"));
//! assert!(!targets.matches("https://example.org/"));
//!
//! let layer = ClientLayer::new().with_targets(targets);
//! let request = reqwest::Client::new().get("https://stock.internal/lamp").send_traced(&layer);
//! # drop(request);
//! # Ok(()) }
//! ```
//!
//! The [headers](crate::guide::headers) are `sentry-trace`, `baggage` and `traceparent`, and always agree. For other clients
//! than reqwest, [`ClientLayer`] is a layer of tower.
//!
//! # Pages
//!
//! Next.js adds the tags itself. A page that Rust renders gets them in its `<head>`; a page that it only serves gets
//! the header `Server-Timing`:
//!
//! ```
//! use axum::{Router, response::Html, routing::get};
//! use opentelemetry::Context;
//! use opentelemetry_sentry::{propagator::meta_tags, web::ServerLayer};
//!
//! async fn page() -> Html<String> {
//!     Html(format!("<html><head>{}</head></html>", meta_tags(&Context::current())))
//! }
//!
//! let app: Router = Router::new()
//!     .route("/", get(page))
//!     .layer(ServerLayer::new().with_server_timing(true));
//! ```
//!
//! Do not cache such pages: every visitor would continue the same trace.
//!
//! # CORS
//!
//! A browser of another origin asks in a preflight request whether it may send the trace's headers:
//!
//! ```
//! use http::{HeaderValue, header::CONTENT_TYPE};
//! use opentelemetry_sentry::web::TRACE_HEADERS;
//! use tower_http::cors::CorsLayer;
//!
//! let cors = CorsLayer::new()
//!     .allow_origin(HeaderValue::from_static("https://shop.example.com"))
//!     .allow_headers(TRACE_HEADERS.into_iter().chain([CONTENT_TYPE]).collect::<Vec<_>>());
//! ```
//!
//! # Other carriers
//!
//! ```js
//! Sentry.continueTrace({ sentryTrace, baggage }, () => Sentry.startSpan({ name: "import" }, () => { … }));
//! const headers = Sentry.getTraceData();
//! ```
//!
//! Whatever carries the trace is an `Extractor` or an `Injector` of OpenTelemetry, as `HashMap<String, String>` is. For
//! headers of `http` there are `HeaderExtractor` and `HeaderInjector` in `opentelemetry-http`:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use opentelemetry::{Context, propagation::TextMapPropagator};
//! use opentelemetry_sentry::SentryPropagator;
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! /// `continueTrace`
//! fn import(propagator: &SentryPropagator, headers: &HashMap<String, String>) -> HashMap<String, String> {
//!     let span = tracing::info_span!("import");
//!     // It fails only for a span that has started already, or that no layer records.
//!     let _ = span.set_parent(propagator.extract_with_context(&Context::new(), headers));
//!     span.in_scope(|| {
//!         // `getTraceData`
//!         let mut next = HashMap::new();
//!         propagator.inject_context(&Context::current(), &mut next);
//!         next
//!     })
//! }
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! # let arrived = [("sentry-trace", "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-1"), ("baggage", "sentry-release=web@1")];
//! # let arrived = arrived.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
//! # let next = import(sentry.propagator(), &arrived);
//! # assert!(next["sentry-trace"].starts_with("771a43a4192642f0b136d5159a501700-"), "{next:?}");
//! # assert!(!next["sentry-trace"].contains("7c7c2e6c5e1c4b0a"), "{next:?}");
//! # assert!(next["baggage"].contains("sentry-release=web@1"), "{next:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! After `install` the propagator is the global one: `global::get_text_map_propagator(|propagator| …)`.
//!
//! # WebSocket messages
//!
//! A connection has headers once, and each message can be in another trace. The browser sends the trace in the message:
//!
//! ```js
//! const { "sentry-trace": sentryTrace, baggage } = Sentry.getTraceData();
//! webSocket.send(JSON.stringify({ message, metadata: { "sentry-trace": sentryTrace, baggage } }));
//! ```
//!
//! Here each message becomes a transaction in the trace of its sender:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use opentelemetry::{Context, propagation::TextMapPropagator};
//! use opentelemetry_sentry::SentryPropagator;
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! #[derive(serde::Deserialize, serde::Serialize)]
//! struct Message {
//!     message: String,
//!     metadata: HashMap<String, String>,
//! }
//!
//! fn receive(propagator: &SentryPropagator, text: &str) -> serde_json::Result<String> {
//!     let Message { message, metadata } = serde_json::from_str(text)?;
//!     // `parent: None`: not a part of the connection's request, whose transaction would wait for its end
//!     let span = tracing::info_span!(parent: None, "message", otel.kind = "consumer", sentry.op = "websocket.server");
//!     let _ = span.set_parent(propagator.extract_with_context(&Context::new(), &metadata));
//!     span.in_scope(|| send(propagator, message))
//! }
//!
//! /// The answer has the trace as well, so that a browser or another service can continue it.
//! fn send(propagator: &SentryPropagator, message: String) -> serde_json::Result<String> {
//!     let mut metadata = HashMap::new();
//!     propagator.inject_context(&Context::current(), &mut metadata);
//!     serde_json::to_string(&Message { message, metadata })
//! }
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! # let connection = tracing::info_span!("GET /socket").entered();
//! # let trace = "771a43a4192642f0b136d5159a501700";
//! # let text = format!(r#"{{"message":"hi","metadata":{{"sentry-trace":"{trace}-7c7c2e6c5e1c4b0a-1"}}}}"#);
//! # let answer = receive(sentry.propagator(), &text)?;
//! # assert!(answer.contains(&format!(r#""sentry-trace":"{trace}-"#)), "{answer}");
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let sent = ingest.wait_for(1, std::time::Duration::from_secs(10))?[0].items()[0].json()?;
//! # assert_eq!(sent["transaction"], "message");
//! # assert_eq!(sent["contexts"]["trace"]["trace_id"], trace);
//! # assert_eq!(sent["contexts"]["trace"]["parent_span_id"], "7c7c2e6c5e1c4b0a");
//! # assert_eq!(sent["contexts"]["trace"]["op"], "websocket.server");
//! # drop(connection);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How the connection itself can be a part of its request is on the page [`web`](crate::guide::web#websockets).
//!
//! # New traces
//! `startNewTrace` is a span without a parent. A link shows in Sentry where it came from:
//!
//! ```
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! use tracing::info_span;
//!
//! # let request = info_span!("GET /orders").entered();
//! let rebuild = info_span!(parent: None, "rebuild_index", sentry.op = "task");
//! rebuild.follows_from(tracing::Span::current());
//! rebuild.in_scope(|| { /* … */ });
//! # drop(rebuild);
//! # drop(request);
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let envelopes = ingest.wait_for(2, std::time::Duration::from_secs(10))?;
//! # let sent: Vec<_> = envelopes.iter().map(|envelope| envelope.items()[0].json().expect("JSON")).collect();
//! # let named = |name: &str| sent.iter().find(|sent| sent["transaction"] == name).expect(name)["contexts"]["trace"].clone();
//! # let (request, rebuild) = (named("GET /orders"), named("rebuild_index"));
//! # assert_ne!(request["trace_id"], rebuild["trace_id"]);
//! # assert_eq!(rebuild.get("parent_span_id").and_then(|id| id.as_str()), None);
//! # assert_eq!(rebuild["links"][0]["span_id"], request["span_id"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In OpenTelemetry: `tracer.build_with_context(builder.with_links(links), &Context::new())`. The sampler decides about
//! the new trace as about any other that begins here.
//!
//! # Strict continuation
//!
//! ```js
//! Sentry.init({ dsn, orgId: "7", strictTraceContinuation: true });
//! ```
//!
//! A request of another organisation's service then begins a new trace here, and so does one that names no organisation:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use opentelemetry::{Context, propagation::TextMapPropagator, trace::TraceContextExt};
//! use opentelemetry_sentry::Sentry;
//!
//! let sentry = Sentry::builder()
//!     .with_dsn("https://public@o7.ingest.sentry.io/1") // names the organisation; else `with_org_id(7)`
//!     .with_strict_trace_continuation(true)
//!     .build()?;
//! let is_continued = |baggage: &str| {
//!     let trace = "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-1";
//!     let headers = [("sentry-trace", trace), ("baggage", baggage)];
//!     let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
//!     let cx = sentry.propagator().extract_with_context(&Context::new(), &headers.collect::<HashMap<_, _>>());
//!     cx.has_active_span()
//! };
//! assert!(is_continued("sentry-org_id=7"));
//! assert!(!is_continued("sentry-org_id=8"));
//! assert!(!is_continued("tenant=acme"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # `traceparent`
//!
//! It is always sent beside `sentry-trace`, and read if there is no `sentry-trace`, so that services with OpenTelemetry
//! alone stay in the trace. A [propagator of your own](crate::SentryPropagator::builder) can leave it out:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use opentelemetry::{Context, propagation::TextMapPropagator};
//! use opentelemetry_sentry::SentryPropagator;
//!
//! let propagator = SentryPropagator::builder().with_traceparent(false).build()?;
//! let arrived = "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-1".to_owned();
//! let cx = propagator.extract_with_context(&Context::new(), &HashMap::from([("sentry-trace".to_owned(), arrived)]));
//! let mut headers = HashMap::new();
//! propagator.inject_context(&cx, &mut headers);
//! assert!(headers.contains_key("sentry-trace") && !headers.contains_key("traceparent"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ClientLayer`]: crate::web::ClientLayer
//! [`ServerLayer`]: crate::web::ServerLayer
