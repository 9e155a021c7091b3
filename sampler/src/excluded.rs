//! Requests that are never sampled: those to Sentry itself.

use opentelemetry_sentry_semantics::{has_host, host_of_url};

/// The target of requests that are never sampled.
#[derive(Clone, Debug)]
pub(crate) struct Excluded {
    /// As `host:port`.
    host: String,
    /// `None` for every path of the host. A tunnel may be a path of a host that is otherwise traced.
    path: Option<String>,
}

impl Excluded {
    /// All requests to the host of this URL; `None` if it has none.
    pub(crate) fn host_of(url: &str) -> Option<Self> {
        Some(Self { host: host_of_url(url)?, path: None })
    }

    /// Requests to this URL, whatever their query is.
    pub(crate) fn url(url: &str) -> Option<Self> {
        Some(Self { host: host_of_url(url)?, path: Some(path(url)?.to_owned()) })
    }

    pub(crate) fn contains(&self, url: &str) -> bool {
        has_host(url, &self.host) && self.path.as_ref().is_none_or(|own| path(url) == Some(own))
    }
}

/// The path of an absolute URL, without slashes at its end.
fn path(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    Some(rest[rest.find('/').unwrap_or(rest.len())..].trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_excluded_with_its_path_and_a_host_with_all_of_them() {
        let tunnel = Excluded::url("https://Shop.example.com/tunnel/").unwrap();
        for (url, is_excluded) in [
            ("https://shop.example.com/tunnel", true),
            ("https://shop.example.com:443/tunnel/?o=1#x", true),
            ("https://user@shop.example.com/tunnel", true),
            ("https://shop.example.com/tunnels", false),
            ("https://shop.example.com/tunnel/1", false),
            ("https://shop.example.com", false),
            ("http://shop.example.com/tunnel", false),
            ("https://example.com/tunnel", false),
            ("/tunnel", false),
        ] {
            assert_eq!(tunnel.contains(url), is_excluded, "{url}");
            let host = Excluded::host_of("https://shop.example.com/tunnel").unwrap();
            assert_eq!(host.contains(url), url.contains("shop.example.com") && url.starts_with("https"), "{url}");
        }
        assert!(Excluded::url("/tunnel").is_none());
        assert!(Excluded::url("http://[::1]:9000").unwrap().contains("http://[::1]:9000/"));
    }
}
