//! How an exporter is set up.

use std::{error::Error, fmt, io, path::PathBuf, sync::Arc, time::Duration};

use opentelemetry::{Value, metrics::Meter};
use opentelemetry_http::HttpClient;
use opentelemetry_sentry_protocol::{DecisionLog, Dsn, InvalidDsn, Service};

use super::{exporter::SentryExporter, metrics};
use crate::{
    convert::{InvalidTag, Sender, TagRules},
    engine::{Engine, Setup},
    packing::{BrokenPattern, Filters, Packer, Rules, SpanEvent, SpanFilter, TransactionEvent},
    trace::Patience,
    transport::{BadUrl, ClientError, ClientSettings, Destinations, Encoding, default_client},
};

/// Bytes of ended spans that may wait for their local root or for the worker.
const BUFFER_LIMIT: usize = 64 << 20;

/// Traces of which spans may wait.
const TRACE_LIMIT: usize = 100_000;

/// Bytes of serialised envelopes that may wait to be sent.
const QUEUE_LIMIT: usize = 32 << 20;

/// Builds a [`SentryExporter`].
#[derive(Debug)]
#[must_use]
pub struct SentryExporterBuilder {
    /// Parsed at once, so that no text with a secret is kept.
    dsn: Option<Result<Option<Dsn>, InvalidDsn>>,
    release: Option<String>,
    environment: Option<String>,
    server_name: Option<String>,
    service: Option<Service>,
    spotlight: Option<String>,
    http_client: Option<Arc<dyn HttpClient>>,
    decisions: Arc<DecisionLog>,
    tags: TagRules,
    invalid_tag: Option<InvalidTag>,
    rules: Rules,
    grace: Option<Duration>,
    trace_limit: usize,
    buffer_limit: usize,
    queue_limit: usize,
    encoding: Encoding,
    spool_dir: Option<PathBuf>,
    backpressure: bool,
    client_settings: ClientSettings,
    meter: Option<Meter>,
}

impl Default for SentryExporterBuilder {
    fn default() -> Self {
        Self {
            dsn: None,
            release: None,
            environment: None,
            server_name: None,
            service: None,
            spotlight: None,
            http_client: None,
            decisions: Arc::default(),
            tags: TagRules::default(),
            invalid_tag: None,
            rules: Rules::default(),
            grace: None,
            trace_limit: TRACE_LIMIT,
            buffer_limit: BUFFER_LIMIT,
            queue_limit: QUEUE_LIMIT,
            encoding: Encoding::default(),
            spool_dir: None,
            backpressure: false,
            client_settings: ClientSettings::default(),
            meter: None,
        }
    }
}

impl SentryExporterBuilder {
    /// Sets where to send to. Defaults to nowhere; empty is nowhere, too.
    pub fn with_dsn(mut self, dsn: impl Into<String>) -> Self {
        self.dsn = Some(Dsn::parse_setting(&dsn.into()));
        self
    }

    /// Sets the release. Defaults to `service.name@service.version` of the tracer provider's resource if it has a
    /// version, else to none.
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the environment. Defaults to `deployment.environment.name` of the resource, else to `production`.
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Sets the name of this machine. Defaults to `host.name` of the resource, else to none.
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets everything about the service at once, in place of DSN, release and environment.
    pub fn with_service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Sets the URL of a local [Spotlight](https://spotlightjs.com) that gets a copy of everything. Defaults to none.
    pub fn with_spotlight(mut self, url: impl Into<String>) -> Self {
        self.spotlight = Some(url.into());
        self
    }

    /// Sets the HTTP client. Defaults to the one that the crate's features bring along.
    ///
    /// It is called on a thread of our own, inside a tokio runtime and with telemetry suppressed, so an async
    /// `reqwest::Client` works whatever the application runs on. It must not follow redirects.
    pub fn with_http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.http_client = Some(Arc::new(client));
        self
    }

    /// Shares the log in which a sampler counts what it decided against, for [`Stats`](crate::Stats). Defaults to an
    /// empty one.
    pub fn with_decision_log(mut self, decisions: Arc<DecisionLog>) -> Self {
        self.decisions = decisions;
        self
    }

    /// Adds a tag to all transactions and error events. A key may have letters, digits, `_`, `.`, `:` and `-`; other
    /// characters are replaced, and key and value are cut after 200 characters. Sentry keeps `dist`, `environment`,
    /// `filename`, `function`, `release` and `user` for itself: they, and an empty key, are an error of
    /// [`build`](Self::build). An empty value is no tag.
    pub fn with_tag(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let added = self.tags.add(key.as_ref(), value.as_ref());
        self.invalid_tag = self.invalid_tag.or(added.err());
        self
    }

