//! Traces through queues, channels, child processes and cron jobs, and what cron monitors need.
//!
//! # A queue
//!
//! Messages of Kafka and similar queues have headers whose values are bytes. A carrier for them takes ten lines:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use opentelemetry::propagation::{Extractor, Injector};
//!
//! #[derive(Default)]
//! struct Headers(HashMap<String, Vec<u8>>);
//!
//! impl Injector for Headers {
//!     fn set(&mut self, key: &str, value: String) {
//!         self.0.insert(key.to_owned(), value.into_bytes());
//!     }
//! }
//!
//! impl Extractor for Headers {
//!     fn get(&self, key: &str) -> Option<&str> {
//!         self.0.get(key).and_then(|value| std::str::from_utf8(value).ok())
//!     }
//!
//!     fn keys(&self) -> Vec<&str> {
//!         self.0.keys().map(String::as_str).collect()
//!     }
//! }
//!
//! use std::time::{Duration, SystemTime, UNIX_EPOCH};
//!
//! use opentelemetry::{Context, propagation::TextMapPropagator};
//! use opentelemetry_sentry::SentryPropagator;
//! use tracing::{Span, field::Empty, info_span};
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! /// A message as it is in the queue.
//! struct Message {
//!     id: String,
//!     headers: Headers,
//!     body: Vec<u8>,
//!     /// When it was published. Kafka keeps this itself, and so do the ids of Redis streams.
//!     published: SystemTime,
//!     /// How often it was delivered before. RabbitMQ has it as the header `x-delivery-count`, Redis in `XPENDING`.
//!     retries: u64,
//! }
//!
//! /// Publishes in a span of the kind `producer`, and adds its trace to the message.
//! fn publish(propagator: &SentryPropagator, id: &str, body: &[u8]) -> Message {
//!     let span = info_span!(
//!         "publish",
//!         otel.kind = "producer",
//!         messaging.system = "kafka", // or "rabbitmq", "redis" …
//!         messaging.operation.type = "send",
//!         messaging.destination.name = "orders",
//!         messaging.message.id = id,
//!         messaging.message.body.size = body.len(),
//!     );
//!     span.in_scope(|| {
//!         let mut headers = Headers::default();
//!         propagator.inject_context(&Context::current(), &mut headers);
//!         Message { id: id.to_owned(), headers, body: body.to_owned(), published: SystemTime::now(), retries: 0 }
//!     })
//! }
//!
//! /// Processes in a span of the kind `consumer`: a transaction of its own in the same trace.
//! fn process(propagator: &SentryPropagator, message: &Message, work: impl FnOnce(&[u8]) -> Result<(), String>) {
//!     let waited = message.published.elapsed().unwrap_or_default();
//!     let span = info_span!(
//!         "process",
//!         otel.kind = "consumer",
//!         messaging.system = "kafka",
//!         messaging.operation.type = "process",
//!         messaging.destination.name = "orders",
//!         messaging.message.id = message.id,
//!         messaging.message.body.size = message.body.len(),
//!         messaging.message.receive.latency = waited.as_secs_f64() * 1000.0, // in milliseconds
//!         messaging.message.retry.count = message.retries,
//!         otel.status_code = Empty,
//!         otel.status_description = Empty,
//!     );
//!     // It fails only for a span that has started already, or that no layer records.
//!     let _ = span.set_parent(propagator.extract_with_context(&Context::new(), &message.headers));
//!     span.in_scope(|| {
//!         if let Err(error) = work(&message.body) {
//!             Span::current().record("otel.status_code", "ERROR");
//!             Span::current().record("otel.status_description", error);
//!         }
//!     });
//! }
//! # use opentelemetry_sentry::{Sentry, TraceLifecycle, exporter::testing::LocalIngest};
//! # use serde_json::{Value, json};
//! # use tracing_subscriber::prelude::*;
//! # const PATIENCE: Duration = Duration::from_secs(60);
//! # fn example(ingest: &LocalIngest, lifecycle: TraceLifecycle) -> Result<(), Box<dyn std::error::Error>> {
//! # let builder = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0);
//! # let sentry = builder.with_lifecycle(lifecycle).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! # let mut message = publish(sentry.propagator(), "m1", b"a lamp");
//! # (message.retries, message.published) = (2, UNIX_EPOCH);
//! # process(sentry.propagator(), &message, |_| Err("no stock".to_owned()));
//! # sentry.flush(PATIENCE)?;
//! # Ok(())
//! # }
//! # /// What the page needs of the consumer, and of the producer where it has the same.
//! # fn check(publish: &dyn Fn(&str) -> Value, process: &dyn Fn(&str) -> Value) {
//! #     for (key, value) in [
//! #         ("messaging.system", json!("kafka")),
//! #         ("messaging.destination.name", json!("orders")),
//! #         ("messaging.message.id", json!("m1")),
//! #         ("messaging.message.body.size", json!(6)),
//! #     ] {
//! #         assert_eq!((publish(key), process(key)), (value.clone(), value), "{key}");
//! #     }
//! #     assert_eq!((publish("sentry.op"), process("sentry.op")), (json!("queue.publish"), json!("queue.process")));
//! #     assert_eq!(process("messaging.message.retry.count"), 2);
//! #     assert!(process("messaging.message.receive.latency").as_f64() > Some(1e12), "in milliseconds");
//! #     assert_eq!(process("sentry.status.message"), "no stock");
//! # }
//! # let ingest = LocalIngest::start()?;
//! # example(&ingest, TraceLifecycle::Transactions)?;
//! # let sent = ingest.transactions();
//! # let of_op = |op: &str| sent.iter().map(|sent| &sent["contexts"]["trace"]).find(|trace| trace["op"] == op).expect(op).clone();
//! # let (publish, process) = (of_op("queue.publish"), of_op("queue.process"));
//! # assert_eq!(process["trace_id"], publish["trace_id"]);
//! # assert_eq!(process["parent_span_id"], publish["span_id"]);
//! # assert_eq!(process["status"], "internal_error");
//! # check(&|key| publish["data"][key].clone(), &|key| process["data"][key].clone());
//! # let ingest = LocalIngest::start()?;
//! # example(&ingest, TraceLifecycle::Stream)?;
//! # let (publish, process) = (ingest.span("send orders"), ingest.span("process orders"));
//! # assert_eq!((&process.trace_id, &process.parent_span_id), (&publish.trace_id, &Some(publish.span_id.clone())));
//! # assert_eq!((process.is_segment, process.status.as_str()), (true, "error"));
//! # check(&|key| publish.json["attributes"][key]["value"].clone(), &|key| process.json["attributes"][key]["value"].clone());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With this, every column of Sentry's page for queues has a value: destination, throughput, errors, the time in the queue
//! and the time of processing, sizes and retries. The attributes are the same for RabbitMQ, where the destination is the
//! queue or the exchange, and for Redis streams, where it is the name of the stream and the headers are fields of the entry.
//!
//! After `install` the propagator is the global one:
//! `global::get_text_map_propagator(|propagator| propagator.inject_context(&cx, &mut headers))`.
//!
//! A batch of messages is processed in one span, but each message has its own trace. Link the span to each of them:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use opentelemetry::{Context, propagation::TextMapPropagator, trace::TraceContextExt};
//! use opentelemetry_sentry::SentryPropagator;
//! use tracing_opentelemetry::OpenTelemetrySpanExt;
//!
//! fn process_all(propagator: &SentryPropagator, batch: &[HashMap<String, String>]) {
//!     let span = tracing::info_span!(
//!         "process orders",
//!         otel.kind = "consumer",
//!         messaging.system = "redis",
//!         messaging.operation.type = "process",
//!         messaging.destination.name = "orders",
//!         messaging.batch.message_count = batch.len(),
//!     );
//!     for headers in batch {
//!         let cx = propagator.extract_with_context(&Context::new(), headers);
//!         span.add_link(cx.span().span_context().clone());
//!     }
//!     span.in_scope(|| { /* … */ });
//! }
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! # let message = |trace: &str| HashMap::from([("sentry-trace".to_owned(), format!("{}-{}-1", trace.repeat(16), "02".repeat(8)))]);
//! # process_all(sentry.propagator(), &[message("0a"), message("0b")]);
//! # sentry.flush(std::time::Duration::from_secs(60))?;
//! # let trace = ingest.transactions()[0]["contexts"]["trace"].clone();
//! # assert_eq!((&trace["op"], &trace["data"]["messaging.batch.message_count"]), (&"queue.process".into(), &2.into()));
//! # let links: Vec<_> = trace["links"].as_array().expect("links").iter().map(|link| link["trace_id"].clone()).collect();
//! # assert_eq!(links, ["0a".repeat(16), "0b".repeat(16)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Jobs over a channel
//!
//! A task that receives from a channel has no active span, so its work would begin traces of its own. Send the span or the
//! context with the job. The `Span` makes the work a part of the request, whose transaction is sent when the job is done:
//!
//! ```
//! use tokio::sync::mpsc;
//! use tracing::{Instrument, Span, info_span};
//!
//! struct Job {
//!     order: u64,
//!     request: Span,
//! }
//!
//! async fn worker(mut jobs: mpsc::Receiver<Job>) {
//!     while let Some(Job { order, request }) = jobs.recv().await {
//!         pack(order).instrument(info_span!(parent: &request, "pack", order)).await;
//!     }
//! }
//!
//! async fn pack(_order: u64) {}
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # use tracing_subscriber::prelude::*;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build()?;
//! # let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//!
//! let (sender, jobs) = mpsc::channel(64);
//! let worker = tokio::spawn(worker(jobs));
//! # let request = info_span!("POST /orders").entered();
//! sender.try_send(Job { order: 42, request: Span::current() })?; // in a handler
//! # drop((request, sender));
//! # worker.await?;
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let sent = ingest.wait_for(1, std::time::Duration::from_secs(10))?[0].items()[0].json()?;
//! # assert_eq!(sent["transaction"], "POST /orders");
//! # assert_eq!(sent["spans"][0]["description"], "pack");
//! # assert_eq!(sent["spans"][0]["parent_span_id"], sent["contexts"]["trace"]["span_id"]);
//! # Ok(()) }
//! ```
//!
//! With the `Context` each job becomes a transaction of its own in the request's trace, and the request does not wait. This
//! is what jobs that can wait for long should do (feature `tower`):
//!
//! ```
//! # #[cfg(feature = "tower")] mod example {
//! use opentelemetry::Context;
//! use opentelemetry_sentry::web::deferred;
//! use tokio::sync::mpsc;
//!
//! pub struct Job {
//!     pub order: u64,
//!     pub request: Context, // `Context::current()` in the handler
//! }
//!
//! pub async fn worker(mut jobs: mpsc::Receiver<Job>) {
//!     while let Some(Job { order, request }) = jobs.recv().await {
//!         let job = {
//!             let _active = request.attach();
//!             deferred("pack", pack(order))
//!         };
//!         job.await;
//!     }
//! }
//!
//! async fn pack(_order: u64) {}
//! # }
//! # #[cfg(feature = "tower")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use opentelemetry::{Context, global, trace::{TraceContextExt, Tracer}};
//! # use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! # let ingest = LocalIngest::start()?;
//! # let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).install()?;
//! # let (sender, jobs) = tokio::sync::mpsc::channel(64);
//! # let request = Context::current_with_span(global::tracer("shop").start("POST /orders"));
//! # sender.try_send(example::Job { order: 42, request: request.clone() })?;
//! # drop(sender);
//! # request.span().end();
//! # ingest.wait_for(1, std::time::Duration::from_secs(10))?; // before the job has begun
//! # example::worker(jobs).await;
//! # sentry.flush(std::time::Duration::from_secs(10))?;
//! # let envelopes = ingest.wait_for(2, std::time::Duration::from_secs(10))?;
//! # let sent: Vec<_> = envelopes.iter().map(|envelope| envelope.items()[0].json().expect("JSON")).collect();
//! # let named = |name: &str| sent.iter().find(|sent| sent["transaction"] == name).expect(name)["contexts"]["trace"].clone();
//! # let (request, job) = (named("POST /orders"), named("pack"));
//! # assert_eq!((&job["trace_id"], &job["parent_span_id"]), (&request["trace_id"], &request["span_id"]));
//! # Ok(()) }
//! # #[cfg(not(feature = "tower"))] fn main() {}
//! ```
//!
//! # A child process
//!
//! All of Sentry's SDKs read the trace to continue from `SENTRY_TRACE` and `SENTRY_BAGGAGE`. The parent process sets
//! them, and the child process reads them:
//!
//! ```no_run
//! use std::process::Command;
//!
//! use opentelemetry::Context;
//! use opentelemetry_sentry::Sentry;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sentry = Sentry::builder().build()?;
//! // the parent:
//! let variables = sentry.propagator().to_env(&Context::current());
//! Command::new("nightly-report").envs(variables).spawn()?;
//!
//! // the child, for as long as it works:
//! let _trace = sentry.propagator().extract_from_env().attach();
//! tracing::info_span!("nightly-report", sentry.op = "task").in_scope(|| { /* … */ });
//! # Ok(()) }
//! ```
//!
//! It works between languages: a job that a Next.js server or a Python script starts continues their trace.
//!
//! # A cron job
//!
//! Without the variables the same program begins a new trace at each run, and samples it at its own rate. It calls
//! `shutdown` at the end, so that no span is lost:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use opentelemetry_sentry::Sentry;
//! use tracing_subscriber::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let sentry = Sentry::builder().with_traces_sample_rate(1.0).install()?;
//!     tracing_subscriber::registry().with(sentry.tracing_layer()).init();
//!     let trace = sentry.propagator().extract_from_env().attach();
//!     work();
//!     drop(trace);
//!     sentry.shutdown(Duration::from_secs(5)).unwrap_or_else(|error| eprintln!("Sentry: {error}"));
//!     Ok(())
//! }
//!
//! #[tracing::instrument(fields(sentry.op = "task"))]
//! fn work() {}
//! ```
//!
//! # Cron monitors
//!
//! Sentry's cron monitors report jobs that fail, take too long or do not start. A span with `sentry.monitor.slug` is such a
//! job: it checks in as `in_progress` when it starts, and as `ok` or `error` with its duration when it ends. With a schedule
//! Sentry creates the monitor, or updates it:
//!
//! ```
//! use std::{io, time::Duration};
//!
//! use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
//! use tracing_subscriber::prelude::*;
//!
//! #[tracing::instrument(err, fields(
//!     sentry.monitor.slug = "nightly-report",
//!     sentry.monitor.schedule = "0 3 * * *",
//!     sentry.monitor.timezone = "Europe/Vienna",
//!     sentry.monitor.max_runtime = 30,
//! ))]
//! fn report() -> io::Result<()> {
//!     Err(io::Error::other("disk full"))
//! }
//!
//! let ingest = LocalIngest::start()?;
//! let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(0.1).build()?;
//! let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
//! let _ = report();
//! sentry.flush(Duration::from_secs(10))?;
//!
//! let check_ins = ingest.check_ins();
//! assert_eq!((check_ins[0].status.as_str(), check_ins[1].status.as_str()), ("in_progress", "error"));
//! assert_eq!(check_ins[0].id, check_ins[1].id);
//! assert_eq!(check_ins[0].config["schedule"]["value"], "0 3 * * *");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Also a job in a trace that is not sampled checks in, and one without a sample rate or with a span that filters ignore.
//! Each span with a slug is a job, a local root as well as one below the span of a scheduler.
//!
//! | attribute | |
//! | --- | --- |
//! | `sentry.monitor.slug` | is cleaned as Sentry does it: lower case, blanks become `-`, other characters than ASCII letters, digits, `-` and `_` are left out, at most 50 remain. If only digits or nothing remain, the check-in is dropped as `invalid` |
//! | `sentry.monitor.schedule` | a crontab of five fields, or `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly` |
//! | `sentry.monitor.schedule.type`, `.value`, `.unit` | `interval`, a number, and `minute`, `hour`, `day`, `week`, `month` or `year`; or `crontab` and its text. Without the type a unit means an interval |
//! | `sentry.monitor.timezone` | the time zone of the crontab |
//! | `sentry.monitor.checkin_margin`, `sentry.monitor.max_runtime` | minutes that a job may be late, and that it may take |
//! | `sentry.monitor.failure_issue_threshold`, `sentry.monitor.recovery_threshold` | how many jobs in a row open and resolve an issue |
//!
//! Settings that are invalid are left out and counted in [`Stats::trimmed`](crate::Stats), and without a schedule all are. The
//! attributes stay in the data of the span. The environment is that of the service.
//!
//! | a job | checks in |
//! | --- | --- |
//! | whose span has the status `ok` ([status](crate::guide::mapping)), or ends without one | as `ok` |
//! | whose span has another status, such as `cancelled`, or that panics | as `error` |
//! | whose slug is set after the start of its span | once, when it ends |
//! | of a service with a `SentryExporter` behind OpenTelemetry's processors, which sees no start | once, when it ends, if its trace is sampled |
//! | with OpenTelemetry's own sampler instead of `SentrySampler` | at its start only if it is a local root; at its end in any case, if its trace is sampled |
//! | that never ends, or runs at a shutdown | as `in_progress` alone: Sentry reports it when its `max_runtime` is over |
//!
//! A future that is dropped ends its span without a status, so it counts as `ok`: set `otel.status_code` to `ERROR` where that
//! is a failure. The start of a job leaves at once; its end waits until the server has answered the start, so that it
//! cannot overtake it. After an outage with a spool directory the end can arrive first, and Sentry ignores the start then.
//! At most 1000 check-ins wait for the exporter's thread. `Stats` counts check-ins as it counts spans, client reports list them
//! as `monitor`, and rate limits on `monitor` stop check-ins alone.
