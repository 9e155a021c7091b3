//! Spans of GraphQL. The rules are in the guide, page `mapping`, section "GraphQL".

mod document;
mod library;

use std::borrow::Cow;

use super::description::{Described, Description, Source, joined};
use crate::{attributes::Attributes, semconv};

/// In a transaction, the span of an operation keeps its own name.
pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let is_operation = span.attributes.text(semconv::GRAPHQL_OPERATION_TYPE).is_some();
    library::describe(span).or_else(|| is_operation.then(|| Description::named(span.name, "graphql", Source::Custom)))
}

pub(super) fn describe_streamed<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    const KEYS: [&str; 3] =
        [semconv::GRAPHQL_OPERATION_TYPE, semconv::GRAPHQL_OPERATION_NAME, semconv::GRAPHQL_DOCUMENT];
    if let Some(description) = library::describe(span) {
        return Some(description);
    }
    span.attributes.first_text(KEYS)?;
    let name = joined(Some("GraphQL"), span.attributes.text(semconv::GRAPHQL_OPERATION_TYPE));
    let name = name.unwrap_or(Cow::Borrowed("GraphQL Operation"));
    Some(Description { op: Some(Cow::Borrowed("graphql")), name, source: Source::Route })
}

/// The operation that a span executes, such as `query Me`. If the document of the request has several, it is not known
/// which of them is executed.
pub(super) fn operation(attributes: Attributes<'_>) -> Option<String> {
    if let Some(kind) = attributes.text(semconv::GRAPHQL_OPERATION_TYPE) {
        return Some(match attributes.text(semconv::GRAPHQL_OPERATION_NAME) {
            Some(name) => format!("{kind} {name}"),
            None => kind.into_owned(),
        });
    }
    let document = attributes.text(semconv::GRAPHQL_DOCUMENT).or_else(|| library::document(attributes))?;
    document::operation(&document)
}

/// The operations of a request that its own span has.
pub(super) fn own(attributes: Attributes<'_>) -> Vec<String> {
    match attributes.texts(semconv::SENTRY_GRAPHQL_OPERATION) {
        none if none.is_empty() => operation(attributes).into_iter().collect(),
        operations => operations.into_iter().map(str::to_owned).collect(),
    }
}

/// The most operations of a request that its name shows.
const SHOWN: usize = 5;

/// Operations as the end of a request's name, such as ` (query Me)`: each once, sorted, at most five of them.
pub(super) fn suffix(mut operations: Vec<String>) -> String {
    operations.sort_unstable();
    operations.dedup();
    let more = operations.len().saturating_sub(SHOWN);
    operations.truncate(SHOWN);
    match (operations.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(" ({})", operations.join(", ")),
        (false, more) => format!(" ({}, +{more})", operations.join(", ")),
    }
}
