//! Where envelopes go, and how a request is made.

use http::{HeaderValue, Uri};
use opentelemetry_http::{Bytes, Request};
use opentelemetry_sentry_protocol::Dsn;

use super::compress::Body;
use crate::convert::{SDK_NAME, SDK_VERSION};

/// The destinations of all envelopes, at least one of the two.
#[derive(Debug)]
pub(crate) struct Destinations {
    /// The project that the DSN names.
    pub(crate) sentry: Option<Destination>,
    /// A local Spotlight, which gets a copy of each envelope; without a DSN it gets the envelopes themselves.
    pub(crate) spotlight: Option<Destination>,
}

/// One destination.
#[derive(Debug)]
pub(crate) struct Destination {
    url: Uri,
    /// It contains the DSN's key. It is marked as sensitive, so that `Debug` does not print it.
    auth: Option<HeaderValue>,
}

impl Destinations {
    /// The destinations; `None` if there is neither a DSN nor a Spotlight URL.
    ///
    /// # Errors
    ///
    /// If a URL is invalid.
    pub(crate) fn new(dsn: Option<&Dsn>, spotlight: Option<&str>) -> Result<Option<Self>, BadUrl> {
        let sentry = dsn.map(|dsn| Destination::sentry(dsn).map_err(BadUrl::Sentry)).transpose()?;
        let spotlight =
            spotlight.map(|url| Destination::spotlight(url).ok_or_else(|| BadUrl::Spotlight(url.to_owned())));
        let spotlight = spotlight.transpose()?;
        let any = sentry.is_some() || spotlight.is_some();
        Ok(any.then_some(Self { sentry, spotlight }))
    }
}

/// A URL that no request can be sent to.
#[derive(Debug)]
pub(crate) enum BadUrl {
    Sentry(http::Error),
    Spotlight(String),
}

impl Destination {
    fn sentry(dsn: &Dsn) -> Result<Self, http::Error> {
        let secret = dsn.secret_key().map(|secret| format!(", sentry_secret={secret}")).unwrap_or_default();
        let client = format!("{SDK_NAME}/{SDK_VERSION}");
        let key = dsn.public_key();
        let auth = format!("Sentry sentry_version=7, sentry_client={client}, sentry_key={key}{secret}");
        let mut auth = HeaderValue::from_str(&auth)?;
        auth.set_sensitive(true);
        Ok(Self { url: dsn.envelope_url().parse()?, auth: Some(auth) })
    }

    /// `None` if it is not an absolute URL with the scheme `http` or `https`.
    fn spotlight(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let is_http = url.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
        let has_host = url.host().is_some_and(|host| !host.is_empty());
        (is_http && has_host).then_some(Self { url, auth: None })
    }

    /// The request that sends this body.
    pub(super) fn request(&self, body: Body) -> Result<Request<Bytes>, http::Error> {
        let mut request = Request::post(self.url.clone())
            .header("user-agent", format!("{SDK_NAME}/{SDK_VERSION}"))
            .header("content-type", "application/x-sentry-envelope");
        if let Some(auth) = &self.auth {
            request = request.header("x-sentry-auth", auth);
        }
        if let Some(encoding) = body.encoding {
            request = request.header("content-encoding", encoding);
        }
        request.body(body.bytes)
    }
}
