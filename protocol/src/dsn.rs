//! The DSN: the address of a Sentry project and the key to send with.

use std::{error::Error, fmt, net::Ipv6Addr, str::FromStr};

/// A [DSN]: the address and key of a Sentry project.
///
/// ```text
/// dsn = scheme "://" public-key [ ":" secret ] "@" host [ ":" port ] [ "/" path ] "/" project-id
/// ```
///
/// It always has a public key and a numeric project id. A query, a fragment and a slash at the end are ignored.
/// `Display` and `Debug` do not show the secret.
///
/// ```
/// use opentelemetry_sentry_protocol::Dsn;
///
/// let dsn: Dsn = "https://public@o123.ingest.us.sentry.io/456".parse()?;
/// assert_eq!(dsn.envelope_url(), "https://o123.ingest.us.sentry.io/api/456/envelope/");
/// assert_eq!(dsn.org_id(), Some(123));
/// # Ok::<(), opentelemetry_sentry_protocol::InvalidDsn>(())
/// ```
///
/// [DSN]: https://develop.sentry.dev/sdk/foundations/client/dsn/
#[derive(Clone, PartialEq, Eq)]
pub struct Dsn {
    scheme: Scheme,
    public_key: String,
    secret_key: Option<String>,
    /// As in a URL, with an IPv6 address in brackets.
    host: String,
    port: Option<u16>,
    /// Empty, or with a slash at the beginning and none at the end.
    path: String,
    project_id: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Dsn {
    /// Parses the DSN of a setting: `None` if the text is empty or blank, which means "send nowhere".
    ///
    /// # Errors
    ///
    /// If any other text is not a DSN.
    #[doc(hidden)] // for the builders of the sibling crates
    pub fn parse_setting(text: &str) -> Result<Option<Self>, InvalidDsn> {
        if text.trim().is_empty() { Ok(None) } else { text.parse().map(Some) }
    }

    /// The key that identifies the sender. It is not a secret.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The secret key, which only DSNs of old projects have.
    #[must_use]
    pub fn secret_key(&self) -> Option<&str> {
        self.secret_key.as_deref()
    }

    /// The id of the project.
    #[must_use]
    pub const fn project_id(&self) -> u64 {
        self.project_id
    }

    /// The host without the port, with an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; if the DSN does not name one, the default of its scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// The id of the organisation, if the host contains it (`o123.…`).
    #[must_use]
    pub fn org_id(&self) -> Option<u64> {
        org_id_of_host(&self.host)
    }

    /// Whether both DSNs name the same project and the same key. The case of the host is ignored, a missing port equals
    /// the default of the scheme, and a secret that only one of them has is ignored.
    ///
    /// ```
    /// use opentelemetry_sentry_protocol::Dsn;
    ///
    /// let dsn: Dsn = "https://public@sentry.example.com/1".parse()?;
    /// assert!(dsn.is_same_project(&"https://public@Sentry.Example.com:443/1".parse()?));
    /// assert!(!dsn.is_same_project(&"https://public@sentry.example.com/2".parse()?));
    /// # Ok::<(), opentelemetry_sentry_protocol::InvalidDsn>(())
    /// ```
    #[must_use]
    pub fn is_same_project(&self, other: &Self) -> bool {
        let place = |dsn: &Self| (dsn.scheme, dsn.port(), dsn.project_id);
        let secrets_agree =
            self.secret_key == other.secret_key || [self, other].iter().any(|dsn| dsn.secret_key.is_none());
        place(self) == place(other)
            && self.host.eq_ignore_ascii_case(&other.host)
            && self.path == other.path
            && self.public_key == other.public_key
            && secrets_agree
    }

    /// The URL to which envelopes are sent.
    #[must_use]
    pub fn envelope_url(&self) -> String {
        format!("{}envelope/", self.api_url())
    }

    /// The URL to which traces are sent by OTLP, for `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    ///
    /// ```
    /// use opentelemetry_sentry_protocol::Dsn;
    ///
    /// let dsn: Dsn = "https://public@o123.ingest.us.sentry.io/456".parse()?;
    /// assert_eq!(dsn.otlp_traces_url(), "https://o123.ingest.us.sentry.io/api/456/integration/otlp/v1/traces/");
    /// assert_eq!(dsn.otlp_headers(), "x-sentry-auth=sentry sentry_key=public");
    /// # Ok::<(), opentelemetry_sentry_protocol::InvalidDsn>(())
    /// ```
    #[must_use]
    pub fn otlp_traces_url(&self) -> String {
        format!("{}integration/otlp/v1/traces/", self.api_url())
    }

    /// The URL to which logs are sent by OTLP, for `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`.
    #[must_use]
    pub fn otlp_logs_url(&self) -> String {
        format!("{}integration/otlp/v1/logs/", self.api_url())
    }

    /// The header with the key, in the form of `OTEL_EXPORTER_OTLP_HEADERS`: `name=value`.
    ///
    /// Exporters split that variable at commas and decode `%`, so the value has neither. A public key consists of letters,
    /// digits, `-` and `_`.
    #[must_use]
    pub fn otlp_headers(&self) -> String {
        format!("x-sentry-auth=sentry sentry_key={}", self.public_key)
    }

    fn api_url(&self) -> String {
        format!("{}{}/api/{}/", self.origin(), self.path, self.project_id)
    }

    fn origin(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", self.scheme, self.host)
    }
}

impl FromStr for Dsn {
    type Err = InvalidDsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text.trim()).map_err(|part| InvalidDsn { part, found: redacted(text) })
    }
}

