//! Takes the place of the HTTP client where no feature provides one, and on targets without sockets.

use std::{error::Error, fmt, sync::Arc};

use http::Uri;
use opentelemetry_http::HttpClient;

/// The settings of the client that there is elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientSettings {
    pub(crate) root_certificates: Vec<Vec<u8>>,
}

impl ClientSettings {
    pub(crate) fn without_http2() -> Self {
        Self::default()
    }
}

/// Fails: there is no client.
pub(crate) fn default_client(_: Option<&Uri>, _: &ClientSettings) -> Result<Arc<dyn HttpClient>, ClientError> {
    Err(ClientError)
}

/// There is no HTTP client.
#[derive(Debug)]
pub(crate) struct ClientError;

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if cfg!(target_family = "wasm") {
            "this target has no threads and no built-in HTTP client: use `build_driven`"
        } else {
            "there is no HTTP client: enable the feature `reqwest-rustls`, or set one with `with_http_client`"
        })
    }
}

impl Error for ClientError {}
