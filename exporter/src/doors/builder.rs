//! Builds an exporter from its settings.

use std::{mem, path::PathBuf, sync::Arc, time::Duration};

use opentelemetry::{Value, metrics::Meter};
use opentelemetry_http::HttpClient;
use opentelemetry_sentry_protocol::{DecisionLog, Dsn, Service};

use super::{
    build_error::{ExporterBuildError, Kind},
    exporter::SentryExporter,
    metrics,
    options::{Options, SenderSettings},
};
use crate::{
    engine::{Engine, Setup},
    packing::{ErrorEvent, Packer, SpanEvent, SpanFilter, TransactionEvent},
    trace::TraceLifecycle,
    transport::{Destinations, Encoding, default_client},
};

/// Builds a [`SentryExporter`]. Every setting has a default.
///
/// ```
/// use opentelemetry_sentry_exporter::{SentryExporter, SentrySpanProcessor};
///
/// let exporter = SentryExporter::builder()
///     .with_dsn("https://public@o1.ingest.sentry.io/1")
///     .with_release("shop@1.2.3")
///     .with_tag("region", "eu")
///     .build()?;
/// let processor = SentrySpanProcessor::from(exporter);
/// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct SentryExporterBuilder {
    options: Options,
}

impl SentryExporter {
    /// Begins to build an exporter. Without a DSN and without Spotlight the exporter discards all spans.
    pub fn builder() -> SentryExporterBuilder {
        SentryExporterBuilder::default()
    }
}

impl SentryExporterBuilder {
    /// Sets the DSN of the project that receives the spans. An empty text is the same as no DSN. Defaults to none.
    pub fn with_dsn(mut self, dsn: impl Into<String>) -> Self {
        self.options.sender.dsn = Some(Dsn::parse_setting(&dsn.into()));
        self
    }

