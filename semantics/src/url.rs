//! URLs without user info, query and fragment.

use std::borrow::Cow;

/// Replaces user info, as in Sentry's SDKs.
pub(crate) const FILTERED_USER: &str = "[filtered]:[filtered]@";

/// A URL with its user info filtered, and without port 80 or 443, query and fragment.
///
/// A text without `://` is treated as a path.
///
/// ```
/// use opentelemetry_sentry_semantics::sanitize_url;
///
/// assert_eq!(sanitize_url("https://user:pw@h.io:443/a?x#y"), "https://[filtered]:[filtered]@h.io/a");
/// assert_eq!(sanitize_url("/a/b?c"), "/a/b");
/// ```
#[must_use]
pub fn sanitize_url(url: &str) -> Cow<'_, str> {
    let url = &url[..url.bytes().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(url.len())];
    let Some((scheme, rest)) = url.split_once("://") else {
        return Cow::Borrowed(url.strip_prefix("//").unwrap_or(url));
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let bare = host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(host);
    if user.is_none() && bare == host {
        return Cow::Borrowed(url);
    }
    let user = if user.is_some() { FILTERED_USER } else { "" };
    Cow::Owned(format!("{scheme}://{user}{bare}{path}"))
}

/// The host and port of an absolute URL, in lower case. A missing port is the default of the scheme.
///
/// ```
/// use opentelemetry_sentry_semantics::host_of_url;
///
/// assert_eq!(host_of_url("https://user@H.io/a?b").as_deref(), Some("h.io:443"));
/// assert_eq!(host_of_url("http://[::1]:9000").as_deref(), Some("[::1]:9000"));
/// assert_eq!(host_of_url("/relative"), None);
/// ```
#[must_use]
pub fn host_of_url(url: &str) -> Option<String> {
    let (host, port) = authority(url)?;
    Some(host.to_ascii_lowercase() + port)
}

/// Whether a URL has this host and port, which come from [`host_of_url`]. It allocates nothing.
///
/// ```
/// use opentelemetry_sentry_semantics::has_host;
///
/// assert!(has_host("https://user@H.io/a?b", "h.io:443"));
/// assert!(!has_host("http://h.io/", "h.io:443"));
/// ```
#[must_use]
pub fn has_host(url: &str, host: &str) -> bool {
    let is_host =
        |(name, port): (&str, &str)| host.strip_suffix(port).is_some_and(|host| host.eq_ignore_ascii_case(name));
    authority(url).is_some_and(is_host)
}

/// The host of an absolute URL as it is written, with its port; and the default port of its scheme, if it names none.
fn authority(url: &str) -> Option<(&str, &'static str)> {
    let (scheme, rest) = split_scheme(url)?;
    let (mut start, mut end, mut has_port) = (0, rest.len(), false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'/' | b'?' | b'#' => {
                end = at;
                break;
            }
            // What came before was user info.
            b'@' => (start, has_port) = (at + 1, false),
            // The colons of an IPv6 address are inside its brackets.
            b']' => has_port = false,
            b':' => has_port = true,
            _ => {}
        }
    }
    let port = if scheme.eq_ignore_ascii_case("http") { ":80" } else { ":443" };
    Some((&rest[start..end], if has_port { "" } else { port }))
}

/// Splits at the first `://`. In most URLs that is the first colon, which is found faster than a text.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_at(url.bytes().position(|byte| byte == b':')?);
    rest.strip_prefix("://").map(|rest| (scheme, rest)).or_else(|| url.split_once("://"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same as [`authority`], part by part.
    fn split(url: &str) -> Option<(&str, &'static str)> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let has_port = host.rsplit(']').next()?.contains(':');
        let port = if scheme.eq_ignore_ascii_case("http") { ":80" } else { ":443" };
        Some((host, if has_port { "" } else { port }))
    }

    proptest! {
        #[test]
        fn one_pass_finds_what_splitting_finds(url in "((?i)http|.{0,2})(:|/){0,3}.{0,3}([]\\[:@a/?#]){0,12}.{0,3}") {
            prop_assert_eq!(authority(&url), split(&url));
        }

        #[test]
        fn the_scheme_ends_at_the_first_mark(url in "[a:/]{0,12}") {
            prop_assert_eq!(split_scheme(&url), url.split_once("://"));
        }

        #[test]
        fn a_url_has_the_host_that_is_read_from_it_and_no_other(
            url in "(http|HTTPS|ws)?(://)?(u[@:]){0,2}([hH]\\.io|\\[::1\\])(:[0-9]{0,3})?([/?#].{0,5})?",
            other in "(h\\.io|\\[::1\\])?(:(80|443))?",
        ) {
            let host = host_of_url(&url);
            prop_assert_eq!(host.as_ref().map(|host| has_host(&url, host)), host.as_ref().map(|_| true));
            prop_assert_eq!(has_host(&url, &other), host.is_some_and(|host| host == other));
        }
    }
}