fn parse(text: &str) -> Result<Dsn, Part> {
    if text.is_empty() {
        return Err(Part::Empty);
    }
    let (scheme, rest) = text.split_once("://").ok_or(Part::Url)?;
    let scheme = Scheme::from_name(scheme).ok_or(Part::Scheme)?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (keys, address) = authority.rsplit_once('@').ok_or(Part::NoPublicKey)?;
    let (public_key, secret_key) = keys.split_once(':').unwrap_or((keys, ""));
    let (host, port) = split_port(address)?;
    let path = path.trim_end_matches('/');
    let (path, project_id) = path.rsplit_once('/').map_or(("", path), |(path, id)| (path, id));
    if public_key.is_empty() {
        return Err(Part::NoPublicKey);
    }
    if !public_key.bytes().all(is_key) {
        return Err(Part::PublicKey);
    }
    let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !graphic(secret_key) {
        return Err(Part::SecretKey);
    }
    if !is_host(host) {
        return Err(Part::Host);
    }
    if !path.bytes().all(is_path) {
        return Err(Part::Path);
    }
    Ok(Dsn {
        scheme,
        public_key: public_key.to_owned(),
        secret_key: Some(secret_key.to_owned()).filter(|secret| !secret.is_empty()),
        host: host.to_owned(),
        port,
        path: if path.is_empty() { String::new() } else { format!("/{path}") },
        project_id: number(project_id).ok_or(Part::ProjectId)?,
    })
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let Self { scheme, public_key, host, path, project_id, .. } = self;
        write!(f, "{scheme}://{public_key}@{host}{port}{path}/{project_id}")
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dsn({self})")
    }
}

impl Scheme {
    fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// The text was not a DSN. The message names the part, what was expected and the text without its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidDsn {
    part: Part,
    found: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Empty,
    Url,
    Scheme,
    NoPublicKey,
    PublicKey,
    SecretKey,
    Host,
    Port,
    Path,
    ProjectId,
}

impl fmt::Display for InvalidDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self.part {
            Part::Empty => "a DSN must not be empty",
            Part::Url => "not a URL: a DSN must be scheme://public_key@host/project_id",
            Part::Scheme => "the scheme of a DSN must be http or https",
            Part::NoPublicKey => "the public key of a DSN is missing: it must be scheme://public_key@host/project_id",
            Part::PublicKey => "the public key of a DSN must be letters, digits, - and _",
            Part::SecretKey => "the secret key of a DSN must be visible ASCII",
            Part::Host => "the host of a DSN must be a host name or an address",
            Part::Port => "the port of a DSN must be a number from 1 to 65535",
            Part::Path => "the path of a DSN must consist of characters that a URL's path may have",
            Part::ProjectId => "the project id at the end of a DSN must be a number",
        };
        write!(f, "{expected}, found {:?}", self.found)
    }
}

crate::__shared::debug_as_message!(InvalidDsn);

impl Error for InvalidDsn {}

/// The id of the organisation in a host such as `o123.ingest.sentry.io`.
///
/// ```
/// use opentelemetry_sentry_protocol::org_id_of_host;
///
/// assert_eq!(org_id_of_host("o123.ingest.us.sentry.io"), Some(123));
/// assert_eq!(org_id_of_host("sentry.example.com"), None);
/// ```
#[must_use]
pub fn org_id_of_host(host: &str) -> Option<u64> {
    let (first, _) = host.split_once('.')?;
    number(first.strip_prefix('o')?)
}

fn split_port(address: &str) -> Result<(&str, Option<u16>), Part> {
    // The colons of an IPv6 address are inside its brackets.
    let end = if address.starts_with('[') { address.find(']').ok_or(Part::Host)? } else { 0 };
    let Some(colon) = address[end..].find(':') else { return Ok((address, None)) };
    let (host, port) = address.split_at(end + colon);
    let port = number(&port[1..]).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    Ok((host, Some(port.ok_or(Part::Port)?)))
}

/// A number of digits only; `parse` alone would also accept a sign.
pub(crate) fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

/// Whether it is a name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    }
}

/// An invalid DSN as an error may show it: without any part that could be a mistyped secret.
fn redacted(text: &str) -> String {
    const HIDDEN: &str = "***";
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| scheme.bytes().all(is_key)) else {
        return if text.is_empty() { String::new() } else { HIDDEN.to_owned() };
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let Some((keys, host)) = authority.rsplit_once('@').filter(|_| !path.contains('@')) else {
        // The keys may stand where the host should be, so nothing after the scheme is shown.
        return format!("{scheme}://{HIDDEN}");
    };
    match keys.split_once(':') {
        Some((public, _)) if public.bytes().all(is_key) => format!("{scheme}://{public}:{HIDDEN}@{host}{path}"),
        None if keys.bytes().all(is_key) => format!("{scheme}://{keys}@{host}{path}"),
        _ => format!("{scheme}://{HIDDEN}@{host}{path}"),
    }
}