    /// Sets the release, such as `shop@1.2.3`. Defaults to `service.name@service.version` of the tracer provider's
    /// resource if it has a version, otherwise to none.
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.options.sender.release = Some(release.into());
        self
    }

    /// Sets the environment, such as `staging`. Defaults to `deployment.environment.name` of the resource, otherwise to
    /// `production`.
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.options.sender.environment = Some(environment.into());
        self
    }

    /// Sets the name of this machine. Defaults to `host.name` of the resource, otherwise to none.
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.options.sender.server_name = Some(name.into());
        self
    }

    /// Sets DSN, release and environment at once, and overrides the setters for them. A propagator can share the same
    /// `Service`. Defaults to a service with the values of these setters.
    pub fn with_service(mut self, service: Service) -> Self {
        self.options.sender.service = Some(service);
        self
    }

    /// Sets the URL of a local [Spotlight](https://spotlightjs.com), such as `http://localhost:8969/stream`, which gets
    /// a copy of every envelope. Copies may be lost and never delay what goes to Sentry. Defaults to none.
    pub fn with_spotlight(mut self, url: impl Into<String>) -> Self {
        self.options.sender.spotlight = Some(url.into());
        self
    }

    /// Sets in which of Sentry's two forms spans leave: as transactions, or one by one as a stream. Defaults to
    /// [`TraceLifecycle::Transactions`].
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::{SentryExporter, TraceLifecycle};
    ///
    /// let exporter = SentryExporter::builder().with_lifecycle(TraceLifecycle::Stream).build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub const fn with_lifecycle(mut self, lifecycle: TraceLifecycle) -> Self {
        self.options.sender.lifecycle = Some(lifecycle);
        self
    }

    /// Sets the HTTP client. The exporter calls it on its own thread, inside a tokio runtime and with telemetry
    /// suppressed, so an async `reqwest::Client` works with any runtime of the application and with none. The client
    /// must not follow redirects. Defaults to the client that the crate's features provide.
    pub fn with_http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.options.http_client = Some(Arc::new(client));
        self
    }

    /// Shares the decision log of a `SentrySampler`. [`Stats`](crate::Stats) then includes the traces that the sampler
    /// decided against, and spans that are sent before their root have the sampler's decision. Defaults to an empty
    /// log.
    pub fn with_decision_log(mut self, decisions: Arc<DecisionLog>) -> Self {
        self.options.decisions = decisions;
        self
    }

    /// Adds a tag to all transactions and error events. A second tag with the same key replaces the first. Defaults to
    /// no tags.
    ///
    /// A key may contain ASCII letters, digits, `_`, `.`, `:` and `-`; other characters are replaced. Key and value are
    /// cut after 200 characters. An empty value removes the tag. An empty key is an error of [`build`](Self::build),
    /// and so are the keys that Sentry reserves: `dist`, `environment`, `filename`, `function`, `release` and `user`.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let error = SentryExporter::builder().with_tag("release", "1.2.3").build().unwrap_err();
    /// assert_eq!(error.to_string(), "with_tag: Sentry keeps the key \"release\" for itself");
    /// ```
    pub fn with_tag(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.options.tags.add(|tags| tags.add(key.as_ref(), value.as_ref()));
        self
    }

    /// Makes tags of these attributes. Defaults to none.
    ///
    /// The value is taken from the root of a transaction or from the span of an error event; if it is missing there,
    /// from the first span of the transaction that has the attribute; otherwise from the resource. Such a tag replaces
    /// one of the same name that was set with [`with_tag`](Self::with_tag).
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder().with_tag_attributes(["tenant.id", "service.namespace"]).build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_tag_attributes(mut self, attributes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        for attribute in attributes {
            self.options.tags.add(|tags| tags.add_attribute(attribute.as_ref()));
        }
        self
    }

    /// Sets a function that can replace the value of any attribute of a span, its events, its links and the resource.
    /// It returns the value to send instead, or `None` to keep the value. If it panics, the value is hidden. Defaults
    /// to none.
    ///
    /// It runs after the default filter, which hides the text of attributes whose key contains `authorization`,
    /// `cookie`, `token`, `secret`, `password` or `api-key`, and user info in URLs.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder()
    ///     .with_scrubber(|key, _| (key == "card.number").then(|| "[card]".into()))
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_scrubber(mut self, f: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        self.options.rules.scrubber.set_own(f);
        self
    }

    /// Sets whether the default filter hides secrets, by the names of attributes, and user info in URLs. Defaults to
    /// `true`.
    pub const fn with_default_scrubbing(mut self, on: bool) -> Self {
        self.options.rules.scrubber.set_default(on);
        self
    }

    /// Sets a hook that may change each transaction before it is sent, or drop it by returning `None`. A panic also
    /// drops it. It runs on the exporter's thread. See [`TransactionEvent`] for an example. Defaults to none.
    pub fn with_before_send_transaction(
        mut self,
        f: impl Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync + 'static,
    ) -> Self {
        self.options.rules.hooks.set_transaction(f);
        self
    }

    /// Sets a hook that may change each span before its transaction is sent, including the root. It runs before the
    /// hook for transactions. A panic drops the transaction. See [`SpanEvent`]. Defaults to none.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder()
    ///     .with_before_send_span(|span| {
    ///         if span.op.as_deref() == Some("db") {
    ///             span.data.remove("db.query.text");
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_before_send_span(mut self, f: impl Fn(&mut SpanEvent) + Send + Sync + 'static) -> Self {
        self.options.rules.hooks.set_span(f);
        self
    }

    /// Adds filters for transactions that are not sent. A filter is applied to the root. See [`SpanFilter`] for an
    /// example. Defaults to no filters.
    pub fn with_ignore_transactions(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.options.rules.ignored_transactions.add(filters);
        self
    }

    /// Adds filters for spans that are not sent. The children of such a span move up to its parent. If a local root
    /// matches, its whole transaction is dropped. See [`SpanFilter`] for an example. Defaults to no filters.
    pub fn with_ignore_spans(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.options.rules.ignored_spans.add(filters);
        self
    }

    /// Sets whether exceptions become error events of their own. Defaults to `false`.
    ///
    /// Exceptions are span events named `exception` (OpenTelemetry's `record_error`, `#[instrument(err)]`) or with
    /// `exception.*` attributes, and `tracing` events of level `ERROR` with a field `error`. A failure that
    /// passes through several spans of a trace is one event, if its text stays the same or is among the causes of the
    /// next one. Causes are known if the error itself is recorded, as in `error!(error = &e as &dyn Error)`.
    ///
    /// The exporter sees only ended spans, so it misses exceptions in traces that are not sampled and outside of any
    /// span.
    pub const fn with_exceptions_as_errors(mut self, on: bool) -> Self {
        self.options.rules.exceptions_as_errors = on;
        self
    }

    /// Sets a hook that may change each error event before it is sent, or drop it by returning `None`. A panic also drops
    /// it. It runs on the exporter's thread. Without [`with_exceptions_as_errors`](Self::with_exceptions_as_errors) there are
    /// no error events. See [`ErrorEvent`] for an example. Defaults to none.
    pub fn with_before_send_error(
        mut self,
        f: impl Fn(ErrorEvent) -> Option<ErrorEvent> + Send + Sync + 'static,
    ) -> Self {
        self.options.rules.hooks.set_error(f);
        self
    }

    /// Adds texts of error events that are not sent, as in the `ignoreErrors` of Sentry's SDKs: each is a part of type and
    /// message, as in `shop::NoStock: no lamps left`. They count as [`Ignored`](crate::DropReason::Ignored). Defaults to
    /// none.
    pub fn with_ignore_errors(mut self, parts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options.rules.ignored_errors.extend(parts.into_iter().map(Into::into));
        self
    }

    /// Sets how long a trace waits for spans that end after its local root. Spans that end even later are sent in a
    /// transaction of their own. A flush and a shutdown do not wait for late spans. Defaults to 50 ms under a
    /// [`SentrySpanProcessor`](crate::SentrySpanProcessor), and to zero under other processors, which hand over spans
    /// in batches and so later anyway.
    pub const fn with_late_span_grace(mut self, grace: Duration) -> Self {
        self.options.wait.grace = Some(grace);
        self
    }

    /// Sets how many traces may wait for their local root. Above it, traces that only wait for late spans are sent
    /// first, and then those that have waited longest, without their root. No span is lost. Defaults to 100,000.
    pub const fn with_trace_limit(mut self, traces: usize) -> Self {
        self.options.wait.traces = traces;
        self
    }

    /// Sets how many bytes of ended spans may wait for their local root or for conversion. The size of a span is
    /// estimated. Defaults to 64 MiB.
    ///
    /// From half of the limit on, the spans that have waited longest are sent without their root. Above the limit a
    /// span is dropped, with the rest of its trace, until the pressure has been over for five seconds. It counts as
    /// [`BufferOverflow`](crate::DropReason::BufferOverflow), or as
    /// [`QueueOverflow`](crate::DropReason::QueueOverflow) if the send queue is full too, because then the network is
    /// too slow.
    pub const fn with_buffer_limit(mut self, bytes: usize) -> Self {
        self.options.engine.buffer_limit = bytes;
        self
    }

    /// Sets how many bytes of serialised envelopes may wait in memory to be sent. Defaults to 32 MiB.
    ///
    /// When the queue is full, spans wait in the buffer (see [`with_buffer_limit`](Self::with_buffer_limit)). With
    /// [`with_spool_dir`](Self::with_spool_dir) further envelopes go to the disk instead. Without it, a single envelope
    /// that is larger than the limit is dropped as [`QueueOverflow`](crate::DropReason::QueueOverflow).
    pub const fn with_queue_limit(mut self, bytes: usize) -> Self {
        self.options.delivery.queue_limit = bytes;
        self
    }

    /// Sets a directory for envelopes that cannot be delivered yet: during an outage, when the queue is full, and at
    /// the deadline of a flush or a shutdown. This process or the next one sends them when the server can be reached.
    /// Defaults to none.
    ///
    /// - During an outage, an envelope that has waited in memory for five seconds is on disk within the next five. A
    ///   process that is killed loses only what is younger.
    /// - A flush or a shutdown that ends before delivery stores what it could not deliver, and returns
    ///   [`FlushError::KeptOnDisk`](crate::FlushError::KeptOnDisk).
    /// - Many envelopes share a file. All files of a project take at most 1 GiB and are kept for three days. Beyond
    ///   that the oldest are removed and counted as [`CacheOverflow`](crate::DropReason::CacheOverflow).
    /// - Each project has a folder of its own in the directory, and several processes may share it. After a
    ///   crash the next process may send some envelopes again; Sentry recognises the event's id.
    /// - A relative path is made absolute by [`build`](Self::build).
    /// - If the directory cannot be used, a warning is logged once (feature `internal-logs`), and it is tried again.
    ///   Envelopes for which memory has room then wait there; the others are dropped and counted.
    ///
    /// ```no_run
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder()
    ///     .with_dsn("https://public@o1.ingest.sentry.io/1")
    ///     .with_spool_dir("/var/lib/shop/sentry")
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options.delivery.spool_dir = Some(dir.into());
        self
    }

    /// Sets how bodies of more than 1 KiB are compressed. Defaults to gzip.
    pub const fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.options.delivery.encoding = encoding;
        self
    }

    /// Sets whether the sampler keeps fewer traces while the server does not keep up. Defaults to `false`.
    ///
    /// Every ten seconds the exporter checks whether the server limits it or the queue is full. If so, it halves the
    /// sample rate, down to a thousandth; if not, it restores the rate. Traces that are lost by this count as
    /// [`Backpressure`](crate::DropReason::Backpressure). It works only with the sampler's log
    /// ([`with_decision_log`](Self::with_decision_log)).
    pub const fn with_backpressure(mut self, on: bool) -> Self {
        self.options.engine.backpressure = on;
        self
    }

    /// Adds certificates (PEM, one or more) that the built-in HTTP client trusts in addition to the system's, for a
    /// self-hosted Sentry or a proxy. A text without a certificate is an error of [`build`](Self::build). Defaults to
    /// none.
    pub fn with_root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options.client.root_certificates.push(pem.into());
        self
    }

    /// Exports the numbers of [`Stats`](crate::Stats) as metrics of this meter. Defaults to none.
    ///
    /// | metric | kind |
    /// | --- | --- |
    /// | `sentry.spans.received`, `sentry.spans.sent`, `sentry.spans.spooled` | counter |
    /// | `sentry.transactions.sent`, `sentry.errors.sent` | counter |
    /// | `sentry.spans.dropped`, with the attribute `reason` | counter |
    /// | `sentry.spans.pending` | gauge |
    /// | `sentry.buffer.size`, `sentry.queue.size` | gauge, in bytes |
    pub fn with_internal_metrics(mut self, meter: &Meter) -> Self {
        self.options.meter = Some(meter.clone());
        self
    }

    /// Removes the settings of the sender and returns them. The facade completes them, shares the service with the
    /// propagator, and sets them again.
    #[doc(hidden)]
    pub fn take_sender(&mut self) -> SenderSettings {
        mem::take(&mut self.options.sender)
    }

    /// Builds the exporter, and starts its thread if there is a DSN or a Spotlight URL.
    ///
    /// # Errors
    ///
    /// If the DSN, the Spotlight URL, a certificate, a tag or a filter's regular expression is invalid, if no feature
    /// provides an HTTP client for the DSN, or if the system cannot start another thread.
    pub fn build(self) -> Result<SentryExporter, ExporterBuildError> {
        let Options { mut sender, tags, rules, wait, mut engine, delivery, client, http_client, decisions, meter } =
            self.options;
        if let Some(error) = rules.invalid_pattern() {
            return Err(Kind::Pattern(error).into());
        }
        let spotlight = sender.spotlight.take();
        engine.lifecycle = sender.lifecycle.unwrap_or_default();
        let sender = sender.into_sender(tags)?;
        let dsn = sender.service.dsn();
        let Some(destinations) = Destinations::new(dsn, spotlight.as_deref()).map_err(Kind::Url)? else {
            return Ok(SentryExporter::new(None));
        };
        let client = match http_client {
            Some(client) => client,
            None => default_client(dsn, &client).map_err(Kind::Client)?,
        };
        let setup = Setup {
            delivery: delivery.of_project(dsn),
            packer: Packer::new(sender, rules),
            client,
            destinations: Arc::new(destinations),
            decisions,
            wait,
            options: engine,
        };
        let engine = Arc::new(Engine::start(setup).map_err(Kind::Thread)?);
        if let Some(meter) = &meter {
            metrics::export(meter, &engine);
        }
        Ok(SentryExporter::new(Some(engine)))
    }
}
