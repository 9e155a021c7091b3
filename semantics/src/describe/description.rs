//! What is known about a span, and what it is called in Sentry.

use std::borrow::Cow;

use opentelemetry::trace::SpanKind;

use crate::attributes::Attributes;

/// Recognises the spans of one family by their attributes.
pub(super) type Family = for<'a> fn(&Described<'a, '_>) -> Option<Description<'a>>;

/// A span that is being described. The description borrows from the span (`'a`), not from the rest (`'s`).
#[derive(Clone, Copy)]
pub(super) struct Described<'a, 's> {
    pub(super) name: &'a str,
    pub(super) kind: &'s SpanKind,
    /// The op that the application has set.
    pub(super) op: Option<&'s str>,
    pub(super) attributes: Attributes<'a>,
}

/// Op, name and source of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description<'a> {
    /// The kind of work, from a small set of words; `None` if the attributes do not determine one.
    pub op: Option<Cow<'a, str>>,
    /// The name of a transaction, or the description of any other span.
    pub name: Cow<'a, str>,
    /// The origin of the name.
    pub source: Source,
}

impl<'a> Description<'a> {
    /// The description of a span about which only its own name is known.
    pub(super) const fn unknown(name: &'a str) -> Self {
        Self { op: None, name: Cow::Borrowed(name), source: Source::Custom }
    }

    /// The description of a span that keeps its own name.
    pub(super) const fn named(name: &'a str, op: &'static str, source: Source) -> Self {
        Self { op: Some(Cow::Borrowed(op)), name: Cow::Borrowed(name), source }
    }
}

/// Both parts with a blank between them, if both exist.
pub(super) fn joined<'a>(first: Option<&str>, second: Option<Cow<'_, str>>) -> Option<Cow<'a, str>> {
    Some(Cow::Owned(format!("{} {}", first?, second?)))
}

/// The origin of a transaction's name: one of [Sentry's transaction sources].
///
/// [Sentry's transaction sources]: https://develop.sentry.dev/sdk/foundations/transport/event-payloads/properties/transaction_info/
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The application chose the name.
    #[default]
    Custom,
    /// The name of a software component.
    Component,
    /// A route with placeholders for its parameters.
    Route,
    /// A task or a query.
    Task,
    /// A raw URL. Sentry replaces its variable parts before it groups by the name.
    Url,
    /// The name of a view.
    View,
}

impl Source {
    /// The word in Sentry's protocol.
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

    /// The source with this word; `None` if there is no such source.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Custom, Self::Component, Self::Route, Self::Task, Self::Url, Self::View];
        all.into_iter().find(|source| source.as_str() == word)
    }
}
