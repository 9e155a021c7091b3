//! The built-in HTTP client.

use std::{error::Error, fmt, sync::Arc};

use opentelemetry_http::HttpClient;
use opentelemetry_sentry_protocol::Dsn;

/// Makes the client that the crate's features bring along.
#[cfg(feature = "reqwest-client")]
pub(crate) fn default_client(dsn: Option<&Dsn>) -> Result<Arc<dyn HttpClient>, ClientError> {
    if dsn.is_some_and(Dsn::is_https) && !cfg!(feature = "reqwest-rustls") {
        return Err(ClientError::new(
            "an https DSN needs TLS: enable the feature `reqwest-rustls`, or set a client with `with_http_client`",
        ));
    }
    let mut client = reqwest::Client::builder()
        .connect_timeout(std::time::Duration::from_secs(5))
        // Another host is another recipient: it must not get what was meant for Sentry.
        .redirect(reqwest::redirect::Policy::none());
    // No proxy can reach what listens on this machine alone.
    if dsn.is_none_or(|dsn| is_loopback(dsn.host())) {
        client = client.no_proxy();
    }
    let failed = |source| ClientError {
        source: Some(Box::new(source)),
        ..ClientError::new("the HTTP client could not be built")
    };
    Ok(Arc::new(client.build().map_err(failed)?))
}

#[cfg(feature = "reqwest-client")]
fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// Without a client there is none to make.
#[cfg(not(feature = "reqwest-client"))]
pub(crate) fn default_client(_dsn: Option<&Dsn>) -> Result<Arc<dyn HttpClient>, ClientError> {
    Err(ClientError::new(
        "there is no HTTP client: enable the feature `reqwest-rustls`, or set one with `with_http_client`",
    ))
}

/// There is no HTTP client.
#[derive(Debug)]
pub(crate) struct ClientError {
    message: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ClientError {
    const fn new(message: &'static str) -> Self {
        Self { message, source: None }
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
