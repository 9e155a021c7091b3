//! Op, name and source of a span.
//!
//! The guide of `opentelemetry-sentry` has the tables, on its page `mapping`. [`Attributes::describe`] asks the families
//! in the order of the first table.

mod db;
mod faas;
mod gen_ai;
mod http;
mod messaging;

use std::borrow::Cow;

use opentelemetry::{KeyValue, trace::SpanKind};

use crate::{attributes::Attributes, semconv};

/// Op, name and source of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description<'a> {
    /// The kind of work, from a small set of words; `None` when nothing is known about it.
    pub op: Option<Cow<'a, str>>,
    /// The name of a transaction, the description of a span.
    pub name: Cow<'a, str>,
    /// Where the name comes from.
    pub source: Source,
}

/// The longest name of a transaction that Sentry keeps, in characters.
const MAX_NAME: usize = 200;

/// A name, cut to the 200 characters that Sentry keeps of a transaction's.
#[must_use]
pub fn shortened(name: &str) -> &str {
    cut(name, MAX_NAME)
}

/// The first characters of a text, at most so many.
#[must_use]
pub fn cut(text: &str, max_chars: usize) -> &str {
    if text.len() <= max_chars {
        return text;
    }
    text.char_indices().nth(max_chars).map_or(text, |(end, _)| &text[..end])
}

impl<'a> Description<'a> {
    /// A span of which nothing is known but its own name.
    const fn unknown(name: &'a str) -> Self {
        Self { op: None, name: Cow::Borrowed(name), source: Source::Custom }
    }

    /// A span that keeps its own name.
    const fn named(name: &'a str, op: &'static str, source: Source) -> Self {
        Self { op: Some(Cow::Borrowed(op)), name: Cow::Borrowed(name), source }
    }
}

/// Where the name of a transaction comes from: [Sentry's transaction sources].
///
/// [Sentry's transaction sources]: https://develop.sentry.dev/sdk/foundations/transport/event-payloads/properties/transaction_info/
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The user's own choice.
    #[default]
    Custom,
    /// A software component.
    Component,
    /// A route with its parameters left open.
    Route,
    /// A task or a query.
    Task,
    /// A raw URL: Sentry must not group by it before it has cleaned it.
    Url,
    /// The name of a view.
    View,
}

impl Source {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Component => "component",
            Self::Route => "route",
            Self::Task => "task",
            Self::Url => "url",
            Self::View => "view",
        }
    }

    /// The source with this word, if there is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Custom, Self::Component, Self::Route, Self::Task, Self::Url, Self::View];
        all.into_iter().find(|source| source.as_str() == word)
    }
}

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
        if self.is_empty() {
            return Description::unknown(name);
        }
        let op = self.text(semconv::SENTRY_OP);
        let inferred = http::describe(name, kind, self)
            .or_else(|| db::describe(name, op.as_deref(), self))
            .or_else(|| gen_ai::describe(name, self))
            .or_else(|| rpc(name, self))
            .or_else(|| messaging::describe(name, kind, self))
            .or_else(|| faas::describe(name, self))
            .or_else(|| graphql(name, self))
            .unwrap_or(Description::unknown(name));
        let source = source_override(self);
        let own_name = self.text(semconv::SENTRY_CUSTOM_SPAN_NAME);
        let keeps_name = own_name.is_some() || source == Some(Source::Custom);
        Description {
            op: op.or(inferred.op),
            source: source.unwrap_or(if keeps_name { Source::Custom } else { inferred.source }),
            name: own_name.unwrap_or(if keeps_name { Cow::Borrowed(name) } else { inferred.name }),
        }
    }
}

fn rpc<'a>(name: &'a str, attributes: Attributes<'a>) -> Option<Description<'a>> {
    attributes.first_text([semconv::RPC_SERVICE, semconv::RPC_SYSTEM_NAME, semconv::RPC_SYSTEM])?;
    Some(Description::named(name, "rpc", Source::Route))
}

fn graphql<'a>(name: &'a str, attributes: Attributes<'a>) -> Option<Description<'a>> {
    attributes.text(semconv::GRAPHQL_OPERATION_TYPE)?;
    Some(Description::named(name, "graphql", Source::Custom))
}

fn source_override(attributes: Attributes<'_>) -> Option<Source> {
    let names = [semconv::SENTRY_SOURCE, semconv::SENTRY_SEGMENT_NAME_SOURCE, semconv::SENTRY_SPAN_SOURCE];
    names.into_iter().find_map(|name| Source::from_word(&attributes.text(name)?))
}
