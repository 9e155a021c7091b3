//! A project to which envelopes are forwarded.

use std::{fmt, sync::Arc};

use http::{
    HeaderName, HeaderValue, Request, Response, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
    uri::InvalidUri,
};
use http_body_util::Full;
use opentelemetry::{Context, otel_debug, trace::FutureExt};
use opentelemetry_http::{Bytes, HttpClient};
use opentelemetry_sentry_protocol::Dsn;

use super::encoding::Encoding;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The headers by which Sentry tells an SDK, beside the status, what it may send. A browser of another origin can read
/// them only if they are exposed:
///
/// ```
/// use opentelemetry_sentry::web::EXPOSED_HEADERS;
/// use tower_http::cors::CorsLayer;
///
/// let cors = CorsLayer::new().expose_headers(EXPOSED_HEADERS);
/// ```
pub const EXPOSED_HEADERS: [HeaderName; 3] =
    [RETRY_AFTER, HeaderName::from_static("x-sentry-rate-limits"), HeaderName::from_static("x-sentry-error")];

/// The body of an answer that has none: Chromium shows an empty one as a failed request.
const NO_BODY: Bytes = Bytes::from_static(b"{}");

/// A project, the URL for its envelopes, and the client that sends them.
pub(super) struct Project {
    dsn: Dsn,
    url: Uri,
    client: Arc<dyn HttpClient>,
}

impl Project {
    pub(super) fn new(dsn: Dsn, client: Arc<dyn HttpClient>) -> Result<Self, InvalidUri> {
        Ok(Self { url: dsn.envelope_url().parse()?, dsn, client })
    }

    pub(super) fn is_of(&self, dsn: &Dsn) -> bool {
        self.dsn.is_same_project(dsn)
    }

    /// The request that forwards an envelope. The DSN in the envelope authenticates it.
    pub(super) fn request<'a>(
        &self,
        envelope: Bytes,
        encoding: Encoding,
        headers: impl Iterator<Item = (HeaderName, &'a HeaderValue)>,
    ) -> http::Result<Request<Bytes>> {
        let request = Request::post(self.url.clone()).header(CONTENT_TYPE, "application/x-sentry-envelope");
        let request = encoding.name().into_iter().fold(request, |request, name| request.header(CONTENT_ENCODING, name));
        headers.fold(request, |request, (name, value)| request.header(name, value)).body(envelope)
    }

    /// Sends it with telemetry suppressed. Returns `None` if there is no answer to pass back.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Option<Response<Full<Bytes>>> {
        let suppressed = Context::new().with_telemetry_suppressed();
        let answer = async { self.client.send_bytes(request).await }.with_context(suppressed).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                otel_debug!(name: "Tunnel.Failed", error = format!("{error}"));
                return None;
            }
        };
        let status = answer.status();
        // Sentry does not redirect, so this answer comes from another server.
        if !(status.is_success() || status.is_client_error() || status.is_server_error()) {
            return None;
        }
        let (head, body) = answer.into_parts();
        let body = if body.is_empty() { NO_BODY } else { body };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        for name in EXPOSED_HEADERS.into_iter().chain([CONTENT_TYPE]) {
            for value in head.headers.get_all(&name) {
                response.headers_mut().append(name.clone(), value.clone());
            }
        }
        Some(response)
    }
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Project").field(&self.dsn).finish()
    }
}
