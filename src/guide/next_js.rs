//! Sentry's guide to tracing in Next.js, page by page and item by item, with the Rust code for each.
//!
//! | Sentry's page | here |
//! | --- | --- |
//! | set up tracing, server actions, `after()` | this page |
//! | configure sampling | [sampling](#sampling) |
//! | distributed tracing | [`distributed_tracing`] |
//! | instrumentation | [`instrumentation`] |
//! | automatic instrumentation | [automatic instrumentation](#automatic-instrumentation) |
//! | span metrics | [`instrumentation`](instrumentation#span-metrics) |
//! | troubleshooting | [troubleshooting](#troubleshooting) |
//!
//! | Next.js | Rust |
//! | --- | --- |
//! | `tracesSampleRate` | [`with_traces_sample_rate`](#sample-rate) |
//! | `tracesSampler`, and its sampling context | [`with_traces_sampler`, or rules](#sampling-by-route) |
//! | precedence of sampling decisions | [a table](#precedence) |
//! | automatic instrumentation | [a layer of tower, and `#[instrument]`](#automatic-instrumentation) |
//! | `withServerActionInstrumentation` | [`server_action`](#server-actions) |
//! | web vitals | [the tunnel; custom measurements](#web-vitals) |
//! | `after()` | [`deferred`](#work-after-the-response) |
//! | high volume | [rules, limits, and a handle](#high-volume) |
//! | streamed spans (`traceLifecycle: "stream"`) | `with_lifecycle(TraceLifecycle::Stream)`, or `SENTRY_TRACE_LIFECYCLE=stream` |
//!
//! The examples of these pages need the features `axum-08` and `reqwest-013`.
//!
//! # Sampling
//!
//! ## Sample rate
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
//! ## Sampling by route
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
//! The function gets what `samplingContext` has, under the same names, and also the op, the kind and the links:
//!
//! ```
//! use opentelemetry_sentry::Sentry;
//!
//! let builder = Sentry::builder().with_traces_sampler(|context| {
//!     let tier = context.attributes.iter().find(|attribute| attribute.key.as_str() == "user.tier");
//!     if tier.is_some_and(|tier| tier.value.as_str() == "premium") {
//!         1.0
//!     } else {
//!         context.inherit_or_sample_with(if cfg!(debug_assertions) { 1.0 } else { 0.2 })
//!     }
//! });
//! # builder.build()?;
//! # Ok::<(), opentelemetry_sentry::SetupError>(())
//! ```
//!
//! Attributes that are set later do not count: the decision is made when the request arrives, and goes out with the first
//! request to another service.
//!
//! ## Precedence
//!
//! | set here | the trace arrives with a decision | the trace is undecided, or begins here |
//! | --- | --- | --- |
//! | a function | the function decides | the function decides |
//! | a rate | the decision is kept | the rate decides |
//! | neither | the decision is passed on, and nothing is recorded here | the same |
//!
//! What [rules](super::sampling) do in these cases is on their page.
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
//! The options of Sentry's page:
//!
//! | option | Rust |
//! | --- | --- |
//! | `tracePropagationTargets` | [`PropagationTargets`](distributed_tracing#where-headers-go) |
//! | `shouldCreateSpanForRequest` | incoming: [`with_untraced_paths`]; outgoing: `send()` instead of `send_traced()`, or [suppression](instrumentation#no-spans) |
//! | `excludeServerRoutes`, `autoInstrumentServerFunctions`, `autoInstrumentMiddleware`, `autoInstrumentAppDirectory` | [`with_untraced_paths`]; routes that were added after the layer |
//! | `beforeStartSpan`, `idleTimeout`, `finalTimeout`, `heartbeatInterval`, `instrumentPageLoad`, `instrumentNavigation`, `markBackgroundSpan`, `enableLongTask`, `enableLongAnimationFrame`, `enableInp`, `interactionsSampleRate`, `linkPreviousTrace`, `consistentTraceSampling` | the browser's: they are about page loads and interactions |
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
//! The transaction is `serverAction/createOrder` with the op `function.server_action` (in a stream: `function`). Its status depends on the
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
//!             .with_ignore_spans([SpanFilter::from("GET /metrics"), SpanFilter::new().with_op("cache.*")])
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
//! # Troubleshooting
//!
//! | you see | do |
//! | --- | --- |
//! | nothing arrives | `sentry.check()` returns problems of the set-up as sentences; [`Sentry::stats`] counts losses |
//! | transactions with ids in their names are not grouped | add [`ServerLayer`] after the routes, so that it knows them; else [name](instrumentation#names) the span, or change the name in [`with_before_send_transaction`] (of a [stream](super::lifecycles): in `with_before_send_span`) |
//! | texts are cut | tags end after 200 characters, as at Sentry; other [limits](super::mapping) are longer: put long texts in attributes |
//! | spans are missing above 1000 | they are not: a large trace leaves in [parts](super::delivery) |
//! | memory grows with long traces | it does not: [limits](super::delivery) hold for waiting traces and for the queue |
//! | spans are lost in a crash | those that have not left are; what waits in an outage is kept on disk with [`with_spool_dir`] |
//! | `ignoreSpans` does not match | [`with_ignore_spans`] is asked when a transaction is sent, so names and attributes that are set late count; a [streamed](super::lifecycles) span is asked about when it starts |
//! | a trace ends at a proxy | let it pass `sentry-trace` and `baggage`; for browsers, see [CORS](distributed_tracing#cors) |
//!
//! Group by a name of your own:
//!
//! ```
//! use opentelemetry_sentry::Sentry;
//!
//! let builder = Sentry::builder().with_before_send_transaction(|mut transaction| {
//!     if transaction.name.starts_with("GET /users/") {
//!         transaction.name = "GET /users/{id}".to_owned();
//!     }
//!     Some(transaction)
//! });
//! # builder.build()?;
//! # Ok::<(), opentelemetry_sentry::SetupError>(())
//! ```
//!
//! [`with_untraced_paths`]: crate::web::ServerLayer::with_untraced_paths
//! [`with_before_send_transaction`]: crate::SentryBuilder::with_before_send_transaction
//! [`with_spool_dir`]: crate::SentryBuilder::with_spool_dir
//! [`with_ignore_spans`]: crate::exporter::SentryExporterBuilder::with_ignore_spans
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

pub mod distributed_tracing;
pub mod instrumentation;
