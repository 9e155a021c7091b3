//! HTTP spans. The rules are in the guide, page `mapping`, section "HTTP".

use std::borrow::Cow;

use opentelemetry::trace::SpanKind;

use super::description::{Described, Description, Source};
use crate::{attributes::Attributes, semconv, url::sanitize_url};

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { name, kind, attributes, .. } = *span;
    let method = attributes.first_text([semconv::HTTP_REQUEST_METHOD, semconv::HTTP_METHOD])?;
    let op = Some(op(kind, attributes));
    let path = path(kind, attributes).filter(|_| is_instrumented(kind, attributes));
    let Some((path, source)) = path else {
        return Some(Description { op, name: Cow::Borrowed(name), source: Source::Custom });
    };
    let operations = graphql_operations(attributes);
    let name = joined(name, &[&method, " ", &path, &operations]);
    Some(Description { op, name, source })
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

/// The GraphQL operations of a request, such as ` (query Me)`: at most five, sorted.
fn graphql_operations(attributes: Attributes<'_>) -> String {
    const SHOWN: usize = 5;
    let mut operations = attributes.texts(semconv::SENTRY_GRAPHQL_OPERATION);
    if operations.is_empty() {
        return String::new();
    }
    operations.sort_unstable();
    let more = operations.len().saturating_sub(SHOWN);
    operations.truncate(SHOWN);
    let more = if more > 0 { format!(", +{more}") } else { String::new() };
    format!(" ({}{more})", operations.join(", "))
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
