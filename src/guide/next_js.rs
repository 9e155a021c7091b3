//! From Next.js to Rust: Sentry's guide to tracing, item by item.
//!
//! The left column is what `@sentry/nextjs` has, the right one what a Rust service behind it writes.
//!
//! | Next.js | Rust |
//! | --- | --- |
//! | `tracesSampleRate` | [`with_traces_sample_rate`](#sample-rate) |
//! | `tracesSampler` | [`with_traces_sampler`, or rules](#sampling-by-route) |
//! | what is traced without being asked | [a layer of tower, and `#[instrument]`](#what-is-traced-by-itself) |
//! | `withServerActionInstrumentation` | [`server_action`](#server-actions) |
//! | web vitals | [the tunnel; measurements of your own](#web-vitals) |
//! | `startSpan`, `startInactiveSpan`, `startSpanManual` | [`tracing` spans](#spans-of-your-own) |
//! | `tracePropagationTargets` | [`PropagationTargets`](#where-headers-go) |
//! | `<meta name="sentry-trace">` | [`meta_tags`, `ServerTimingLayer`](#pages) |
//! | CORS | [`TRACE_HEADERS`](#cors) |
//! | `after()` | [`deferred`](#work-after-the-response) |
//! | `startNewTrace`, spans without a parent | [`parent: None`](#detached-spans) |
//! | advice for high volume | [rules, limits, and a handle](#high-volume) |
//!
//! The snippets want the features `reqwest-013` and `tower`.
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
//! The rate is for traces that begin here. One that began in the browser was decided there, and stays so: whole or
//! absent. Without a rate nothing is recorded, and the decisions of others are passed on.
//!
//! # Sampling by route
//!
//! ```js
//! tracesSampler: ({ name, inheritOrSampleWith }) =>
//!   name.includes("health") ? 0 : name.startsWith("POST /checkout") ? 1 : inheritOrSampleWith(0.1)
//! ```
//!
//! As a function, which is asked about traces that came in decided, too:
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
//! As rules, of which the first that fits is used:
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
//! The name is the one that the span begins with. Layers of axum that stand after the routes know the route:
//! `GET /orders/{id}`.
//!
//! # What is traced by itself
//!
//! | | browser | Next.js on Node.js | Next.js on the edge | Rust |
//! | --- | --- | --- | --- | --- |
//! | page loads, navigation | yes | | | |
//! | requests that come in | | yes | yes | `tower_otel::trace::HttpLayer::server` |
//! | requests that go out | `fetch`, XHR | `fetch`, `http` | `fetch` | [`ClientLayer`], `RequestBuilderExt` for reqwest, or `HttpLayer::client` |
//! | queries | | many drivers | | a span around the query; see below |
//! | server components, route handlers | | yes | yes | `#[tracing::instrument]` |
//! | web vitals, interactions | yes | | | |
//!
//! Nothing in Rust is traced behind your back: a layer, an attribute or a span says what is. With axum and reqwest:
//!
//! ```no_run
//! use axum::{Router, extract::State, http::StatusCode, routing::get};
//! use opentelemetry_sentry::web::{ClientLayer, RequestBuilderExt};
//! use tower_otel::trace::HttpLayer;
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
//!     .layer(HttpLayer::server(tracing::Level::INFO)); // after the routes
//! ```
//!
//! Drivers such as sqlx log their queries, but make no spans of them. A span with these attributes is a query in Sentry,
//! with the statement as its description and `db` as its op:
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
//!         .with_headers(headers) // continued where no span is active
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
//! The transaction is `serverAction/createOrder` with the op `function.server_action`. What is not found has that status,
//! a redirect is `ok`, and any other error is `internal_error`; with
//! [`with_exceptions_as_errors`](crate::SentryBuilder::with_exceptions_as_errors) it is an error event, too.
//!
//! # Web vitals
//!
//! The browser measures and sends them. A backend has nothing to do but to let them through where blockers know Sentry,
//! with the option `tunnel: "/tunnel"` in the browser:
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
//! Numbers of your own, which are `Sentry.setMeasurement` there, are events of a span:
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
//! # Spans of your own
//!
//! ```js
//! await Sentry.startSpan({ name: "resize image", op: "image.resize", attributes: { width: 640 } }, async () => { … });
//! ```
//!
//! | `startSpan` … | `tracing` | OpenTelemetry |
//! | --- | --- | --- |
//! | `name` | the span's name, or `otel.name` for one that is made at run time | `span_builder(name)`, `update_name` |
//! | `op` | the field `sentry.op` | the attribute `sentry.op` |
//! | `attributes` | fields | `with_attributes`, `set_attribute` |
//! | `startTime` | | `with_start_time` |
//! | `parentSpan` | `parent: &span` | `build_with_context(builder, &cx)` |
//! | `forceTransaction` | | [`deferred`] |
//! | `onlyIfParent` | | `if Context::current().has_active_span()` |
//! | a callback that throws | `#[instrument(err)]` | `span.record_error(&error)`, `set_status` |
//!
//! Where no op is given, one is found from the semantic conventions: `http.server`, `db`, `queue.publish`.
//!
//! `startSpan`, around a function or a block:
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
//! Numbers that are signed stay numbers; the `tracing` layer makes text of unsigned ones.
//!
//! In async code the span belongs to the future, and not to a guard that is held over an `.await`:
//!
//! ```
//! use tracing::{Instrument, info_span};
//!
//! # async fn example() {
//! async { /* … */ }.instrument(info_span!("upload", sentry.op = "file.upload")).await;
//! # }
//! ```
//!
//! `startInactiveSpan` is a span that is not entered, and `startSpanManual` one whose end you choose; it ends when it is
//! dropped. With OpenTelemetry's own interface:
//!
//! ```
//! use opentelemetry::{
//!     Context, KeyValue, global,
//!     trace::{Span, SpanBuilder, TraceContextExt, Tracer},
//! };
//!
//! // `tracing`: inactive, and ended by hand
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
//! // startSpanManual: active in a scope, and ended after it
//! let cx = Context::current_with_span(tracer.start("import"));
//! let active = cx.clone().attach();
//! // … work, whose spans are children of this one
//! drop(active);
//! cx.span().end();
//! ```
//!
//! Both kinds nest in each other. `getActiveSpan()` is `tracing::Span::current()`, or `Context::current().span()`.
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
//! What goes out is `sentry-trace`, `baggage` and `traceparent` in agreement. Around other clients than reqwest,
//! [`ClientLayer`] is a layer of tower.
//!
//! # Pages
//!
//! In Next.js the tags come by themselves. A page that Rust renders has them in its `<head>`, and one that it only serves
//! has the header `Server-Timing`:
//!
//! ```
//! use axum::{Router, response::Html, routing::get};
//! use opentelemetry::Context;
//! use opentelemetry_sentry::{propagator::meta_tags, web::ServerTimingLayer};
//! use tower_otel::trace::HttpLayer;
//!
//! async fn page() -> Html<String> {
//!     Html(format!("<html><head>{}</head></html>", meta_tags(&Context::current())))
//! }
//!
//! let app: Router = Router::new()
//!     .route("/", get(page))
//!     .layer(ServerTimingLayer::new()) // inside of the request's span
//!     .layer(HttpLayer::server(tracing::Level::INFO));
//! ```
//!
//! Do not cache such pages: all who get one would share a trace.
//!
//! # CORS
//!
//! A browser of another origin asks first whether it may send the trace's headers:
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
//!     // a part of the request's transaction, which waits for it:
//!     tokio::spawn(send_confirmation(42).instrument(info_span!("send_confirmation")));
//!     "ordered"
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() { place_order().await; }
//! ```
//!
//! # Detached spans
//!
//! `startNewTrace` is a span without a parent. A link tells Sentry where it came from:
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
//! In OpenTelemetry: `tracer.build_with_context(builder.with_links(links), &Context::new())`. The sampler decides about it
//! as about any trace that begins here.
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
//!     .with_max_traces_per_second(50) // whatever comes
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
//! The rate that was really applied goes along in the trace's headers, so that Sentry's numbers stay right. What was
//! dropped, and why, is in [`Sentry::stats`](crate::Sentry::stats).
//!
//! # Errors
//!
//! `Sentry.captureException` has two counterparts: the exceptions that spans tell of
//! ([`with_exceptions_as_errors`](crate::SentryBuilder::with_exceptions_as_errors)), and the `sentry` crate, whose events
//! get the active span's trace with the feature `sentry-sdk`.
//!
//! [`ClientLayer`]: crate::web::ClientLayer
//! [`deferred`]: crate::web::deferred
