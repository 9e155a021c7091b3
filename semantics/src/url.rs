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
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    // The colons of an IPv6 address are inside its brackets.
    let has_port = host.rsplit(']').next()?.contains(':');
    let port = if scheme.eq_ignore_ascii_case("http") { 80 } else { 443 };
    Some(if has_port { host } else { format!("{host}:{port}") })
}
