//! Op, name and source of a streamed span. The rules are in the guide, page `mapping`, in the columns for streams.
//!
//! A name is made by the first of several templates whose parts all exist. It never has a URL, a query or a key in it, because
//! Sentry does not repair the names of streamed spans.

use std::borrow::Cow;

use opentelemetry::trace::SpanKind;

use super::{
    cache,
    description::{Described, Description, Family, Source, joined},
    gen_ai, graphql, mcp, messaging, rpc,
};
use crate::{attributes::Attributes, semconv};

/// The first family that recognises a span describes it.
pub(super) const FAMILIES: [Family; 9] = [
    http,
    mcp::describe,
    gen_ai::describe_streamed,
    cache::describe_streamed,
    db,
    queue,
    rpc::describe,
    graphql::describe_streamed,
    faas,
];

/// Ops of Sentry's older SDKs that this library's own spans have, and their names in a stream.
const OPS: [(&str, &str); 1] = [("function.server_action", "function")];

/// The name of an op in a stream.
pub(super) fn current_op(op: Cow<'_, str>) -> Cow<'_, str> {
    OPS.iter().find(|(old, _)| *old == op).map_or(op, |(_, new)| Cow::Borrowed(*new))
}

const PORTS: [&str; 2] = [semconv::SERVER_PORT, semconv::NET_PEER_PORT];
const QUERIES: [&str; 2] = [semconv::DB_QUERY_TEXT, semconv::DB_STATEMENT];
const COLLECTIONS: [&str; 4] =
    [semconv::DB_COLLECTION_NAME, "db.sql.table", "db.mongodb.collection", "db.cassandra.table"];

const fn described<'a>(op: Cow<'a, str>, name: Cow<'a, str>, source: Source) -> Option<Description<'a>> {
    Some(Description { op: Some(op), name, source })
}

fn http<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { name, kind, attributes, .. } = *span;
    let method = attributes.first_text([semconv::HTTP_REQUEST_METHOD, semconv::HTTP_METHOD])?;
    let method = if method == "_OTHER" { Cow::Borrowed("HTTP") } else { capitals(method) };
    let template = || attributes.text("url.template");
    let (op, place) = match kind {
        SpanKind::Server => ("http.server", attributes.text(semconv::HTTP_ROUTE).or_else(template)),
        SpanKind::Client => ("http.client", template()),
        _ => return Some(Description::named(name, "http", Source::Custom)),
    };
    let source = if place.is_some() { Source::Route } else { Source::Url };
    let place = place.or_else(|| if *kind == SpanKind::Client { attributes.server_host() } else { None });
    let name = joined(Some(&method), place).unwrap_or(method);
    described(Cow::Borrowed(op), name, source)
}

fn capitals(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) { Cow::Owned(text.to_ascii_uppercase()) } else { text }
}

fn db<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { attributes, .. } = *span;
    let system = attributes.first_text([semconv::DB_SYSTEM_NAME, semconv::DB_SYSTEM])?;
    let query = attributes.first_text(QUERIES);
    let op = if query.is_some() { "db.query" } else { "db" };
    let first_word = || query.as_deref()?.split_whitespace().next().map(|word| Cow::Owned(word.to_uppercase()));
    let operation = attributes.first_text([semconv::DB_OPERATION_NAME, semconv::DB_OPERATION]).or_else(first_word);
    // Each part is a name by itself as well, if there is no operation.
    let part = |part: usize| match part {
        0 => attributes.first_text(COLLECTIONS),
        1 => attributes.text(semconv::DB_STORED_PROCEDURE_NAME),
        2 => attributes.first_text(["db.namespace", "db.name"]),
        _ => address(attributes),
    };
    let name = attributes
        .text(semconv::DB_QUERY_SUMMARY)
        .or_else(|| (0..4).find_map(|number| joined(operation.as_deref(), part(number))))
        .or_else(|| (0..4).find_map(part));
    described(Cow::Borrowed(op), name.unwrap_or(system), Source::Task)
}

/// Host and port of a server, if both are known.
fn address<'a>(attributes: Attributes<'_>) -> Option<Cow<'a, str>> {
    let host = attributes.first_text([semconv::SERVER_ADDRESS, semconv::NET_PEER_NAME])?;
    Some(Cow::Owned(format!("{host}:{}", attributes.first_text(PORTS)?)))
}

fn queue<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { kind, attributes, .. } = *span;
    let inferred = messaging::describe(span)?;
    let by_kind = || match kind {
        SpanKind::Producer => Some(Cow::Borrowed("publish")),
        SpanKind::Consumer => Some(Cow::Borrowed("process")),
        _ => None,
    };
    let operation = attributes.first_text([semconv::MESSAGING_OPERATION_TYPE, semconv::MESSAGING_OPERATION]);
    let operation = operation.or_else(by_kind);
    let destination = attributes.first_text(["messaging.destination.name", "messaging.destination"]);
    let name = joined(operation.as_deref(), destination.or_else(|| address(attributes)));
    let name = name.or(operation).unwrap_or(Cow::Borrowed("Messaging"));
    Some(Description { name, source: Source::Task, ..inferred })
}

fn faas<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    Some(Description { source: Source::Task, ..super::faas::describe(span)? })
}
