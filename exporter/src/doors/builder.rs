//! Builds an exporter from its settings.
//!
//! | file | contains |
//! | --- | --- |
//! | `content` | what is sent: tags, attributes, secrets, hooks, filters, exceptions |
//! | `logs` | which log records are sent, and how many may wait |
//! | `metrics` | which metrics are sent |
//! | `limits` | how long and how much may wait, in memory and on disk |

mod content;
mod limits;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;

use std::{mem, sync::Arc};

use opentelemetry::metrics::Meter;
use opentelemetry_http::HttpClient;
use opentelemetry_sentry_protocol::{DecisionLog, Dsn, Service};

use super::{
    build_error::{ExporterBuildError, Kind},
    delivery::Delivery,
    exporter::SentryExporter,
    metrics::export,
    options::{Options, SenderSettings},
};
use crate::{
    engine::{Engine, Setup},
    packing::Packer,
    trace::TraceLifecycle,
    transport::{Destination, Destinations, default_client},
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

    /// Sets the URL of a tunnel, as the option `tunnel` of Sentry's SDKs: everything goes there and not to the DSN's host, and
    /// the header of each envelope names the DSN, by which the tunnel knows the project. An empty text is the same as no
    /// tunnel. Defaults to none.
    ///
    /// Bodies are then not compressed, unless [`with_encoding`](Self::with_encoding) says so. A tunnel that has answered has
    /// the envelope: what it loses later is not in [`Stats`](crate::Stats).
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder()
    ///     .with_dsn("https://public@o1.ingest.sentry.io/1")
    ///     .with_tunnel("http://localhost:9000/envelope") // Sentry's Lambda extension
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_tunnel(mut self, url: impl Into<String>) -> Self {
        self.options.sender.tunnel = Some(url.into());
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
    /// | `sentry.transactions.sent`, `sentry.errors.sent`, `sentry.check_ins.sent` | counter |
    /// | `sentry.logs.received`, `sentry.logs.sent`, `sentry.logs.spooled` | counter |
    /// | `sentry.metrics.received`, `sentry.metrics.sent`, `sentry.metrics.spooled` | counter |
    /// | `sentry.spans.dropped`, `sentry.errors.dropped`, `sentry.logs.dropped`, with the attribute `reason` | counter |
    /// | `sentry.metrics.dropped`, with the attribute `reason` | counter |
    /// | `sentry.logs.dropped.size`, `sentry.metrics.dropped.size`, with the attribute `reason` | counter, in bytes as Sentry counts them |
    /// | `sentry.spans.pending`, `sentry.logs.pending`, `sentry.metrics.pending` | gauge |
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
    /// If the DSN, the URL of the tunnel or of Spotlight, a certificate, a tag, an attribute or a filter's regular expression is invalid, if a
    /// setting holds for transactions only and spans are streamed, if no feature provides an HTTP client for the DSN, or if
    /// the system cannot start another thread.
    pub fn build(mut self) -> Result<SentryExporter, ExporterBuildError> {
        let Options { meter, http_client, client, .. } = &mut self.options;
        let (meter, http_client, client) = (meter.take(), http_client.take(), mem::take(client));
        let Some(setup) = self.into_setup()? else { return Ok(SentryExporter::new(None)) };
        let default = || default_client(setup.destinations.sentry.as_ref().map(Destination::url), &client);
        let client = http_client.map_or_else(default, Ok).map_err(Kind::Client)?;
        let engine = Arc::new(Engine::start(setup, client).map_err(Kind::Thread)?);
        if let Some(meter) = &meter {
            export(meter, &engine);
        }
        Ok(SentryExporter::new(Some(engine)))
    }

    /// Builds an exporter without a thread, and what delivers for it when the application asks: for runtimes without threads,
    /// such as browsers and edge workers, and for those that freeze between two invocations.
    ///
    /// A flush and a shutdown of the exporter send nothing: they return [`FlushError::Waiting`](crate::FlushError::Waiting) if
    /// something waits. No HTTP client is needed. See [`Delivery`] for an example.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and if there is a spool directory, because only the thread uses the disk.
    pub fn build_driven(mut self) -> Result<(SentryExporter, Delivery), ExporterBuildError> {
        let meter = self.options.meter.take();
        if self.options.delivery.spool_dir.is_some() {
            return Err(Kind::SpoolWithoutThread.into());
        }
        let Some(setup) = self.into_setup()? else { return Ok((SentryExporter::new(None), Delivery::new(None))) };
        let (engine, driven) = Engine::driven(setup);
        let engine = Arc::new(engine);
        if let Some(meter) = &meter {
            export(meter, &engine);
        }
        Ok((SentryExporter::new(Some(Arc::clone(&engine))), Delivery::new(Some((engine, driven)))))
    }

    /// Checks all settings but those of the HTTP client. `None` without a destination.
    fn into_setup(self) -> Result<Option<Setup>, ExporterBuildError> {
        let Options {
            mut sender,
            tags,
            attributes,
            rules,
            wait,
            log_filters,
            #[cfg(feature = "metrics")]
            ignored_metrics,
            mut engine,
            delivery,
            decisions,
            ..
        } = self.options;
        if let Some(error) = rules.invalid_pattern() {
            return Err(Kind::Pattern(error).into());
        }
        engine.lifecycle = sender.lifecycle.unwrap_or_default();
        if let Some((setting, instead)) = rules.for_transactions_only().filter(|_| engine.lifecycle.is_stream()) {
            return Err(Kind::OnlyTransactions(setting, instead).into());
        }
        let ignored = if engine.lifecycle.is_stream() { rules.share_ignored(&decisions) } else { None };
        let (tunnel, spotlight) = (sender.tunnel.take().filter(|url| !url.trim().is_empty()), sender.spotlight.take());
        let sender = sender.into_sender(tags, attributes)?;
        let dsn = sender.service.dsn().cloned();
        let (tunnel, spotlight) = (tunnel.as_deref(), spotlight.as_deref());
        let destinations = Destinations::new(dsn.as_ref(), tunnel, spotlight, delivery.has_simple_requests);
        let Some(destinations) = destinations.map_err(Kind::Url)? else { return Ok(None) };
        let setup = Setup {
            delivery: delivery.of_project(dsn.as_ref()),
            packer: Packer::new(sender, rules),
            destinations: Arc::new(destinations),
            decisions,
            ignored,
            wait,
            log_filters,
            #[cfg(feature = "metrics")]
            ignored_metrics,
            options: engine,
        };
        Ok(Some(setup))
    }
}
