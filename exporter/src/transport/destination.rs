//! Where envelopes go, and how a request is made.

use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use opentelemetry_http::{Bytes, Request};
use opentelemetry_sentry_protocol::Dsn;

use super::compress::Body;
use crate::{
    convert::{SDK_NAME, SDK_VERSION},
    packing::{OtlpForm, OtlpSignal},
};

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
    /// The DSN that the header of each envelope names, without its secret. Behind a tunnel nothing else says which project an
    /// envelope is for; elsewhere the URL does, and this is `None`.
    dsn: Option<String>,
    /// The headers of each request. One of them contains the DSN's key. It is marked as sensitive, so that `Debug` does not
    /// print it.
    headers: HeaderMap,
    /// Where requests of an OTLP exporter go. Spotlight takes none.
    otlp: Option<Box<OtlpEndpoints>>,
}

/// Sentry's endpoints for OTLP. A tunnel takes only envelopes, so these requests go to Sentry itself.
#[derive(Debug)]
struct OtlpEndpoints {
    traces: Uri,
    logs: Uri,
    headers: HeaderMap,
}

impl Destinations {
    /// The destinations; `None` if there is neither a DSN nor a Spotlight URL.
    ///
    /// # Errors
    ///
    /// If a URL is invalid, also that of a tunnel that is not used, because there is no DSN.
    pub(crate) fn new(
        dsn: Option<&Dsn>,
        tunnel: Option<&str>,
        spotlight: Option<&str>,
        has_simple_requests: bool,
    ) -> Result<Option<Self>, BadUrl> {
        let tunnel = tunnel.map(|url| http_url(url).ok_or_else(|| BadUrl::Tunnel(without_secrets(url)))).transpose()?;
        let sentry = dsn.map(|dsn| {
            let sentry = if has_simple_requests { Destination::simple(dsn) } else { Destination::sentry(dsn) }?;
            Ok(match tunnel {
                Some(url) => sentry.through_tunnel(url, dsn, has_simple_requests),
                None => sentry,
            })
        });
        let sentry = sentry.transpose().map_err(BadUrl::Sentry)?;
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
    /// It contains no secret.
    Tunnel(String),
}

impl Destination {
    /// Requests that a browser sends to another origin without asking it before ("simple requests" of the Fetch standard):
    /// the key is in the URL, and no header is one of ours.
    fn simple(dsn: &Dsn) -> Result<Self, http::Error> {
        // The characters of all three are safe in a query.
        let key = dsn.public_key();
        let query = format!("?sentry_version=7&sentry_client={SDK_NAME}%2F{SDK_VERSION}&sentry_key={key}");
        Self::of_dsn(dsn, &query, simple_headers())
    }

    fn sentry(dsn: &Dsn) -> Result<Self, http::Error> {
        let secret = dsn.secret_key().map(|secret| format!(", sentry_secret={secret}")).unwrap_or_default();
        let client = format!("{SDK_NAME}/{SDK_VERSION}");
        let key = dsn.public_key();
        let auth = format!("Sentry sentry_version=7, sentry_client={client}, sentry_key={key}{secret}");
        let mut auth = HeaderValue::from_str(&auth)?;
        auth.set_sensitive(true);
        let mut headers = headers();
        headers.insert("x-sentry-auth", auth);
        Self::of_dsn(dsn, "", headers)
    }

    /// The endpoints of a project. Query or headers authenticate the requests.
    fn of_dsn(dsn: &Dsn, query: &str, headers: HeaderMap) -> Result<Self, http::Error> {
        let url = |endpoint: String| (endpoint + query).parse::<Uri>();
        let (traces, logs) = (url(dsn.otlp_traces_url())?, url(dsn.otlp_logs_url())?);
        let otlp = OtlpEndpoints { traces, logs, headers: headers.clone() };
        Ok(Self { url: url(dsn.envelope_url())?, dsn: None, headers, otlp: Some(Box::new(otlp)) })
    }

    /// The same with a tunnel for envelopes, which forwards them to the project that their header names. As with Sentry's SDKs,
    /// that DSN is all that authenticates a request.
    fn through_tunnel(self, url: Uri, dsn: &Dsn, has_simple_requests: bool) -> Self {
        let headers = if has_simple_requests { simple_headers() } else { headers() };
        Self { url, dsn: Some(dsn.to_string()), headers, ..self }
    }

    fn spotlight(url: &str) -> Option<Self> {
        Some(Self { url: http_url(url)?, dsn: None, headers: headers(), otlp: None })
    }

    pub(crate) const fn url(&self) -> &Uri {
        &self.url
    }

    /// The DSN that the headers of its envelopes name.
    pub(super) fn dsn(&self) -> Option<&str> {
        self.dsn.as_deref()
    }

    /// The server's host, with its port if the URL has one.
    pub(crate) fn host(&self) -> String {
        self.url.authority().map(ToString::to_string).unwrap_or_default()
    }

    /// The request that sends the body of an envelope.
    pub(super) fn request(&self, body: Body) -> Request<Bytes> {
        post(&self.url, &self.headers, body)
    }

    /// The request that sends the body of one of an OTLP exporter. `None` if they cannot be sent here.
    pub(super) fn otlp_request(&self, form: OtlpForm, body: Body) -> Option<Request<Bytes>> {
        let endpoints = self.otlp.as_ref()?;
        let url = match form.signal {
            OtlpSignal::Traces => &endpoints.traces,
            OtlpSignal::Logs => &endpoints.logs,
        };
        let mut request = post(url, &endpoints.headers, body);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        Some(request)
    }
}

fn post(url: &Uri, headers: &HeaderMap, body: Body) -> Request<Bytes> {
    let mut request = Request::new(body.bytes);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.clone();
    *request.headers_mut() = headers.clone();
    if let Some(encoding) = body.encoding {
        request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    request
}

/// The headers that all destinations get.
fn headers() -> HeaderMap {
    let client = HeaderValue::from_str(&format!("{SDK_NAME}/{SDK_VERSION}")).ok();
    let mut headers: HeaderMap = client.into_iter().map(|client| (USER_AGENT, client)).collect();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope"));
    headers
}

/// The headers of requests that a browser sends without asking the server before.
fn simple_headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"))])
}

/// `None` if it is not an absolute URL with the scheme `http` or `https`.
fn http_url(url: &str) -> Option<Uri> {
    let url: Uri = url.trim().parse().ok()?;
    let is_http = url.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
    let has_host = url.host().is_some_and(|host| !host.is_empty());
    (is_http && has_host).then_some(url)
}

/// An invalid URL as an error may show it: a user name and a query can be secret.
fn without_secrets(url: &str) -> String {
    if url.contains(['@', '?', '#']) { "***".to_owned() } else { url.to_owned() }
}
