//! The built-in HTTP client.

use std::{error::Error, fmt, sync::Arc};

use http::Uri;
use opentelemetry_http::HttpClient;

/// The settings of the built-in client.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientSettings {
    /// Certificates in PEM that are trusted in addition to the system's.
    pub(crate) root_certificates: Vec<Vec<u8>>,
    /// Disables HTTP/2. For each connection `h2` creates a `tracing` span without a parent, which the suppression of
    /// telemetry does not reach.
    http1_only: bool,
}

impl ClientSettings {
    /// For a client whose connections must not become spans.
    pub(crate) fn without_http2() -> Self {
        Self { http1_only: true, ..Self::default() }
    }
}

/// Builds the client that the crate's features provide.
///
/// `server` is the URL to which envelopes go; `None` if only a Spotlight gets them.
pub(crate) fn default_client(
    server: Option<&Uri>,
    settings: &ClientSettings,
) -> Result<Arc<dyn HttpClient>, ClientError> {
    let is_https = server.is_some_and(|url| url.scheme_str() == Some("https"));
    if is_https && !cfg!(feature = "reqwest-rustls") {
        return Err(ClientError::new(
            "an https URL needs TLS: enable the feature `reqwest-rustls`, or set a client with `with_http_client`",
        ));
    }
    let mut client = reqwest::Client::builder()
        .connect_timeout(std::time::Duration::from_secs(5))
        // A redirect may lead to another host, which must not receive the application's data.
        .redirect(reqwest::redirect::Policy::none());
    // No proxy can reach what listens on this machine only. The client itself does not read ports in `NO_PROXY`.
    let no_proxy = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default();
    let port = |url: &Uri| url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let is_near = |url: &Uri| {
        let host = url.host().unwrap_or_default();
        is_loopback(host) || is_listed_with_port(&no_proxy, host, port(url))
    };
    if server.is_none_or(is_near) {
        client = client.no_proxy();
    }
    if settings.http1_only {
        client = client.http1_only();
    }
    client = trusting(client, &settings.root_certificates)?;
    let failed = |source| ClientError::because("the HTTP client could not be built", source);
    Ok(Arc::new(reqwest_client::ReqwestClient::new(client.build().map_err(failed)?)))
}

#[cfg(feature = "reqwest-rustls")]
fn trusting(client: reqwest::ClientBuilder, certificates: &[Vec<u8>]) -> Result<reqwest::ClientBuilder, ClientError> {
    let failed =
        |source| ClientError::because("with_root_certificate: the value contains no certificate in PEM", source);
    certificates.iter().try_fold(client, |client, pem| {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(failed)?;
        if certificates.is_empty() {
            return Err(ClientError::new("with_root_certificate: the value contains no certificate in PEM"));
        }
        Ok(certificates.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate))
    })
}

#[cfg(not(feature = "reqwest-rustls"))]
fn trusting(client: reqwest::ClientBuilder, certificates: &[Vec<u8>]) -> Result<reqwest::ClientBuilder, ClientError> {
    if certificates.is_empty() {
        return Ok(client);
    }
    Err(ClientError::new("with_root_certificate needs TLS: enable the feature `reqwest-rustls`"))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// Whether a list such as `example.com:443,.internal:8080` names this host with this port.
fn is_listed_with_port(list: &str, host: &str, port: u16) -> bool {
    let names = |entry: &str| {
        let Some((name, number)) = entry.trim().rsplit_once(':') else { return false };
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let name = name.trim_matches(['[', ']']).to_ascii_lowercase();
        let domain = name.trim_start_matches("*.").trim_start_matches('.');
        let is_below = host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        number.parse() == Ok(port) && !domain.is_empty() && is_below
    };
    list.split(',').any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_excluded_from_the_proxy_with_their_port() {
        for (list, host, port, expected) in [
            ("sentry.example.com:443", "sentry.example.com", 443, true),
            ("a, SENTRY.example.com:443 ,b", "sentry.example.com", 443, true),
            ("sentry.example.com:8443", "sentry.example.com", 443, false),
            (".example.com:443", "sentry.example.com", 443, true),
            ("*.example.com:443", "sentry.example.com", 443, true),
            ("example.com:443", "notexample.com", 443, false),
            ("[fd00::1]:443", "[fd00::1]", 443, true),
            ("sentry.example.com", "sentry.example.com", 443, false),
            (":443", "sentry.example.com", 443, false),
            ("sentry.example.com:x", "sentry.example.com", 443, false),
            ("", "sentry.example.com", 443, false),
        ] {
            assert_eq!(is_listed_with_port(list, host, port), expected, "{list} {host}:{port}");
        }
    }
}

mod reqwest_client {
    use std::{
        pin::Pin,
        sync::{Mutex, PoisonError},
        time::Duration,
    };

    use http::{Uri, request::Parts};
    use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
    use reqwest::Url;
    use tokio::time::timeout;

    /// The most bytes that are read of an answer's body. The exporter does not use it; the tunnel passes it back.
    const MAX_BODY: usize = 64 << 10;

    /// How long the client waits for the body of an answer. If it takes longer, the connection is closed.
    const BODY_TIMEOUT: Duration = Duration::from_millis(500);

    /// `reqwest` as an HTTP client. The status and the headers of an answer count, even if its body is cut off or never
    /// ends.
    #[derive(Debug)]
    pub(super) struct ReqwestClient {
        client: reqwest::Client,
        /// The URL of the last request, parsed. Nearly all requests have the same.
        last: Mutex<Option<(Uri, Url)>>,
    }

    impl ReqwestClient {
        pub(super) const fn new(client: reqwest::Client) -> Self {
            Self { client, last: Mutex::new(None) }
        }

        fn url(&self, uri: Uri) -> Result<Url, HttpError> {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            match &*last {
                Some((known, url)) if *known == uri => Ok(url.clone()),
                _ => {
                    let url: Url = uri.to_string().parse()?;
                    *last = Some((uri, url.clone()));
                    Ok(url)
                }
            }
        }

        fn request(&self, request: Request<Bytes>) -> Result<reqwest::Request, HttpError> {
            let (Parts { method, uri, headers, .. }, body) = request.into_parts();
            let mut request = reqwest::Request::new(method, self.url(uri)?);
            *request.headers_mut() = headers;
            *request.body_mut() = Some(body.into());
            Ok(request)
        }

        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
            // Errors are logged, and the URL of a self-hosted Sentry may be confidential.
            let mut answer = self.client.execute(self.request(request)?).await.map_err(reqwest::Error::without_url)?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                *headers = answer.headers().clone();
            }
            // A connection can be reused only if the body was read to its end. A failure costs the connection.
            let body = timeout(BODY_TIMEOUT, read_body(&mut answer)).await.ok().flatten();
            Ok(response.body(body.unwrap_or_default())?)
        }
    }

    /// The body; `None` if it is cut off or too long.
    async fn read_body(answer: &mut reqwest::Response) -> Option<Bytes> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.ok()? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                return None;
            }
        }
        Some(body.into())
    }

    impl HttpClient for ReqwestClient {
        fn send_bytes<'a, 'b>(
            &'a self,
            request: Request<Bytes>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(self.send(request))
        }
    }
}

/// No HTTP client can be built.
#[derive(Debug)]
pub(crate) struct ClientError {
    message: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ClientError {
    const fn new(message: &'static str) -> Self {
        Self { message, source: None }
    }

    fn because(message: &'static str, source: reqwest::Error) -> Self {
        Self { message, source: Some(Box::new(source)) }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_deref()?)
    }
}
