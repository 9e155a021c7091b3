//! How do a browser's envelopes reach Sentry where blockers know its host?
//!
//! | what comes | answer |
//! | --- | --- |
//! | an envelope of a project on the list | Sentry's status, with `Retry-After`, `X-Sentry-Rate-Limits` and `X-Sentry-Error` |
//! | no envelope: no body, no header line, no DSN in it, or none that is a DSN | 400 |
//! | an envelope of any other project | 403 |
//! | another method than POST | 405 |
//! | a body that does not end in time | 408 |
//! | a body over the limit | 413 |
//! | a body that is compressed, so that its header cannot be read; browsers send none | 415 |
//! | any of these, but Sentry cannot be reached, does not answer in time, or redirects | 500 |

mod envelope;
mod project;
mod refusal;

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use http::{HeaderName, Request, Response, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_sentry_exporter::http_client;
use opentelemetry_sentry_protocol::{Dsn, InvalidDsn};
use tower_service::Service;

use self::{
    envelope::{Collected, check_head},
    project::Project,
    refusal::Refusal,
};

/// The most bytes of an envelope by default: two of the largest transactions that Sentry takes. What needs more is
/// large replays, profiles and attachments.
const MAX_BODY: usize = 2 << 20;

/// How long a browser may take to send its envelope, and Sentry to answer, by default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Forwards the envelopes of browsers to Sentry: the other end of the option `tunnel` of Sentry's browser SDK.
///
/// A service of tower, to be mounted under a path of your own. It forwards envelopes of the projects on its list and no
/// others, and to nowhere else: the URL is made of your DSN, never of what came in, and redirects are not followed by
/// the built-in client. The body is forwarded as it came.
///
/// ```
/// use axum::Router;
/// use opentelemetry_sentry::web::Tunnel;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tunnel = Tunnel::builder().with_dsn("https://public@o1.ingest.sentry.io/2").build()?;
/// let app: Router = Router::new().route_service("/tunnel", tunnel);
/// # let _: Router = app;
/// # Ok(()) }
/// ```
///
/// # Limits
///
/// An envelope is held in memory while it is forwarded, as [`HttpClient`] wants it whole. Its DSN is judged as soon as
/// the first line is there, which must end within 16 KiB; nothing more is read of an envelope that is refused. So the
/// requests in flight times the [limit](TunnelBuilder::with_max_body_size) is what it can take: tower's
/// `ConcurrencyLimit` bounds the first.
///
/// # Traces
///
/// Its request to Sentry is no span and carries no headers of a trace; the built-in client speaks HTTP/1.1, whose
/// connections make no spans either. Put the tunnel outside of the layer that makes
/// spans of requests that come in; in axum, behind it.
///
/// # Who sends
///
/// Sentry takes the address of whoever connects for the user's: with a tunnel, that is your server, unless
/// [`with_client_address_from`](TunnelBuilder::with_client_address_from) says otherwise. The browser's `User-Agent` goes
/// along; cookies and all other headers stay here.
///
/// It says nothing about CORS: to be used from another origin it needs a `CorsLayer` around it.
#[derive(Clone, Debug)]
pub struct Tunnel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    projects: Vec<Project>,
    max_body: usize,
    timeout: Duration,
    client_address: Option<HeaderName>,
}

impl Tunnel {
    /// Begins to set one up.
    pub fn builder() -> TunnelBuilder {
        TunnelBuilder::default()
    }
}

impl Shared {
    async fn forward<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Refusal> {
        let (head, body) = request.into_parts();
        check_head(&head)?;
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(Refusal::TooLarge);
        }
        let read = tokio::time::timeout(self.timeout, self.read(body)).await;
        let (project, envelope) = read.map_err(|_| Refusal::Unfinished)??;
        let request = project.request(envelope, self.passed_on(&head)).map_err(|_| Refusal::Upstream)?;
        let answer = tokio::time::timeout(self.timeout, project.send(request)).await;
        answer.ok().flatten().ok_or(Refusal::Upstream)
    }

    /// Reads an envelope, and no more of it than is wanted.
    async fn read<B: Body<Data = Bytes>>(&self, body: B) -> Result<(&Project, Bytes), Refusal> {
        let mut body = pin!(body);
        let mut collected = Collected::new(self.max_body);
        let mut project = None;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Err(Refusal::Unreadable) };
            let Ok(data) = frame.into_data() else { continue };
            collected.push(data)?;
            if project.is_none() {
                project = collected.header()?.map(|header| self.project(header)).transpose()?;
            }
        }
        let project = match project {
            Some(project) => project,
            None => self.project(collected.as_slice())?,
        };
        Ok((project, collected.into_bytes()))
    }

    /// The project that an envelope's header names.
    fn project(&self, header: &[u8]) -> Result<&Project, Refusal> {
        let dsn = envelope::dsn(header)?;
        self.projects.iter().find(|project| project.is_of(&dsn)).ok_or(Refusal::NotAllowed)
    }

    /// The headers that go along.
    fn passed_on<'a>(&self, head: &'a Parts) -> impl Iterator<Item = (HeaderName, &'a http::HeaderValue)> {
        let address = self.client_address.iter().flat_map(|name| head.headers.get_all(name));
        let address = address.map(|value| (project::FORWARDED_FOR, value));
        head.headers
            .get(http::header::USER_AGENT)
            .map(|value| (http::header::USER_AGENT, value))
            .into_iter()
            .chain(address)
    }
}