    /// Makes tags of these attributes: those of the root of a transaction or the span of an error event, else of the
    /// first span of the transaction that has them, else of the resource. They beat tags of the same name that were set with [`with_tag`](Self::with_tag).
    pub fn with_tag_attributes(mut self, attributes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        for attribute in attributes {
            let added = self.tags.add_attribute(attribute.as_ref());
            self.invalid_tag = self.invalid_tag.or(added.err());
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
        self.rules.scrubber.set_own(f);
        self
    }

    /// Sets whether secrets are filtered by the names of their attributes, and user info in URLs. Defaults to `true`.
    pub const fn with_default_scrubbing(mut self, on: bool) -> Self {
        self.rules.scrubber.set_default(on);
        self
    }

    /// Sets a hook that may change each transaction before it is sent, or drop it by returning `None`. A panic drops
    /// it, too. It runs on the exporter's thread. See [`TransactionEvent`].
    pub fn with_before_send_transaction(
        mut self,
        f: impl Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync + 'static,
    ) -> Self {
        self.rules.hooks.set_transaction(f);
        self
    }

    /// Sets a hook that may change each span before its transaction is sent, the root among them; it comes before
    /// the hook for transactions. A panic drops the transaction. See [`SpanEvent`].
    pub fn with_before_send_span(mut self, f: impl Fn(&mut SpanEvent) + Send + Sync + 'static) -> Self {
        self.rules.hooks.set_span(f);
        self
    }

    /// Adds filters for transactions that are not sent. They look at the root. See [`SpanFilter`].
    pub fn with_ignore_transactions(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.rules.ignored_transactions.add(filters);
        self
    }

    /// Adds filters for spans that are not sent; their children move up to their parent. With an ignored local root
    /// its whole transaction goes. See [`SpanFilter`].
    pub fn with_ignore_spans(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.rules.ignored_spans.add(filters);
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
        self.rules.exceptions_as_errors = on;
        self
    }

    /// Sets how long a trace waits, when its local root has ended, for spans that end a little later. Defaults to 50 ms
    /// under a [`SentrySpanProcessor`](crate::SentrySpanProcessor), and to nothing under other processors, which hand
    /// over spans late enough. A flush and a shutdown do not wait for it. Spans that come later still are sent as
    /// transactions of their own.
    pub const fn with_late_span_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Sets of how many traces spans may wait for their local root. Defaults to 100,000. Over it those that waited
    /// longest are sent without their root.
    pub const fn with_trace_limit(mut self, traces: usize) -> Self {
        self.trace_limit = traces;
        self
    }

    /// Sets how many bytes of ended spans may wait for their local root or to be converted, as estimated. Defaults to
    /// 64 MiB. Near the limit those that waited longest are sent without their root; over it whole traces are dropped
    /// as [`BufferOverflow`](crate::DropReason::BufferOverflow), or as
    /// [`QueueOverflow`](crate::DropReason::QueueOverflow) if it is the network that cannot keep up.
    pub const fn with_buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = bytes;
        self
    }

    /// Sets how many bytes of serialised envelopes may wait to be sent. Defaults to 32 MiB. When it is reached, spans
    /// wait in the buffer; an envelope that alone is larger is dropped as
    /// [`QueueOverflow`](crate::DropReason::QueueOverflow).
    pub const fn with_queue_limit(mut self, bytes: usize) -> Self {
        self.queue_limit = bytes;
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
        self.spool_dir = Some(dir.into());
        self
    }

    /// Sets how bodies of more than 1 KiB are compressed. Defaults to gzip.
    pub const fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Sets whether the sampler halves its rate, step by step down to a thousandth, for as long as the server limits us
    /// or the queue is full, which is looked at every ten seconds. What is lost by that is counted as
    /// [`Backpressure`](crate::DropReason::Backpressure). It needs the log of the sampler
    /// ([`with_decision_log`](Self::with_decision_log)). Defaults to `false`.
    pub const fn with_backpressure(mut self, on: bool) -> Self {
        self.backpressure = on;
        self
    }

