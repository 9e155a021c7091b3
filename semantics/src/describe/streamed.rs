//! Op, name and source of a streamed span. The rules are in the guide, page `mapping`, in the columns for streams.
//!
//! A name is made by the first of several templates whose parts all exist. It never has a URL, a query or a key in it, because
//! Sentry does not repair the names of streamed spans.

use std::borrow::Cow;

use opentelemetry::trace::SpanKind;

use super::{
    description::{Described, Description, Family, Source},
    messaging, rpc,
};
use crate::{attributes::Attributes, semconv, url::host_of_url};

/// The first family that recognises a span describes it.
pub(super) const FAMILIES: [Family; 9] = [http, mcp, gen_ai, cache, db, queue, rpc::describe, graphql, faas];

const AGENT_NAME: &str = "gen_ai.agent.name";
const REQUEST_MODEL: &str = "gen_ai.request.model";
const TOOL_NAMES: [&str; 2] = ["gen_ai.tool.name", "mcp.tool.name"];
const PROMPT_NAMES: [&str; 2] = ["gen_ai.prompt.name", "mcp.prompt.name"];
const HOSTS: [&str; 3] = [semconv::SERVER_ADDRESS, "net.peer.name", semconv::HTTP_HOST];
const PORTS: [&str; 2] = [semconv::SERVER_PORT, "net.peer.port"];
const QUERIES: [&str; 2] = [semconv::DB_QUERY_TEXT, semconv::DB_STATEMENT];
const COLLECTIONS: [&str; 4] = ["db.collection.name", "db.sql.table", "db.mongodb.collection", "db.cassandra.table"];

const fn described<'a>(op: Cow<'a, str>, name: Cow<'a, str>, source: Source) -> Option<Description<'a>> {
    Some(Description { op: Some(op), name, source })
}

/// Both parts with a blank between them, if both exist.
fn joined<'a>(first: Option<&str>, second: Option<Cow<'_, str>>) -> Option<Cow<'a, str>> {
    Some(Cow::Owned(format!("{} {}", first?, second?)))
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
    let place = place.or_else(|| if *kind == SpanKind::Client { host(attributes) } else { None });
    let name = joined(Some(&method), place).unwrap_or(method);
    described(Cow::Borrowed(op), name, source)
}

/// The host that a client calls, without its port.
fn host(attributes: Attributes<'_>) -> Option<Cow<'_, str>> {
    let of_url = || host_of_url(&attributes.first_text([semconv::URL_FULL, semconv::HTTP_URL])?).map(Cow::Owned);
    let host = attributes.first_text(HOSTS).or_else(of_url)?;
    // The colons of an IPv6 address are inside its brackets, or there is no port.
    let end = match host.rsplit_once(':') {
        Some((before, _)) if !before.contains(':') || before.ends_with(']') => before.len(),
        _ => host.len(),
    };
    Some(match host {
        Cow::Borrowed(host) => Cow::Borrowed(&host[..end]),
        Cow::Owned(mut host) => {
            host.truncate(end);
            Cow::Owned(host)
        }
    })
}

fn capitals(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) { Cow::Owned(text.to_ascii_uppercase()) } else { text }
}

fn mcp<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { kind, attributes, .. } = *span;
    let method = attributes.text("mcp.method.name")?;
    let op = match (method.starts_with("notifications/"), kind) {
        (false, _) => "mcp.server",
        (true, SpanKind::Client | SpanKind::Producer) => "mcp.notification.server_to_client",
        (true, _) => "mcp.notification.client_to_server",
    };
    let target = attributes.first_text(TOOL_NAMES).or_else(|| attributes.first_text(PROMPT_NAMES));
    let name = joined(Some(&method), target).unwrap_or(method);
    described(Cow::Borrowed(op), name, Source::Route)
}

fn gen_ai<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { attributes, .. } = *span;
    let operation = attributes.text(semconv::GEN_AI_OPERATION_NAME)?;
    let target = match operation.as_ref() {
        "invoke_agent" | "create_agent" => attributes.text(AGENT_NAME),
        "execute_tool" => attributes.first_text(TOOL_NAMES),
        _ => attributes.text(REQUEST_MODEL),
    };
    let op = Cow::Owned(format!("gen_ai.{operation}"));
    let name = joined(Some(&operation), target).unwrap_or(operation);
    described(op, name, Source::Task)
}

/// A cache is named by its op. A database without attributes of a cache is not a cache.
fn cache<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { op, attributes, .. } = *span;
    let own = op.filter(|op| op.starts_with("cache.")).map(|op| Cow::Owned(op.to_owned()));
    let named = || attributes.text("cache.operation").map(|operation| Cow::Owned(format!("cache.{operation}")));
    let read = || attributes.get("cache.hit").map(|_| Cow::Borrowed("cache.get"));
    let op: Cow<'a, str> = own.or_else(named).or_else(read)?;
    described(op.clone(), op, Source::Task)
}

fn db<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { attributes, .. } = *span;
    let system = attributes.first_text([semconv::DB_SYSTEM_NAME, semconv::DB_SYSTEM])?;
    let query = attributes.first_text(QUERIES);
    let op = if query.is_some() { "db.query" } else { "db" };
    let first_word = || query.as_deref()?.split_whitespace().next().map(|word| Cow::Owned(word.to_uppercase()));
    let operation = attributes.first_text(["db.operation.name", "db.operation"]).or_else(first_word);
    // Each part is a name by itself as well, if there is no operation.
    let part = |part: usize| match part {
        0 => attributes.first_text(COLLECTIONS),
        1 => attributes.text("db.stored_procedure.name"),
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
    let host = attributes.first_text([semconv::SERVER_ADDRESS, "net.peer.name"])?;
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

fn graphql<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    const KEYS: [&str; 3] = [semconv::GRAPHQL_OPERATION_TYPE, "graphql.operation.name", "graphql.document"];
    span.attributes.first_text(KEYS)?;
    let name = joined(Some("GraphQL"), span.attributes.text(semconv::GRAPHQL_OPERATION_TYPE));
    described(Cow::Borrowed("graphql"), name.unwrap_or(Cow::Borrowed("GraphQL Operation")), Source::Route)
}

fn faas<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    Some(Description { source: Source::Task, ..super::faas::describe(span)? })
}
