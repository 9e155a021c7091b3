//! A tunnel that forwards the envelopes of browsers; the guide's page `web` lists its answers.

mod encoding;
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

use http::{HeaderName, HeaderValue, Request, Response, header::USER_AGENT, request::Parts, uri::InvalidUri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_sentry_exporter::http_client;
use opentelemetry_sentry_protocol::{Dsn, InvalidDsn};
use tower_service::Service;

pub use self::project::EXPOSED_HEADERS;
use self::{
    encoding::Encoding,
    envelope::{Collected, check_head},
    project::Project,
    refusal::Refusal,
};
use super::server::Traced;

/// The most bytes of an envelope by default: room for replays and profiles. Only large attachments need more.
const MAX_BODY: usize = 20 << 20;

/// How long a browser may take to send its envelope by default, and Sentry to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Forwards the envelopes of browsers to Sentry: the server side of the option `tunnel` of Sentry's browser SDK.
///
/// It is a service of tower that you mount under a path of your choice. It forwards envelopes of the projects whose DSNs
/// you set, and refuses all others. The URL comes from your DSN, never from the request, and the built-in client does not
/// follow redirects. The body is forwarded unchanged, also if it is compressed, and the browser gets Sentry's answer.
///
/// The [guide](crate::guide::web#answers-of-the-tunnel) lists its answers.
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
/// The whole envelope is in memory while it is forwarded, because [`HttpClient`] takes one piece. Its DSN is checked as
/// soon as the first line has arrived, which must end within 16 KiB. The rest of an envelope that is refused is not
/// read. So memory is bounded by the number of requests in flight times the
/// [limit](TunnelBuilder::with_max_body_size) and, while the first line of a compressed envelope is looked for, the
/// window of its encoding (16 MiB for br, 8 MiB for zstd); tower's `ConcurrencyLimit` bounds that number.
///
/// # Traces
///
/// Its request to Sentry makes no span and has no trace headers. The built-in client speaks HTTP/1.1, whose connections
/// make no spans either. Below a [`ServerLayer`](crate::web::ServerLayer) the request of the browser makes no span. Put
/// the tunnel outside of all other layers that make spans for incoming requests: in axum, after them.
///
/// # The user's address
///
/// Sentry takes the address of the TCP peer for the user's. With a tunnel the peer is your server, unless
/// [`with_client_address_from`](TunnelBuilder::with_client_address_from) names a header with the user's address. The
/// browser's `User-Agent` is forwarded; cookies and all other headers are not.
///
/// The tunnel does not handle CORS. Browsers of another origin need a `CorsLayer` around it.
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
    /// Begins to set up a tunnel.
    pub fn builder() -> TunnelBuilder {
        TunnelBuilder::default()
    }
}

impl Shared {
    async fn forward<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Refusal> {
        let (head, body) = request.into_parts();
        let encoding = check_head(&head)?;
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(Refusal::TooLarge);
        }
        let read = tokio::time::timeout(self.timeout, self.read(body, encoding)).await;
        let (project, envelope) = read.map_err(|_| Refusal::Unfinished)??;
        let request = project.request(envelope, encoding, self.passed_on(&head)).map_err(|_| Refusal::Upstream)?;
        let answer = tokio::time::timeout(self.timeout, project.send(request)).await;
        answer.ok().flatten().ok_or(Refusal::Upstream)
    }

    /// Reads an envelope; stops at the first reason to refuse it.
    async fn read<B: Body<Data = Bytes>>(&self, body: B, encoding: Encoding) -> Result<(&Project, Bytes), Refusal> {
        let mut body = pin!(body);
        let mut collected = Collected::new(self.max_body, encoding);
        let mut project = None;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Err(Refusal::Unreadable) };
            let Ok(data) = frame.into_data() else { continue };
            collected.push(data)?;
            if project.is_none() {
                project = collected.header()?.map(|header| self.project(&header)).transpose()?;
            }
        }
        let project = match project {
            Some(project) => project,
            None => self.project(&collected.last_header()?)?,
        };
        Ok((project, collected.into_bytes()))
    }

    /// The project that an envelope's header names.
    fn project(&self, header: &[u8]) -> Result<&Project, Refusal> {
        let dsn = envelope::dsn(header)?;
        self.projects.iter().find(|project| project.is_of(&dsn)).ok_or(Refusal::NotAllowed)
    }

    /// The headers of the request that are forwarded.
    fn passed_on<'a>(&self, head: &'a Parts) -> impl Iterator<Item = (HeaderName, &'a HeaderValue)> {
        let address = self.client_address.iter().flat_map(|name| head.headers.get_all(name));
        let address = address.map(|value| (project::FORWARDED_FOR, value));
        head.headers.get(USER_AGENT).map(|value| (USER_AGENT, value)).into_iter().chain(address)
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
        // Envelopes are no requests of the application, and the layer could not know that when the request arrived.
        if let Some(traced) = request.extensions().get::<Traced>() {
            traced.forget();
        }
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
    /// Adds a project whose envelopes are forwarded: those with a DSN of the same scheme, host, port, path, project and
    /// public key. An empty text adds none. Defaults to none; then every envelope is refused.
    pub fn with_dsn(mut self, dsn: impl AsRef<str>) -> Self {
        self.dsns.extend(Dsn::parse_setting(dsn.as_ref()).transpose());
        self
    }

    /// Sets the HTTP client. Defaults to the built-in one of the feature `reqwest-rustls` or `reqwest-client`.
    ///
    /// It runs in the runtime in which the tunnel is called, and must not follow redirects. Its requests run with
    /// telemetry suppressed. With HTTP/2, though, a `tracing` layer without a filter for `h2` makes spans for its
    /// connections.
    pub fn with_http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// Sets how many bytes an envelope may have. Sentry accepts transactions of up to 1 MiB, and envelopes with
    /// attachments of up to 200 MiB. Defaults to 20 MiB.
    pub const fn with_max_body_size(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets how long the browser may take to send its envelope, and Sentry to answer after that. Defaults to 10 seconds
    /// each.
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Forwards the user's address to Sentry as `X-Forwarded-For`, taken from this header of the request. Defaults to
    /// forwarding none.
    ///
    /// It must be a header that your own proxy sets, such as `x-forwarded-for` or `x-real-ip`: users can forge any other.
    ///
    /// ```
    /// use http::HeaderName;
    /// use opentelemetry_sentry::web::Tunnel;
    ///
    /// let builder = Tunnel::builder().with_client_address_from(HeaderName::from_static("x-real-ip"));
    /// ```
    pub fn with_client_address_from(mut self, header: HeaderName) -> Self {
        self.client_address = Some(header);
        self
    }

    /// Builds the tunnel. It needs a tokio runtime only when it is called.
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

/// A tunnel could not be set up. The message says what was found; it never contains a secret.
pub struct TunnelBuildError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Dsn(InvalidDsn),
    Url(InvalidUri),
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

opentelemetry_sentry_protocol::__shared::debug_as_message!(TunnelBuildError);

impl Error for TunnelBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Client(error) => error.source(),
            // The messages of the others contain that of their source.
            Kind::Dsn(_) | Kind::Url(_) => None,
        }
    }
}
