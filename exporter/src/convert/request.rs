//! The request that a transaction answers, and its response. The rules are in the guide, page `mapping`, section
//! "Request and response".

use std::{borrow::Cow, collections::BTreeMap};

use opentelemetry::{KeyValue, trace::SpanKind};
use opentelemetry_sentry_semantics::{Attributes, sanitize_url, semconv};
use serde::Serialize;

use super::{data::is_removed, status::http_status, value::text_of, view::Span};

/// The longest scheme that counts as one. A longer one would leave no room for the rest of the URL.
const MAX_SCHEME: usize = 16;

/// The most bytes of headers. The attributes contain all of them anyway.
const MAX_HEADERS: usize = 8 << 10;

/// The longest URL that Sentry keeps, in characters.
const MAX_URL: usize = 256;

/// Sentry's `request`.
#[derive(Debug, Serialize)]
pub(crate) struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_string: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, Cow<'a, str>>,
}

/// The `response` context.
#[derive(Debug, Serialize)]
pub(crate) struct Response<'a> {
    status_code: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_size: Option<i64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// The request that a server's span answers, if its whole URL is known. Sentry does not show a path alone.
    pub(crate) fn of(span: Span<'a>) -> Option<Self> {
        if span.data.span_kind != SpanKind::Server {
            return None;
        }
        let attributes = span.attributes;
        let url = url(attributes)?;
        let query = attributes.text(semconv::URL_QUERY).or_else(|| query(attributes));
        let mut headers = headers(&span.data.attributes, semconv::HTTP_REQUEST_HEADER);
        let agent = attributes.first_text([semconv::USER_AGENT_ORIGINAL, semconv::HTTP_USER_AGENT]);
        if let Some(agent) = headers.remove("user-agent").or(agent) {
            headers.insert("User-Agent", agent);
        }
        let method = attributes.first_text([semconv::HTTP_REQUEST_METHOD, semconv::HTTP_METHOD]);
        let is_method = |method: &Cow<'_, str>| {
            (3..=32).contains(&method.len())
                && method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-' || b == b'_')
        };
        let query_string = query.map(|query| Cow::Owned(query.trim_start_matches('?').to_owned()));
        Some(Self { method: method.filter(is_method), url: kept(&url).to_owned(), query_string, headers })
    }
}

impl<'a> Response<'a> {
    /// The response to a span's request, if its status is known.
    pub(crate) fn of(span: Span<'a>) -> Option<Self> {
        let attributes = span.attributes;
        let status_code = http_status(attributes).filter(|code| (100..600).contains(code))?;
        let sizes = [semconv::HTTP_RESPONSE_BODY_SIZE, semconv::HTTP_RESPONSE_CONTENT_LENGTH];
        let body_size = sizes.into_iter().find_map(|key| attributes.integer(key)).filter(|size| *size >= 0);
        Some(Self { status_code, body_size, headers: headers(&span.data.attributes, semconv::HTTP_RESPONSE_HEADER) })
    }
}

/// The whole URL of a request without its query, from one attribute or from its parts.
fn url(attributes: Attributes<'_>) -> Option<String> {
    let whole = attributes.first_text([semconv::URL_FULL, semconv::HTTP_URL]).filter(|url| is_whole(url));
    if let Some(whole) = whole {
        return Some(sanitize_url(&whole).into_owned());
    }
    let scheme = attributes.first_text([semconv::URL_SCHEME, semconv::HTTP_SCHEME])?;
    let is_scheme = scheme.len() <= MAX_SCHEME && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let host = match attributes.text(semconv::SERVER_ADDRESS) {
        None => attributes.text(semconv::HTTP_HOST)?,
        Some(host) => {
            let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
            let host = if is_bare_ipv6 { Cow::Owned(format!("[{host}]")) } else { host };
            match attributes.integer(semconv::SERVER_PORT) {
                Some(port) => Cow::Owned(format!("{host}:{port}")),
                None => host,
            }
        }
    };
    let path = attributes.first_text([semconv::URL_PATH, semconv::HTTP_TARGET]).unwrap_or_default();
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    is_scheme.then(|| sanitize_url(&format!("{scheme}://{host}{slash}{path}")).into_owned())
}

/// The beginning of a URL that Sentry keeps. Before Sentry counts, it writes each byte that has no place in a URL as `%` and two
/// digits.
fn kept(url: &str) -> &str {
    let mut room = MAX_URL;
    let fits = |&(_, c): &(usize, char)| {
        let is_plain = c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
        let left = room.checked_sub(if is_plain { 1 } else { 3 * c.len_utf8() });
        room = left.unwrap_or(room);
        left.is_some()
    };
    let length = url.char_indices().take_while(fits).last().map_or(0, |(start, c)| start + c.len_utf8());
    &url[..length]
}

fn is_whole(url: &str) -> bool {
    url.find("://").is_some_and(|end| (1..=MAX_SCHEME).contains(&end))
}

fn query(attributes: Attributes<'_>) -> Option<Cow<'_, str>> {
    let url = attributes.first_text([semconv::URL_FULL, semconv::HTTP_URL, semconv::HTTP_TARGET])?;
    let query = url.split_once('?')?.1.split('#').next().filter(|query| !query.is_empty())?;
    Some(Cow::Owned(query.to_owned()))
}

/// The headers among the attributes. Several lines of one header are joined.
fn headers<'a>(attributes: &'a [KeyValue], prefix: &str) -> BTreeMap<&'a str, Cow<'a, str>> {
    let header = |attribute: &'a KeyValue| {
        let key = attribute.key.as_str();
        let name = key.strip_prefix(prefix).filter(|name| !name.is_empty() && !is_removed(key))?;
        Some((name, text_of(&attribute.value)))
    };
    let mut room = MAX_HEADERS;
    let fits = |(name, value): &(&str, Cow<'_, str>)| {
        let left = room.checked_sub(name.len() + value.len());
        room = left.unwrap_or(room);
        left.is_some()
    };
    attributes.iter().filter_map(header).filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_where_it_is_too_long_once_it_is_encoded() {
        let long = |part: &str| format!("https://h.io/{}", part.repeat(300));
        for (part, count) in [("a", 243), ("%41", 81), ("é", 40), ("\u{1F600}", 20), (" ", 81), ("|", 81)] {
            assert_eq!(kept(&long(part)).chars().count(), 13 + count * part.chars().count(), "{part}");
        }
        assert_eq!(kept("https://h.io/é"), "https://h.io/é");
        assert_eq!(kept(""), "");
    }
}
