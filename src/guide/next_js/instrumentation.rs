//! Sentry's pages "Instrumentation" and "Span metrics" for Next.js, item by item, in Rust.
//!
//! | Next.js | Rust |
//! | --- | --- |
//! | `startSpan`, `startInactiveSpan`, `startSpanManual`, and their options | [`tracing` spans](#custom-spans), or OpenTelemetry's |
//! | active and inactive spans | a span that is entered, and one that is not |
//! | `parentSpanIsAlwaysRootSpan`: flat or nested | the browser's; here spans nest, also in parallel tasks |
//! | `parentSpan` | [`parent: &span`](#parents) |
//! | `getActiveSpan` | `tracing::Span::current()`, `Context::current().span()` |
//! | `getRootSpan` | [keep the request's context](#parents) |
//! | `withActiveSpan(span, …)`, `withActiveSpan(null, …)` | [`in_scope`, `instrument`; `parent: None`](#parents) |
//! | `suppressTracing` | [`Context::enter_telemetry_suppressed_scope`](#no-spans) |
//! | `continueTrace`, `startNewTrace` | [distributed tracing](super::distributed_tracing) |
//! | `setAttribute`, `setAttributes` | [fields, and `set_attribute`](#attributes) |
//! | attributes on all spans | [a span processor, or the hook](#attributes-on-all-spans) |
//! | `op` | `sentry.op`, else [inferred](crate::guide::mapping#op-name-and-source) |
//! | `updateSpanName` | [`sentry.custom_span_name`](#names) |
//! | `setStatus`, `setHttpStatus` | `set_status`, `http.response.status_code`; [the table](crate::guide::mapping) |
//! | `addLink` | `follows_from`, `add_link` |
//! | requests, queues, caches, AI agents | attributes of the [conventions](crate::guide::mapping#op-name-and-source) |
//! | span metrics | [numbers as attributes](#span-metrics) |
//!
//! # Custom spans
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
//! Without an op, one is [inferred](crate::guide::mapping#op-name-and-source) from the semantic conventions: `http.server`,
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
//! # Parents
//!
//! ```js
//! Sentry.withActiveSpan(parent, () => Sentry.startSpan({ name: "child" }, () => { … }));
//! Sentry.withActiveSpan(null, () => Sentry.startSpan({ name: "other" }, () => { … }));
//! Sentry.getRootSpan(Sentry.getActiveSpan()).setAttribute("tenant", "acme");
//! ```
//!
//! ```
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
//! use tracing::info_span;
//!
//! # let handler = info_span!("GET /orders");
//! # handler.in_scope(|| {
//! let request = Context::current(); // at the start of a handler: the span of `ServerLayer`
//!
//! let parent = info_span!("parent");
//! parent.in_scope(|| info_span!("child").in_scope(|| { /* … */ })); // for futures: `.instrument(parent.clone())`
//! info_span!(parent: &parent, "child").in_scope(|| { /* … */ });
//! info_span!(parent: None, "other").in_scope(|| { /* … */ }); // in a trace of its own
//!
//! request.span().set_attribute(KeyValue::new("tenant", "acme")); // from anywhere below
//! # });
//! # drop(handler);
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let envelopes = ingest.wait_for(2, std::time::Duration::from_secs(10))?;
//! # let sent: Vec<_> = envelopes.iter().map(|envelope| envelope.items()[0].json().expect("JSON")).collect();
//! # let orders = sent.iter().find(|sent| sent["transaction"] == "GET /orders").expect("a transaction");
//! # assert_eq!(orders["contexts"]["trace"]["data"]["tenant"], "acme");
//! # let spans = orders["spans"].as_array().expect("spans");
//! # let parent = spans.iter().find(|span| span["description"] == "parent").expect("a span");
//! # assert_eq!(parent["parent_span_id"], orders["contexts"]["trace"]["span_id"]);
//! # assert_eq!(spans.iter().filter(|span| span["parent_span_id"] == parent["span_id"]).count(), 2);
//! # assert!(sent.iter().any(|sent| sent["transaction"] == "other"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! OpenTelemetry has no way from a span to its root, so keep the root's context, as above.
//!
//! # No spans
//!
//! ```js
//! Sentry.suppressTracing(() => fetch("https://example.com"));
//! ```
//!
//! Where telemetry is suppressed, no span is made and no header is sent. The guard must not be held across an `.await`; a
//! future gets a context instead:
//!
//! ```
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! use opentelemetry::{Context, trace::FutureExt};
//! use tracing::info_span;
//!
//! async fn poll_health() {
//!     info_span!("not recorded").in_scope(|| { /* … */ });
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn run() {
//! poll_health().with_context(Context::current().with_telemetry_suppressed()).await;
//! {
//!     let _suppressed = Context::enter_telemetry_suppressed_scope();
//!     info_span!("not recorded either").in_scope(|| { /* … */ });
//! }
//! info_span!("recorded").in_scope(|| { /* … */ });
//! # }
//! # run();
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let sent = ingest.wait_for(1, std::time::Duration::from_secs(10))?;
//! # assert_eq!((sent.len(), &sent[0].items()[0].json()?["transaction"]), (1, &"recorded".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Attributes
//!
//! ```js
//! Sentry.getActiveSpan()?.setAttributes({ attr1: "value1", attr2: 42, attr3: true, attr4: ["a", "b"] });
//! ```
//!
//! A field of `tracing` must be declared when the span is made, with `tracing::field::Empty` if its value comes later. With
//! `OpenTelemetrySpanExt` any key can be set at any time, on any span:
//!
//! ```
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! use opentelemetry::{Array, Value};
//! use tracing::{Span, field::Empty, info_span};
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! info_span!("work", attr1 = "value1", attr2 = Empty).in_scope(|| {
//!     let span = Span::current();
//!     span.record("attr2", 42);
//!     span.set_attribute("attr3", true);
//!     span.set_attribute("attr4", Value::Array(Array::String(vec!["a".into(), "b".into()])));
//! });
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let sent = ingest.wait_for(1, std::time::Duration::from_secs(10))?[0].items()[0].json()?;
//! # let data = &sent["contexts"]["trace"]["data"];
//! # assert_eq!((&data["attr1"], &data["attr2"], &data["attr3"]), (&"value1".into(), &42.into(), &true.into()));
//! # assert_eq!(data["attr4"], serde_json::json!(["a", "b"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Attributes on all spans
//!
//! A span processor sees each sampled span when it starts. What is the same for the whole process belongs in the
//! [resource](crate::guide::mapping#resource) or in [`with_tag`](crate::exporter::SentryExporterBuilder::with_tag), and for
//! streamed spans in [`with_attribute`](crate::SentryBuilder::with_attribute):
//!
//! ```
//! use opentelemetry::{Context, KeyValue, trace::Span as _};
//! use opentelemetry_sdk::{
//!     error::OTelSdkResult,
//!     trace::{Span, SpanData, SpanProcessor},
//! };
//! use opentelemetry_sentry::Sentry;
//!
//! #[derive(Debug)]
//! struct Region;
//!
//! impl SpanProcessor for Region {
//!     fn on_start(&self, span: &mut Span, _: &Context) {
//!         span.set_attribute(KeyValue::new("region", "eu-central-1"));
//!     }
//!
//!     fn on_end(&self, _: SpanData) {}
//!
//!     fn force_flush(&self) -> OTelSdkResult {
//!         Ok(())
//!     }
//!
//!     fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
//!         Ok(())
//!     }
//! }
//!
//! let builder = Sentry::builder().with_span_processor(Region);
//! # use opentelemetry_sentry::exporter::testing::LocalIngest;
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = builder.with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! # tracing::info_span!("outer").in_scope(|| tracing::info_span!("inner").in_scope(|| ()));
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let sent = ingest.wait_for(1, std::time::Duration::from_secs(10))?[0].items()[0].json()?;
//! # assert_eq!(sent["contexts"]["trace"]["data"]["region"], "eu-central-1");
//! # assert_eq!(sent["spans"][0]["data"]["region"], "eu-central-1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `beforeSendTransaction` is [`with_before_send_transaction`](crate::SentryBuilder::with_before_send_transaction), and
//! `beforeSendSpan` is [`with_before_send_span`](crate::exporter::SentryExporterBuilder::with_before_send_span). Their
//! events have `data` of the root and of each span. A [stream](crate::guide::lifecycles) has the second one only.
//!
//! # Names
//!
//! ```js
//! Sentry.updateSpanName(span, "New Name");
//! ```
//!
//! Names of spans with HTTP or database attributes are [made of these attributes](crate::guide::mapping#op-name-and-source),
//! whatever `update_name` or `otel.name` says. The attribute `sentry.custom_span_name` wins always:
//!
//! ```
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! use tracing::{Span, info_span};
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! info_span!("request", otel.kind = "server", http.request.method = "GET", url.path = "/a/1").in_scope(|| {
//!     Span::current().set_attribute("sentry.custom_span_name", "New Name");
//! });
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let sent = ingest.wait_for(1, std::time::Duration::from_secs(10))?[0].items()[0].json()?;
//! # assert_eq!((&sent["transaction"], &sent["transaction_info"]["source"]), (&"New Name".into(), &"custom".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Span metrics
//!
//! ```js
//! Sentry.getActiveSpan()?.setAttributes({ "queue.length": 15, "cache.hit_rate": 0.85, "processing.duration_ms": 127 });
//! ```
//!
//! A metric of a span is an attribute whose value is a number. Sentry sums and charts such attributes over spans. On the
//! active span, or on a span of its own:
//!
//! ```
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! use tracing::{Span, info_span};
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! info_span!("checkout").in_scope(|| {
//!     let waiting: usize = 15;
//!     let span = Span::current();
//!     span.set_attribute("queue.length", waiting as i64); // unsigned numbers of `tracing` become text
//!     span.set_attribute("cache.hit_rate", 0.85);
//!
//!     info_span!("cart metrics", sentry.op = "cart.metrics", cart.items = 3, cart.value = 59.9).in_scope(|| { /* … */ });
//! });
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let sent = ingest.wait_for(1, std::time::Duration::from_secs(10))?[0].items()[0].json()?;
//! # let data = &sent["contexts"]["trace"]["data"];
//! # assert_eq!((&data["queue.length"], &data["cache.hit_rate"]), (&15.into(), &0.85.into()));
//! # let cart = &sent["spans"][0]["data"];
//! # assert_eq!((&cart["cart.items"], &cart["cart.value"]), (&3.into(), &59.9.into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [measurement](crate::guide::mapping#measurements) has a unit as well. Metrics on all spans are
//! [attributes on all spans](#attributes-on-all-spans). Metrics that do not depend on sampled spans are not traces: send
//! them with an exporter of OpenTelemetry's metrics.
//!
//! [`deferred`]: crate::web::deferred