    /// Trusts these certificates (PEM, one or more) beside those of the system, for a Sentry or a proxy with a
    /// certificate of its own. For the built-in HTTP client only; what is no certificate is an error of
    /// [`build`](Self::build).
    pub fn with_root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client_settings.root_certificates.push(pem.into());
        self
    }

    /// Exports the numbers of [`Stats`](crate::Stats) as metrics of this meter: `sentry.spans.received`,
    /// `sentry.spans.sent`, `sentry.spans.spooled`, `sentry.transactions.sent`, `sentry.errors.sent` and `sentry.spans.dropped` (with the
    /// attribute `reason`), all counters, and `sentry.spans.pending`, `sentry.buffer.size` and `sentry.queue.size` (in
    /// bytes). Defaults to none.
    pub fn with_internal_metrics(mut self, meter: &Meter) -> Self {
        self.meter = Some(meter.clone());
        self
    }

    /// Takes out what was set about the sender. The facade fills in the rest, gives the same service to the propagator,
    /// and sets all of it again.
    #[doc(hidden)]
    pub fn take_sender(&mut self) -> SenderSettings {
        SenderSettings {
            dsn: self.dsn.take(),
            release: self.release.take(),
            environment: self.environment.take(),
            server_name: self.server_name.take(),
            service: self.service.take(),
            spotlight: self.spotlight.take(),
        }
    }

    /// Builds the exporter, and starts its thread unless there is nowhere to send to.
    ///
    /// # Errors
    ///
    /// If the DSN, the Spotlight URL, a tag or a filter's regular expression is invalid, if there is no HTTP client for it, or if no thread can be started.
    pub fn build(self) -> Result<SentryExporter, ExporterBuildError> {
        let dsn = self.dsn.transpose().map_err(Kind::Dsn)?.flatten();
        if let Some(error) = self.invalid_tag {
            return Err(Kind::Tag(error).into());
        }
        let filters = [&self.rules.ignored_spans, &self.rules.ignored_transactions];
        if let Some(error) = filters.into_iter().find_map(Filters::broken) {
            return Err(Kind::Pattern(error).into());
        }
        let service = self
            .service
            .unwrap_or_else(|| Service::new(dsn).with_release(self.release).with_environment(self.environment));
        let destinations = Destinations::new(service.dsn(), self.spotlight.as_deref());
        let has_grace = self.grace.is_some();
        let Some(destinations) = destinations.map_err(Kind::Url)? else {
            return Ok(SentryExporter::new(None, has_grace));
        };
        let client = match self.http_client {
            Some(client) => client,
            None => default_client(service.dsn(), &self.client_settings).map_err(Kind::Client)?,
        };
        let spool_dir = self.spool_dir.map(|dir| dir.join(folder_of(service.dsn())));
        let setup = Setup {
            packer: Packer::new(Sender::new(service, self.server_name, self.tags), self.rules),
            client,
            destinations: Arc::new(destinations),
            decisions: self.decisions,
            patience: Patience { grace: self.grace.unwrap_or_default(), traces: self.trace_limit },
            queue_limit: self.queue_limit,
            encoding: self.encoding,
            spool_dir,
            backpressure: self.backpressure,
        };
        let engine = Engine::start(self.buffer_limit, setup).map_err(Kind::Thread)?;
        let engine = Arc::new(engine);
        if let Some(meter) = &self.meter {
            metrics::export(meter, &engine);
        }
        Ok(SentryExporter::new(Some(engine), has_grace))
    }
}

/// What was set about the sender, and where copies go. `None` is what was not set.
#[doc(hidden)] // for the facade
#[derive(Debug)]
#[non_exhaustive]
pub struct SenderSettings {
    /// The DSN, or "send nowhere".
    pub dsn: Option<Result<Option<Dsn>, InvalidDsn>>,
    /// The release.
    pub release: Option<String>,
    /// The environment.
    pub environment: Option<String>,
    /// The name of this machine.
    pub server_name: Option<String>,
    /// Everything about the service at once, in place of DSN, release and environment.
    pub service: Option<Service>,
    /// The URL of a local Spotlight.
    pub spotlight: Option<String>,
}

/// A name for the folder of a project: host, project and key, without what no file system takes.
fn folder_of(dsn: Option<&Dsn>) -> String {
    let project = dsn.map(|dsn| format!("{}-{}-{}", dsn.host(), dsn.project_id(), dsn.public_key()));
    project.unwrap_or_else(|| "spotlight".to_owned()).replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-")
}

/// The exporter could not be built.
#[derive(Debug)]
pub struct ExporterBuildError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Dsn(InvalidDsn),
    Url(BadUrl),
    Client(ClientError),
    Tag(InvalidTag),
    Pattern(BrokenPattern),
    Thread(io::Error),
}

impl From<Kind> for ExporterBuildError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for ExporterBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Dsn(error) => write!(f, "with_dsn: {error}"),
            Kind::Url(BadUrl::Sentry(error)) => write!(f, "with_dsn: it leads to no URL: {error}"),
            Kind::Url(BadUrl::Spotlight(url)) => {
                write!(f, "with_spotlight: it must be an absolute http URL, found {url:?}")
            }
            Kind::Client(error) => error.fmt(f),
            Kind::Tag(error) => write!(f, "with_tag: {error}"),
            Kind::Pattern(error) => error.fmt(f),
            Kind::Thread(_) => f.write_str("the exporter's thread could not be started"),
        }
    }
}

impl Error for ExporterBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            // What they come from is in their message.
            Kind::Dsn(_) | Kind::Url(_) | Kind::Tag(_) | Kind::Pattern(_) => None,
            Kind::Client(error) => error.source(),
            Kind::Thread(error) => Some(error),
        }
    }
}
