//! The built-in HTTP client.

use std::{error::Error, fmt, sync::Arc};

use opentelemetry_http::HttpClient;

/// Makes the client that the crate's features bring along.
#[cfg(feature = "reqwest-client")]
pub(crate) fn default_client(needs_tls: bool) -> Result<Arc<dyn HttpClient>, ClientError> {
    if needs_tls && !cfg!(feature = "reqwest-rustls") {
        return Err(ClientError::new(
            "an https DSN needs TLS: enable the feature `reqwest-rustls`, or set a client with `with_http_client`",
        ));
    }
    let client = reqwest::Client::builder()
        .connect_timeout(std::time::Duration::from_secs(5))
        // Another host is another recipient: it must not get what was meant for Sentry.
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let failed = |source| ClientError {
        source: Some(Box::new(source)),
        ..ClientError::new("the HTTP client could not be built")
    };
    Ok(Arc::new(client.map_err(failed)?))
}

/// Without a client there is none to make.
#[cfg(not(feature = "reqwest-client"))]
pub(crate) fn default_client(_needs_tls: bool) -> Result<Arc<dyn HttpClient>, ClientError> {
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