impl<B: Body<Data = Bytes> + Send + 'static> Service<Request<B>> for Tunnel {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(shared.forward(request).await.unwrap_or_else(Refusal::into_response)) })
    }
}

/// Sets up a [`Tunnel`].
#[derive(Debug)]
#[must_use]
pub struct TunnelBuilder {
    dsns: Vec<Result<Dsn, InvalidDsn>>,
    client: Option<Arc<dyn HttpClient>>,
    max_body: usize,
    timeout: Duration,
    client_address: Option<HeaderName>,
}

impl Default for TunnelBuilder {
    fn default() -> Self {
        Self { dsns: Vec::new(), client: None, max_body: MAX_BODY, timeout: TIMEOUT, client_address: None }
    }
}

impl TunnelBuilder {
    /// Adds a DSN whose envelopes are forwarded: the same scheme, host, port, path, project and public key. An empty text
    /// adds none. Defaults to none; then everything is refused.
    pub fn with_dsn(mut self, dsn: impl AsRef<str>) -> Self {
        let dsn = dsn.as_ref().trim();
        if !dsn.is_empty() {
            self.dsns.push(dsn.parse());
        }
        self
    }

    /// Sets the HTTP client. Defaults to the one that the features `reqwest-rustls` and `reqwest-client` bring along.
    ///
    /// It runs in the runtime that the tunnel is called in, and must not follow redirects. Telemetry is suppressed around
    /// its requests; but with HTTP/2 a `tracing` layer without a filter for `h2` makes spans of its connections.
    pub fn with_http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// Sets how many bytes an envelope may have. Defaults to 2 MiB. Sentry takes 1 MiB of a transaction, 200 MiB of
    /// an envelope with attachments.
    pub const fn with_max_body_size(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets how long an envelope may take to come in, and Sentry's answer after that. Defaults to 10 seconds each.
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends Sentry the user's address, as `X-Forwarded-For`, from this header of the request: one that your own
    /// proxy sets, such as `x-forwarded-for` or `x-real-ip`, as users can write what they like into any other. Defaults
    /// to sending none.
    pub fn with_client_address_from(mut self, header: HeaderName) -> Self {
        self.client_address = Some(header);
        self
    }

    /// Makes the tunnel. It needs no runtime yet, but one of tokio when it is called.
    ///
    /// # Errors
    ///
    /// If a DSN is invalid, or if there is no HTTP client for it.
    pub fn build(self) -> Result<Tunnel, TunnelBuildError> {
        let Self { dsns, client, max_body, timeout, client_address } = self;
        let project = |dsn: Result<Dsn, InvalidDsn>| {
            let dsn = dsn.map_err(Kind::Dsn)?;
            let client = client.clone().map_or_else(|| http_client(&dsn), Ok).map_err(Kind::Client)?;
            Ok(Project::new(dsn, client).map_err(Kind::Url)?)
        };
        let projects = dsns.into_iter().map(project).collect::<Result<_, TunnelBuildError>>()?;
        Ok(Tunnel { shared: Arc::new(Shared { projects, max_body, timeout, client_address }) })
    }
}

/// A tunnel could not be set up. The message names what was found, and never a secret.
#[derive(Debug)]
pub struct TunnelBuildError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Dsn(InvalidDsn),
    Url(http::uri::InvalidUri),
    Client(HttpError),
}

impl From<Kind> for TunnelBuildError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for TunnelBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Dsn(error) => write!(f, "with_dsn: {error}"),
            Kind::Url(error) => write!(f, "with_dsn: the DSN must make a URL: {error}"),
            Kind::Client(error) => error.fmt(f),
        }
    }
}

impl Error for TunnelBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Client(error) => error.source(),
            // What the others come from is in their message.
            Kind::Dsn(_) | Kind::Url(_) => None,
        }
    }
}
