//! How an exporter is set up.

use std::{error::Error, fmt, io, sync::Arc};

use opentelemetry_http::HttpClient;
use opentelemetry_sdk::Resource;
use opentelemetry_sentry_protocol::{DecisionLog, Dsn, InvalidDsn, Service};

use crate::{
    SentryExporter,
    convert::Sender,
    engine::Engine,
    transport::{self, BadUrl, ClientError, Destinations, Setup},
};

/// Bytes of ended spans that may wait for their local root or for the worker.
const BUFFER_LIMIT: usize = 64 << 20;

/// Bytes of serialised envelopes that may wait to be sent.
const QUEUE_LIMIT: usize = 32 << 20;

/// Builds a [`SentryExporter`].
#[derive(Debug)]
#[must_use]
pub struct SentryExporterBuilder {
    /// Parsed at once, so that no text with a secret is kept.
    dsn: Option<Result<Dsn, InvalidDsn>>,
    release: Option<String>,
    environment: Option<String>,
    server_name: Option<String>,
    service: Option<Service>,
    spotlight: Option<String>,
    http_client: Option<Arc<dyn HttpClient>>,
    decisions: Arc<DecisionLog>,
    buffer_limit: usize,
    queue_limit: usize,
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
            buffer_limit: BUFFER_LIMIT,
            queue_limit: QUEUE_LIMIT,
        }
    }
}

impl SentryExporterBuilder {
    /// Sets where to send to. Defaults to nowhere; empty is nowhere, too.
    pub fn with_dsn(mut self, dsn: impl Into<String>) -> Self {
        let dsn = dsn.into();
        self.dsn = (!dsn.trim().is_empty()).then(|| dsn.parse());
        self
    }

    /// Sets the release. Defaults to none.
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the environment. Defaults to `production`.
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Sets the name of this machine. Defaults to none.
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

    /// Sets how many bytes of ended spans may wait for their local root or to be converted, as estimated. Defaults to
    /// 64 MiB. Near the limit those that waited longest are sent without their root; over it spans are dropped as
    /// [`BufferOverflow`](crate::DropReason::BufferOverflow).
    pub const fn with_buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = bytes;
        self
    }

    /// Sets how many bytes of serialised envelopes may wait to be sent. Defaults to 32 MiB. Over it the newest is
    /// dropped as [`QueueOverflow`](crate::DropReason::QueueOverflow).
    pub const fn with_queue_limit(mut self, bytes: usize) -> Self {
        self.queue_limit = bytes;
        self
    }

    /// Builds the exporter, and starts its thread unless there is nowhere to send to.
    ///
    /// # Errors
    ///
    /// If the DSN or the Spotlight URL is invalid, if there is no HTTP client for it, or if no thread can be started.
    pub fn build(self) -> Result<SentryExporter, ExporterBuildError> {
        let dsn = self.dsn.transpose().map_err(Kind::Dsn)?;
        let service = self
            .service
            .unwrap_or_else(|| Service::new(dsn).with_release(self.release).with_environment(self.environment));
        let destinations = Destinations::new(service.dsn(), self.spotlight.as_deref());
        let Some(destinations) = destinations.map_err(Kind::Url)? else {
            return Ok(SentryExporter::new(None));
        };
        let client = match self.http_client {
            Some(client) => client,
            None => transport::default_client(service.dsn()).map_err(Kind::Client)?,
        };
        let sender = Sender { service, server_name: self.server_name, resource: Resource::builder_empty().build() };
        let destinations = Arc::new(destinations);
        let setup = Setup { sender, client, destinations, queue_limit: self.queue_limit };
        let engine = Engine::start(self.buffer_limit, self.decisions, setup).map_err(Kind::Thread)?;
        Ok(SentryExporter::new(Some(Arc::new(engine))))
    }
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
            Kind::Thread(_) => f.write_str("the exporter's thread could not be started"),
        }
    }
}

impl Error for ExporterBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            // What they come from is in their message.
            Kind::Dsn(_) | Kind::Url(_) => None,
            Kind::Client(error) => error.source(),
            Kind::Thread(error) => Some(error),
        }
    }
}
