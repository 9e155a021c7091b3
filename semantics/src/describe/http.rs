//! HTTP spans. The rules are in the guide, page `mapping`, section "HTTP".

use std::{borrow::Cow, net::Ipv6Addr};

use opentelemetry::trace::SpanKind;

use super::{
    description::{Described, Description, Source},
    graphql,
};
use crate::{attributes::Attributes, semconv, url::sanitize_url};

/// What the conventions call a method that HTTP does not define, as an attribute and in names.
const OTHER: (&str, &str) = ("_OTHER", "HTTP");

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { name, kind, attributes, .. } = *span;
    let method = attributes.first_text([semconv::HTTP_REQUEST_METHOD, semconv::HTTP_METHOD])?;
    let op = Some(op(kind, attributes));
    let shown = if method == OTHER.0 { OTHER.1 } else { &method };
    let path = path(kind, attributes).or_else(|| Some((server(span, shown)?, Source::Url)));
    let Some((path, source)) = path.filter(|_| is_instrumented(kind, attributes)) else {
        return Some(Description { op, name: Cow::Borrowed(name), source: Source::Custom });
    };
    let operations = graphql::suffix(graphql::own(attributes));
    let name = joined(name, &[shown, " ", &path, &operations]);
    Some(Description { op, name, source })
}

/// The server of a client's span, where nothing but the method names the span.
fn server<'a>(span: &Described<'a, '_>, method: &str) -> Option<Cow<'a, str>> {
    let attributes = span.attributes;
    let has_no_name = [method, OTHER.1].iter().any(|word| span.name.eq_ignore_ascii_case(word));
    if *span.kind != SpanKind::Client || !has_no_name {
        return None;
    }
    let host = attributes.first_text([semconv::SERVER_ADDRESS, semconv::HTTP_HOST, semconv::NET_PEER_NAME])?;
    let host = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]").into() } else { host };
    let port = [semconv::SERVER_PORT, semconv::NET_PEER_PORT].into_iter().find_map(|key| attributes.integer(key));
    // `http.host` has the port.
    let port = port.filter(|_| !host.rsplit(']').next().is_some_and(|end| end.contains(':')));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    // As in Sentry's SDKs, a host alone names nothing.
    let scheme = attributes.first_text([semconv::URL_SCHEME, semconv::HTTP_SCHEME])?;
    Some(sanitize_url(&format!("{scheme}://{host}{port}")).into_owned().into())
}

/// The parts as one text. Often that is the span's own name already, and then nothing is allocated.
fn joined<'a>(name: &'a str, parts: &[&str]) -> Cow<'a, str> {
    let rest = parts.iter().try_fold(name, |rest, part| rest.strip_prefix(part));
    if rest == Some("") { Cow::Borrowed(name) } else { Cow::Owned(parts.concat()) }
}

fn op(kind: &SpanKind, attributes: Attributes<'_>) -> Cow<'static, str> {
    let prefetch = attributes.is_true(semconv::SENTRY_HTTP_PREFETCH);
    Cow::Borrowed(match (kind, prefetch) {
        (SpanKind::Client, false) => "http.client",
        (SpanKind::Client, true) => "http.client.prefetch",
        (SpanKind::Server, false) => "http.server",
        (SpanKind::Server, true) => "http.server.prefetch",
        (_, false) => "http",
        (_, true) => "http.prefetch",
    })
}

fn path<'a>(kind: &SpanKind, attributes: Attributes<'a>) -> Option<(Cow<'a, str>, Source)> {
    if let Some(route) = attributes.text(semconv::HTTP_ROUTE) {
        return Some((route, Source::Route));
    }
    let target = || attributes.first_text([semconv::HTTP_TARGET, semconv::URL_PATH]).map(without_query);
    let url = || attributes.first_text([semconv::HTTP_URL, semconv::URL_FULL]).map(sanitized);
    let path = if *kind == SpanKind::Server { target().or_else(url) } else { url().or_else(target) }?;
    let source = if path == "/" { Source::Route } else { Source::Url };
    Some((path, source))
}

/// Whether the span is the request itself, and not work of the application that has the request's attributes.
fn is_instrumented(kind: &SpanKind, attributes: Attributes<'_>) -> bool {
    let origin = || attributes.text(semconv::SENTRY_ORIGIN).unwrap_or_default();
    matches!(kind, SpanKind::Client | SpanKind::Server) || origin().starts_with("auto")
}

fn sanitized(url: Cow<'_, str>) -> Cow<'_, str> {
    match url {
        Cow::Borrowed(url) => sanitize_url(url),
        Cow::Owned(url) => Cow::Owned(sanitize_url(&url).into_owned()),
    }
}

fn without_query(target: Cow<'_, str>) -> Cow<'_, str> {
    match (target.find(['?', '#']), target) {
        (Some(end), Cow::Borrowed(target)) => Cow::Borrowed(&target[..end]),
        (Some(end), Cow::Owned(mut target)) => {
            target.truncate(end);
            Cow::Owned(target)
        }
        (None, target) => target,
    }
}
