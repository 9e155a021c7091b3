//! Name and attributes of a request, by OpenTelemetry's conventions for HTTP servers.

use http::{HeaderMap, HeaderName, Version, header, request::Parts, uri::Authority};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sentry_semantics::semconv;

use super::{address, settings::Settings};
use crate::web::method;

const BODY_SIZE: &str = "http.request.body.size";
const CLIENT_ADDRESS: &str = "client.address";
const PROTOCOL_NAME: &str = "network.protocol.name";
const PROTOCOL_VERSION: &str = "network.protocol.version";

/// The most bytes of a captured header and of the user agent. Hyper allows headers of 400 KiB, and Relay cuts long
/// values anyway.
const MAX_HEADER: usize = 2048;

/// What is known of a request when its span starts.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) path: String,
    /// All attributes except the path.
    pub(super) attributes: Vec<KeyValue>,
}

impl Described {
    pub(super) fn of(head: &Parts, settings: &Settings) -> Self {
        let route = route(head);
        let name = method::name(&head.method);
        let name = route.as_ref().map_or_else(|| name.to_owned(), |route| format!("{name} {route}"));
        let proxies = settings.client_behind.unwrap_or_default();
        let scheme = match head.uri.scheme_str() {
            Some(scheme) if proxies == 0 => scheme,
            scheme => address::forwarded_scheme(&head.headers, proxies).or(scheme).unwrap_or("http"),
        };
        let mut attributes: Vec<_> = method::attributes(&head.method).collect();
        let mut add = |key: &'static str, value: Option<Value>| {
            attributes.extend(value.map(|value| KeyValue::new(key, value)));
        };
        add(semconv::HTTP_ROUTE, route.map(Into::into));
        add(semconv::URL_SCHEME, Some(scheme.to_owned().into()));
        add(semconv::URL_QUERY, head.uri.query().map(|query| query.to_owned().into()));
        if let Some(authority) = authority(head) {
            let host = authority.host().trim_matches(['[', ']']).to_owned();
            let port = authority.port_u16().or(if scheme == "https" { Some(443) } else { Some(80) });
            add(semconv::SERVER_ADDRESS, Some(host.into()));
            add(semconv::SERVER_PORT, port.map(|port| i64::from(port).into()));
        }
        let client = settings.client_behind.and_then(|proxies| address::client(head, proxies));
        add(CLIENT_ADDRESS, client.map(|address| address.to_string().into()));
        let agent = head.headers.get(header::USER_AGENT).and_then(|agent| text(agent.as_bytes()));
        add(semconv::USER_AGENT_ORIGINAL, agent.map(Into::into));
        add(PROTOCOL_NAME, Some("http".into()));
        add(PROTOCOL_VERSION, version(head.version).map(Into::into));
        let length = content_length(&head.headers).and_then(|length| i64::try_from(length).ok());
        add(BODY_SIZE, length.map(Into::into));
        attributes.extend(captured(&head.headers, &settings.request_headers, semconv::HTTP_REQUEST_HEADER));
        Self { name, path: head.uri.path().to_owned(), attributes }
    }
}

/// The headers on an allow list, as attributes with the values of all lines. Values that are marked as sensitive are
/// left out.
pub(super) fn captured(
    headers: &HeaderMap,
    allowed: &[HeaderName],
    prefix: &'static str,
) -> impl Iterator<Item = KeyValue> {
    allowed.iter().filter_map(move |name| {
        let lines = headers.get_all(name).iter().filter(|line| !line.is_sensitive());
        let texts: Vec<StringValue> = lines.filter_map(|line| text(line.as_bytes())).map(Into::into).collect();
        (!texts.is_empty()).then(|| KeyValue::new(format!("{prefix}{name}"), Value::Array(Array::String(texts))))
    })
}

/// The length of a body, as its header says.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The text of a header, at most as many bytes as are kept.
fn text(value: &[u8]) -> Option<String> {
    let kept = value.get(..MAX_HEADER).unwrap_or(value);
    (!kept.is_empty()).then(|| String::from_utf8_lossy(kept).into_owned())
}

/// Where the client thinks that it connects to: the authority of HTTP/2, or the header `Host`.
fn authority(head: &Parts) -> Option<Authority> {
    let host = || head.headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    head.uri.authority().cloned().or_else(host)
}

const fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// The route that matched, which axum knows in layers that were added after it.
#[cfg(feature = "axum-08")]
fn route(head: &Parts) -> Option<String> {
    head.extensions.get::<axum::extract::MatchedPath>().map(|path| path.as_str().to_owned())
}

#[cfg(not(feature = "axum-08"))]
const fn route(_: &Parts) -> Option<String> {
    None
}
