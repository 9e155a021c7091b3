//! Op, name and source of a span.
//!
//! The guide of `opentelemetry-sentry` has the tables, on its page `mapping`. [`Attributes::describe`] asks the families
//! in the order of the first table.

mod cache;
mod code;
mod db;
mod description;
mod faas;
mod gen_ai;
mod graphql;
mod http;
mod mcp;
mod messaging;
mod rpc;
mod streamed;

use std::borrow::Cow;

use opentelemetry::{KeyValue, trace::SpanKind};

use self::description::{Described, Family};
pub use self::description::{Description, Source};
use crate::{attributes::Attributes, semconv};

/// The rows of the table above, in its order: the first family that recognises a span describes it.
const FAMILIES: [Family; 10] = [
    http::describe,
    mcp::describe,
    cache::describe,
    db::describe,
    gen_ai::describe,
    rpc::describe,
    messaging::describe,
    faas::describe,
    graphql::describe,
    code::describe,
];

/// Describes a span from its name, kind and attributes.
///
/// ```
/// use opentelemetry::{KeyValue, trace::SpanKind};
/// use opentelemetry_sentry_semantics::{Source, describe};
///
/// let attributes = [KeyValue::new("http.request.method", "GET"), KeyValue::new("http.route", "/users/:id")];
/// let description = describe("HTTP", &SpanKind::Server, &attributes);
/// assert_eq!(description.op.as_deref(), Some("http.server"));
/// assert_eq!(description.name, "GET /users/:id");
/// assert_eq!(description.source, Source::Route);
/// ```
#[must_use]
pub fn describe<'a>(name: &'a str, kind: &SpanKind, attributes: &'a [KeyValue]) -> Description<'a> {
    Attributes::new(attributes).describe(name, kind)
}

impl<'a> Attributes<'a> {
    /// Describes a span with these attributes, as [`describe`] does.
    #[must_use]
    pub fn describe(self, name: &'a str, kind: &SpanKind) -> Description<'a> {
        self.describe_by(&FAMILIES, name, kind)
    }

    /// Describes a span that is streamed. Streamed spans have names that many spans share: a client's host instead of
    /// its URL, a summary instead of a query.
    ///
    /// ```
    /// use opentelemetry::{KeyValue, trace::SpanKind};
    /// use opentelemetry_sentry_semantics::Attributes;
    ///
    /// let list = [KeyValue::new("http.request.method", "GET"), KeyValue::new("url.full", "https://h.io/users/7")];
    /// assert_eq!(Attributes::new(&list).describe("HTTP", &SpanKind::Client).name, "GET https://h.io/users/7");
    /// assert_eq!(Attributes::new(&list).describe_streamed("HTTP", &SpanKind::Client).name, "GET h.io");
    /// ```
    #[must_use]
    pub fn describe_streamed(self, name: &'a str, kind: &SpanKind) -> Description<'a> {
        let description = self.describe_by(&streamed::FAMILIES, name, kind);
        Description { op: description.op.map(streamed::current_op), ..description }
    }

    fn describe_by(self, families: &[Family], name: &'a str, kind: &SpanKind) -> Description<'a> {
        if self.is_empty() {
            return Description::unknown(name);
        }
        let op = self.text(semconv::SENTRY_OP);
        let span = Described { name, kind, op: op.as_deref(), attributes: self };
        let inferred = families.iter().find_map(|family| family(&span)).unwrap_or(Description::unknown(name));
        let source = source_override(self);
        let own_name = self.text(semconv::SENTRY_CUSTOM_SPAN_NAME);
        let keeps_name = own_name.is_some() || source == Some(Source::Custom);
        Description {
            op: op.or(inferred.op),
            source: source.unwrap_or(if keeps_name { Source::Custom } else { inferred.source }),
            name: own_name.unwrap_or(if keeps_name { Cow::Borrowed(name) } else { inferred.name }),
        }
    }

    /// Describes a local root with these attributes, and with what the spans below it tell: a request to `POST /graphql`
    /// gets the operations that it has executed, unless the application chose the name.
    #[must_use]
    pub fn describe_root(
        self,
        name: &'a str,
        kind: &SpanKind,
        below: impl IntoIterator<Item = Self>,
    ) -> Description<'a> {
        let mut description = self.describe(name, kind);
        let is_request = match description.op.as_deref() {
            Some("http.server") => description.source != Source::Custom,
            // The span of a library for GraphQL, in a service that makes no span for the request.
            Some("graphql") => source_override(self).is_none() && self.text(semconv::SENTRY_CUSTOM_SPAN_NAME).is_none(),
            _ => false,
        };
        if is_request && graphql::own(self).is_empty() {
            let operations = graphql::suffix(below.into_iter().filter_map(graphql::operation).collect());
            // Only then is the name copied.
            if !operations.is_empty() {
                description.name.to_mut().push_str(&operations);
            }
        }
        description
    }
}

/// Whether a span with these attributes is of a database.
#[must_use]
pub fn is_database(attributes: &[KeyValue]) -> bool {
    // Every span with a sampled parent is asked, and one byte tells most attributes.
    attributes.iter().any(|KeyValue { key, value, .. }| match key.as_str().as_bytes() {
        [b'd', ..] => is_database_key(key.as_str()),
        [b's', ..] => key.as_str() == semconv::SENTRY_OP && value.as_str().split('.').next() == Some("db"),
        _ => false,
    })
}

/// Whether only spans of databases have this attribute.
#[must_use]
pub fn is_database_key(key: &str) -> bool {
    const KEYS: [&str; 5] = [
        semconv::DB_SYSTEM_NAME,
        semconv::DB_SYSTEM,
        semconv::DB_QUERY_TEXT,
        semconv::DB_STATEMENT,
        semconv::DB_QUERY_SUMMARY,
    ];
    // Most attributes are of other families, which one comparison tells.
    key.starts_with("db.") && KEYS.contains(&key)
}

/// The source that the application has set.
fn source_override(attributes: Attributes<'_>) -> Option<Source> {
    let names = [semconv::SENTRY_SOURCE, semconv::SENTRY_SEGMENT_NAME_SOURCE, semconv::SENTRY_SPAN_SOURCE];
    names.into_iter().find_map(|name| Source::from_word(&attributes.text(name)?))
}

/// The number of characters that Sentry keeps of a transaction's name.
const MAX_NAME: usize = 200;

/// A transaction's name, cut to the 200 characters that Sentry keeps.
#[must_use]
pub fn shortened(name: &str) -> &str {
    cut(name, MAX_NAME)
}

/// The first `max_chars` characters of a text.
#[must_use]
pub fn cut(text: &str, max_chars: usize) -> &str {
    if text.len() <= max_chars {
        return text;
    }
    text.char_indices().nth(max_chars).map_or(text, |(end, _)| &text[..end])
}
