//! Sentry's guide to tracing in Next.js, item by item, with the Rust code for each.
//!
//! The left column is an item of `@sentry/nextjs`, the right one what a Rust service behind it uses.
//!
//! | Next.js | Rust |
//! | --- | --- |
//! | `tracesSampleRate` | [`with_traces_sample_rate`](#sample-rate) |
//! | `tracesSampler` | [`with_traces_sampler`, or rules](#sampling-by-route) |
//! | automatic instrumentation | [a layer of tower, and `#[instrument]`](#automatic-instrumentation) |
//! | `withServerActionInstrumentation` | [`server_action`](#server-actions) |
//! | web vitals | [the tunnel; custom measurements](#web-vitals) |
//! | `startSpan`, `startInactiveSpan`, `startSpanManual` | [`tracing` spans](#custom-spans) |
//! | `tracePropagationTargets` | [`PropagationTargets`](#where-headers-go) |
//! | `<meta name="sentry-trace">` | [`meta_tags`, `ServerLayer::with_server_timing`](#pages) |
//! | CORS | [`TRACE_HEADERS`](#cors) |
//! | `after()` | [`deferred`](#work-after-the-response) |
//! | `startNewTrace`, spans without a parent | [`parent: None`](#detached-spans) |
//! | high volume | [rules, limits, and a handle](#high-volume) |
//!
//! The examples need the features `reqwest-013` and `tower`.
//!
//! # Sample rate
//!
//! ```js
//! Sentry.init({ dsn, tracesSampleRate: 0.25 });
//! ```
//!
//! ```no_run
//! use opentelemetry_sentry::Sentry;
//! use tracing_subscriber::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sentry = Sentry::builder()
//!     .with_dsn("https://public@o1.ingest.sentry.io/1") // or SENTRY_DSN
//!     .with_traces_sample_rate(0.25) // or SENTRY_TRACES_SAMPLE_RATE
//!     .install()?;
//! tracing_subscriber::registry().with(sentry.tracing_layer()).init();
//! # Ok(()) }
//! ```
//!
//! The rate applies to traces that begin here. A trace that began in the browser keeps the browser's decision, so that
//! it is whole or absent. Without a rate nothing is recorded, and decisions are passed on. See
//! [`sampling`](super::sampling).
//!
//! # Sampling by route
//!
//! ```js
//! tracesSampler: ({ name, inheritOrSampleWith }) =>
//!   name.includes("health") ? 0 : name.startsWith("POST /checkout") ? 1 : inheritOrSampleWith(0.1)
//! ```
//!
//! As a function, which is also called for traces that arrive with a decision:
//!
//! ```
//! use opentelemetry_sentry::Sentry;
//!
//! let builder = Sentry::builder().with_traces_sampler(|context| {
//!     if context.name.contains("health") {
//!         0.0
//!     } else if context.name.starts_with("POST /checkout") {
//!         1.0
//!     } else {
//!         context.inherit_or_sample_with(0.1)
//!     }
//! });
//! # builder.build()?;
//! # Ok::<(), opentelemetry_sentry::SetupError>(())
//! ```
//!
//! As rules, of which the first that matches decides:
//!
//! ```
//! use opentelemetry_sentry::{Sentry, SentrySampler, sampler::Rule};
//!
//! let sampler = SentrySampler::builder()
//!     .with_rule(Rule::health_checks())
//!     .with_rule(Rule::sample(1.0).with_name("POST /checkout*"))
//!     .with_rate(0.1)
//!     .build()?;
//! let builder = Sentry::builder().with_sampler(sampler);
//! # builder.build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The name is the one that the span has when it starts. Layers that axum runs after routing know the route:
//! `GET /orders/{id}`.
//!
//! # Automatic instrumentation
//!
//! | | browser | Next.js on Node.js | Next.js on the edge | Rust |
//! | --- | --- | --- | --- | --- |
//! | page loads, navigation | yes | | | |
//! | incoming requests | | yes | yes | [`ServerLayer`] |
//! | outgoing requests | `fetch`, XHR | `fetch`, `http` | `fetch` | [`ClientLayer`], `RequestBuilderExt` for reqwest, or `HttpLayer::client` |
//! | queries | | many drivers | | a span around the query; see below |
//! | server components, route handlers | | yes | yes | `#[tracing::instrument]` |
//! | web vitals, interactions | yes | | | |
//!
//! In Rust a layer, an attribute or a span says what is traced. With axum and reqwest:
//!
//! ```no_run
//! use axum::{Router, extract::State, http::StatusCode, routing::get};
//! use opentelemetry_sentry::web::{ClientLayer, RequestBuilderExt, ServerLayer};
//!
//! #[derive(Clone, Default)]
//! struct Shop {
//!     http: reqwest::Client,
//!     traced: ClientLayer,
//! }
//!
//! #[tracing::instrument(skip_all, err)]
//! async fn stock(State(shop): State<Shop>) -> Result<String, StatusCode> {
//!     let answer = shop.http.get("http://stock.internal/lamp").send_traced(&shop.traced).await;
//!     answer.map_err(|_| StatusCode::BAD_GATEWAY)?.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
//! }
//!
//! let app: Router = Router::new()
//!     .route("/stock", get(stock))
//!     .with_state(Shop::default())
//!     .layer(ServerLayer::new()); // after the routes
//! ```
//!
//! Drivers such as sqlx log their queries, but make no spans for them. A span with these attributes appears in Sentry
//! as a query, with the statement as its description and `db` as its op:
//!
//! ```
//! use tracing::{Instrument, info_span};
//!
//! # async fn example() {
//! let statement = "SELECT quantity FROM stock WHERE sku = $1";
//! let span = info_span!("query", otel.kind = "client", db.system.name = "postgresql", db.query.text = statement);
//! let quantity = async { /* sqlx::query_scalar(statement).bind(sku).fetch_one(&pool).await */ }.instrument(span).await;
//! # }
//! ```
//!
//! # Server actions
//!
//! ```js
//! export async function createOrder(formData) {
//!   return Sentry.withServerActionInstrumentation(
//!     "createOrder", { headers: await headers(), formData, recordResponse: true }, async () => { … });
//! }
//! ```
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use opentelemetry_sentry::web::server_action;
//!
//! async fn create_order(headers: &HeaderMap, form: &[(String, String)]) -> Result<u64, StatusCode> {
//!     server_action("createOrder")
//!         .with_headers(headers) // continued if no span is active
//!         .with_form_data(form.iter().map(|(name, value)| (name, value))) // filtered as all attributes are
//!         .with_result(|order: &u64| order.to_string().into())
//!         .run_with(store(form), |status: &StatusCode| (*status).into())
//!         .await
//! }
//!
//! async fn store(form: &[(String, String)]) -> Result<u64, StatusCode> {
//!     if form.is_empty() { Err(StatusCode::NOT_FOUND) } else { Ok(42) }
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! # let form = [("sku".to_owned(), "lamp".to_owned())];
//! # assert_eq!(create_order(&HeaderMap::new(), &form).await, Ok(42));
//! # assert_eq!(create_order(&HeaderMap::new(), &[]).await, Err(StatusCode::NOT_FOUND));
//! # }
//! ```
//!
//! The transaction is `serverAction/createOrder` with the op `function.server_action`. Its status depends on the
//! [result](super::web#results-of-server-actions). With
//! [`with_exceptions_as_errors`](crate::SentryBuilder::with_exceptions_as_errors) a failure is also an error event.
//!
//! # Web vitals
//!
//! The browser measures and sends them. If ad blockers block Sentry's host, the backend can forward them, with the
//! option `tunnel: "/tunnel"` in the browser:
//!
//! ```
//! use axum::Router;
//! use opentelemetry_sentry::web::Tunnel;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tunnel = Tunnel::builder().with_dsn("https://public@o1.ingest.sentry.io/2").build()?; // the browser's DSN
//! let app: Router = Router::new().route_service("/tunnel", tunnel);
//! # Ok(()) }
//! ```
//!
//! Custom measurements (`Sentry.setMeasurement`) are events of a span:
//!
//! ```
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! tracing::info_span!("job").in_scope(|| {
//!     tracing::info!(sentry.measurement_value = 1.5, sentry.measurement_unit = "second", "time_in_queue");
//! });
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let job = ingest.wait_for(1, std::time::Duration::from_secs(10))?[0].items()[0].json()?;
//! # assert_eq!(job["measurements"]["time_in_queue"]["value"], 1.5, "{job}");
//! # assert_eq!(job["measurements"]["time_in_queue"]["unit"], "second", "{job}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Custom spans
//!
//! ```js
//! await Sentry.startSpan({ name: "resize image", op: "image.resize", attributes: { width: 640 } }, async () => { … });
//! ```
//!
//! | `startSpan` … | `tracing` | OpenTelemetry |
//! | --- | --- | --- |
//! | `name` | the span's name, or `otel.name` for a name made at run time | `span_builder(name)`, `update_name` |
//! | `op` | the field `sentry.op` | the attribute `sentry.op` |
//! | `attributes` | fields | `with_attributes`, `set_attribute` |
//! | `startTime` | | `with_start_time` |
//! | `parentSpan` | `parent: &span` | `build_with_context(builder, &cx)` |
//! | `forceTransaction` | | [`deferred`] |
//! | `onlyIfParent` | | `if Context::current().has_active_span()` |
//! | a callback that throws | `#[instrument(err)]` | `span.record_error(&error)`, `set_status` |
//!
//! Without an op, one is [inferred](super::mapping#op-name-and-source) from the semantic conventions: `http.server`,
//! `db`, `queue.publish`.
//!
//! `startSpan` around a function or a block:
//!
//! ```
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! #[tracing::instrument(name = "resize image", fields(sentry.op = "image.resize"), err)]
//! fn resize(width: i32) -> Result<(), std::io::Error> {
//!     let upload = tracing::info_span!("upload", sentry.op = "file.upload", bytes = tracing::field::Empty);
//!     upload.in_scope(|| { /* … */ });
//!     upload.record("bytes", 4096);
//!     Ok(())
//! }
//! # resize(640)?;
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let resized = ingest.wait_for(1, std::time::Duration::from_secs(10))?[0].items()[0].json()?;
//! # assert_eq!(resized["transaction"], "resize image");
//! # assert_eq!(resized["contexts"]["trace"]["op"], "image.resize");
//! # assert_eq!(resized["contexts"]["trace"]["data"]["width"], 640);
//! # assert_eq!(resized["spans"][0]["op"], "file.upload");
//! # assert_eq!(resized["spans"][0]["data"]["bytes"], 4096);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Signed numbers stay numbers; the `tracing` layer turns unsigned ones into text.
//!
//! In async code attach the span to the future. Do not hold a guard across an `.await`:
//!
//! ```
//! use tracing::{Instrument, info_span};
//!
//! # async fn example() {
//! async { /* … */ }.instrument(info_span!("upload", sentry.op = "file.upload")).await;
//! # }
//! ```
//!
//! `startInactiveSpan` is a span that is not entered. `startSpanManual` is one whose end you choose: a span ends when
//! it is dropped. With OpenTelemetry's API:
//!
//! ```
//! use opentelemetry::{
//!     Context, KeyValue, global,
//!     trace::{Span, SpanBuilder, TraceContextExt, Tracer},
//! };
//!
//! // `tracing`: inactive, ended by dropping it
//! let span = tracing::info_span!("wait for payment", sentry.op = "payment.wait");
//! drop(span);
//!
//! // startSpan
//! let tracer = global::tracer("shop");
//! tracer.in_span("resize image", |cx| cx.span().set_attribute(KeyValue::new("sentry.op", "image.resize")));
//! // startInactiveSpan
//! let payment = SpanBuilder::from_name("wait for payment")
//!     .with_attributes([KeyValue::new("sentry.op", "payment.wait"), KeyValue::new("amount", 12)]);
//! let mut span = tracer.build(payment);
//! span.end();
//! // startSpanManual: active in a scope, ended after it
//! let cx = Context::current_with_span(tracer.start("import"));
//! let active = cx.clone().attach();
//! // … spans that start here are children of this one
//! drop(active);
//! cx.span().end();
//! ```
//!
//! Spans of both APIs can be nested. `getActiveSpan()` is `tracing::Span::current()`, or `Context::current().span()`.
//!
//! # Where headers go
//!
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
//! The [headers](super::headers) are `sentry-trace`, `baggage` and `traceparent`, and always agree. For other clients
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
//! # Work after the response
//!
//! ```js
//! after(() => sendConfirmation(order));
//! ```
//!
//! ```
//! use opentelemetry_sentry::web::deferred;
//! use tracing::{Instrument, info_span};
//!
//! # async fn send_confirmation(_: u64) {}
//! async fn place_order() -> &'static str {
//!     // a transaction of its own in the same trace, linked to the request:
//!     tokio::spawn(deferred("send_confirmation", send_confirmation(42)));
//!     // a part of the request's transaction, which is sent when this is done:
//!     tokio::spawn(send_confirmation(42).instrument(info_span!("send_confirmation")));
//!     "ordered"
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() { place_order().await; }
//! ```
//!
//! # Detached spans
//!
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
//! # High volume
//!
//! ```
//! use opentelemetry_sentry::{Sentry, SentrySampler, SpanFilter, sampler::Rule};
//!
//! let sampler = SentrySampler::builder()
//!     .with_rule(Rule::health_checks()) // never
//!     .with_rule(Rule::sample(0.01).with_path_prefix("/static/"))
//!     .with_rule(Rule::sample(1.0).with_name("POST /checkout*"))
//!     .with_rate(0.1)
//!     .with_max_traces_per_second(50)
//!     .build()?;
//! let sentry = Sentry::builder()
//!     .with_sampler(sampler)
//!     .with_exporter(|exporter| {
//!         exporter
//!             .with_backpressure(true) // halves the rate, step by step, while Sentry cannot keep up
//!             .with_ignore_transactions(["GET /metrics"])
//!             .with_ignore_spans([SpanFilter::new().with_op("cache.*")])
//!     })
//!     .build()?;
//!
//! // … and while it runs, from an admin route or a feature flag:
//! sentry.sampler().set_rate(Some(0.02))?;
//! sentry.sampler().set_max_traces_per_second(Some(10.0))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Headers and transactions carry the rate that was really applied, so Sentry's totals stay right. [`Sentry::stats`]
//! counts what was dropped, by [reason](super::delivery#reasons).
//!
//! # Errors
//!
//! `Sentry.captureException` has two counterparts: exceptions that spans record
//! ([`with_exceptions_as_errors`](crate::SentryBuilder::with_exceptions_as_errors)), and the `sentry` crate, whose
//! events get the active span's trace with the feature `sentry-sdk`.
//!
//! [`Sentry::stats`]: crate::Sentry::stats
//! [`ClientLayer`]: crate::web::ClientLayer
//! [`ServerLayer`]: crate::web::ServerLayer
//! [`deferred`]: crate::web::deferred
