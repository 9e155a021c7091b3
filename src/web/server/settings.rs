//! What a `ServerLayer` was asked to do.

use http::{HeaderName, Method, header, request::Parts};

#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// Paths without a span; one that ends in `*` stands for all that begin with it.
    pub(super) untraced: Vec<String>,
    pub(super) request_headers: Vec<HeaderName>,
    pub(super) response_headers: Vec<HeaderName>,
    /// How many proxies are in front of the server, if the client's address is recorded.
    pub(super) client_behind: Option<usize>,
    pub(super) server_timing: bool,
}

impl Settings {
    /// Whether a request gets a span.
    pub(super) fn traces(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        let is_untraced = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == pattern,
        };
        !is_preflight(head) && !self.untraced.iter().any(is_untraced)
    }
}

/// Whether a browser only asks what it may send. It sends no trace headers with such a request, so that its span would
/// begin a trace for nothing.
fn is_preflight(head: &Parts) -> bool {
    let has = |name| head.headers.contains_key(name);
    head.method == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}
