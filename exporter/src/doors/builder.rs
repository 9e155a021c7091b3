//! How an exporter is set up.

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
    packing::{Packer, SpanEvent, SpanFilter, TransactionEvent},
    transport::{Destinations, Encoding, default_client},
};

/// Builds a [`SentryExporter`].
#[derive(Debug, Default)]
#[must_use]
pub struct SentryExporterBuilder {
    options: Options,
}

impl SentryExporter {
    /// Begins to build an exporter. Everything has a default; without a DSN it takes spans and does nothing.
    pub fn builder() -> SentryExporterBuilder {
        SentryExporterBuilder::default()
    }
}

impl SentryExporterBuilder {
    /// Sets where to send to. Defaults to nowhere; empty is nowhere, too.
    pub fn with_dsn(mut self, dsn: impl Into<String>) -> Self {
        self.options.sender.dsn = Some(Dsn::parse_setting(&dsn.into()));
        self
    }

    /// Sets the release. Defaults to `service.name@service.version` of the tracer provider's resource if it has a
    /// version, else to none.
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.options.sender.release = Some(release.into());
        self
    }

    /// Sets the environment. Defaults to `deployment.environment.name` of the resource, else to `production`.
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.options.sender.environment = Some(environment.into());
        self
    }

    /// Sets the name of this machine. Defaults to `host.name` of the resource, else to none.
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.options.sender.server_name = Some(name.into());
        self
    }

    /// Sets everything about the service at once, in place of DSN, release and environment.
    pub fn with_service(mut self, service: Service) -> Self {
        self.options.sender.service = Some(service);
        self
    }

    /// Sets the URL of a local [Spotlight](https://spotlightjs.com) that gets a copy of everything. Defaults to none.
    pub fn with_spotlight(mut self, url: impl Into<String>) -> Self {
        self.options.sender.spotlight = Some(url.into());
        self
    }

    /// Sets the HTTP client. Defaults to the one that the crate's features bring along.
    ///
    /// It is called on a thread of our own, inside a tokio runtime and with telemetry suppressed, so an async
    /// `reqwest::Client` works whatever the application runs on. It must not follow redirects.
    pub fn with_http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.options.http_client = Some(Arc::new(client));
        self
    }

    /// Shares the log in which a sampler counts what it decided against, for [`Stats`](crate::Stats). Defaults to an
    /// empty one.
    pub fn with_decision_log(mut self, decisions: Arc<DecisionLog>) -> Self {
        self.options.decisions = decisions;
        self
    }

    /// Adds a tag to all transactions and error events. A key may have letters, digits, `_`, `.`, `:` and `-`; other
    /// characters are replaced, and key and value are cut after 200 characters. Sentry keeps `dist`, `environment`,
    /// `filename`, `function`, `release` and `user` for itself: they, and an empty key, are an error of
    /// [`build`](Self::build). An empty value is no tag.
    pub fn with_tag(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.options.tags.add(|tags| tags.add(key.as_ref(), value.as_ref()));
        self
    }

    /// Makes tags of these attributes: those of the root of a transaction or the span of an error event, else of the
    /// first span of the transaction that has them, else of the resource. They beat tags of the same name that were set with [`with_tag`](Self::with_tag).
    pub fn with_tag_attributes(mut self, attributes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        for attribute in attributes {
            self.options.tags.add(|tags| tags.add_attribute(attribute.as_ref()));
        }
        self
    }

    /// Adds a function that is shown every attribute of spans, their events and links before anything leaves, and
    /// returns the value to send instead of one that must not be shown. A panic hides the value.
    ///
    /// It comes after what is filtered by default: the text of attributes whose key contains `authorization`,
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

    /// Sets whether secrets are filtered by the names of their attributes, and user info in URLs. Defaults to `true`.
    pub const fn with_default_scrubbing(mut self, on: bool) -> Self {
        self.options.rules.scrubber.set_default(on);
        self
    }

    /// Sets a hook that may change each transaction before it is sent, or drop it by returning `None`. A panic drops
    /// it, too. It runs on the exporter's thread. See [`TransactionEvent`].
    pub fn with_before_send_transaction(
        mut self,
        f: impl Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync + 'static,
    ) -> Self {
        self.options.rules.hooks.set_transaction(f);
        self
    }

    /// Sets a hook that may change each span before its transaction is sent, the root among them; it comes before
    /// the hook for transactions. A panic drops the transaction. See [`SpanEvent`].
    pub fn with_before_send_span(mut self, f: impl Fn(&mut SpanEvent) + Send + Sync + 'static) -> Self {
        self.options.rules.hooks.set_span(f);
        self
    }

    /// Adds filters for transactions that are not sent. They look at the root. See [`SpanFilter`].
    pub fn with_ignore_transactions(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.options.rules.ignored_transactions.add(filters);
        self
    }

    /// Adds filters for spans that are not sent; their children move up to their parent. With an ignored local root
    /// its whole transaction goes. See [`SpanFilter`].
    pub fn with_ignore_spans(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.options.rules.ignored_spans.add(filters);
        self
    }

    /// Sets whether exceptions become error events of their own. Defaults to `false`.
    ///
    /// Exceptions are span events named `exception` (OpenTelemetry's `record_error`, `#[instrument(err)]`) or with
    /// `exception.*` attributes, and `tracing` events of level `ERROR` with a field `error`. A failure that
    /// passes through several spans of a trace is one event, as far as its text stays the same or is among the causes
    /// of the next; causes are known where the error itself is recorded, as in `error!(error = &e as &dyn Error)`.
    ///
    /// They come from spans: of traces that are not sampled, and outside of any span, nothing is seen.
    pub const fn with_exceptions_as_errors(mut self, on: bool) -> Self {
        self.options.rules.exceptions_as_errors = on;
        self
    }

    /// Sets how long a trace waits, when its local root has ended, for spans that end a little later. Defaults to 50 ms
    /// under a [`SentrySpanProcessor`](crate::SentrySpanProcessor), and to nothing under other processors, which hand
    /// over spans late enough. A flush and a shutdown do not wait for it. Spans that come later still are sent as
    /// transactions of their own.
    pub const fn with_late_span_grace(mut self, grace: Duration) -> Self {
        self.options.wait.grace = Some(grace);
        self
    }

    /// Sets of how many traces spans may wait for their local root. Defaults to 100,000. Over it those that waited
    /// longest are sent without their root.
    pub const fn with_trace_limit(mut self, traces: usize) -> Self {
        self.options.wait.traces = traces;
        self
    }

    /// Sets how many bytes of ended spans may wait for their local root or to be converted, as estimated. Defaults to
    /// 64 MiB. Near the limit those that waited longest are sent without their root; over it whole traces are dropped
    /// as [`BufferOverflow`](crate::DropReason::BufferOverflow), or as
    /// [`QueueOverflow`](crate::DropReason::QueueOverflow) if it is the network that cannot keep up.
    pub const fn with_buffer_limit(mut self, bytes: usize) -> Self {
        self.options.engine.buffer_limit = bytes;
        self
    }

    /// Sets how many bytes of serialised envelopes may wait to be sent. Defaults to 32 MiB. When it is reached, spans
    /// wait in the buffer; an envelope that alone is larger is dropped as
    /// [`QueueOverflow`](crate::DropReason::QueueOverflow).
    pub const fn with_queue_limit(mut self, bytes: usize) -> Self {
        self.options.delivery.queue_limit = bytes;
        self
    }

    /// Sets a directory in which envelopes are kept that could not be delivered: when the network is down, at the
    /// deadline of a shutdown, or when too much waits. They are sent when it works again, also by the next process;
    /// several may share the directory, and each project has a folder of its own in it. At most 1000 envelopes, 64 MiB
    /// and three days are kept, the oldest go first. Defaults to none.
    ///
    /// A directory that cannot be used is told of by the feature `internal-logs`, and tried again; what it cannot take
    /// is dropped and counted.
    pub fn with_spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options.delivery.spool_dir = Some(dir.into());
        self
    }

    /// Sets how bodies of more than 1 KiB are compressed. Defaults to gzip.
    pub const fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.options.delivery.encoding = encoding;
        self
    }

    /// Sets whether the sampler halves its rate, step by step down to a thousandth, for as long as the server limits us
    /// or the queue is full, which is looked at every ten seconds. What is lost by that is counted as
    /// [`Backpressure`](crate::DropReason::Backpressure). It needs the log of the sampler
    /// ([`with_decision_log`](Self::with_decision_log)). Defaults to `false`.
    pub const fn with_backpressure(mut self, on: bool) -> Self {
        self.options.engine.backpressure = on;
        self
    }

    /// Trusts these certificates (PEM, one or more) beside those of the system, for a Sentry or a proxy with a
    /// certificate of its own. For the built-in HTTP client only; what is no certificate is an error of
    /// [`build`](Self::build).
    pub fn with_root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options.client.root_certificates.push(pem.into());
        self
    }

    /// Exports the numbers of [`Stats`](crate::Stats) as metrics of this meter: `sentry.spans.received`,
    /// `sentry.spans.sent`, `sentry.spans.spooled`, `sentry.transactions.sent`, `sentry.errors.sent` and `sentry.spans.dropped` (with the
    /// attribute `reason`), all counters, and `sentry.spans.pending`, `sentry.buffer.size` and `sentry.queue.size` (in
    /// bytes). Defaults to none.
    pub fn with_internal_metrics(mut self, meter: &Meter) -> Self {
        self.options.meter = Some(meter.clone());
        self
    }

    /// Takes out what was set about the sender. The facade fills in the rest, gives the same service to the propagator,
    /// and sets all of it again.
    #[doc(hidden)]
    pub fn take_sender(&mut self) -> SenderSettings {
        mem::take(&mut self.options.sender)
    }

    /// Builds the exporter, and starts its thread unless there is nowhere to send to.
    ///
    /// # Errors
    ///
    /// If the DSN, the Spotlight URL, a tag or a filter's regular expression is invalid, if there is no HTTP client for
    /// the DSN, or if the system has no thread left.
    pub fn build(self) -> Result<SentryExporter, ExporterBuildError> {
        let Options { mut sender, tags, rules, wait, engine, delivery, client, http_client, decisions, meter } =
            self.options;
        if let Some(error) = rules.invalid_pattern() {
            return Err(Kind::Pattern(error).into());
        }
        let spotlight = sender.spotlight.take();
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
