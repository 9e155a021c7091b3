//! Spans of GraphQL operations keep their own names.
//!
//! | has | op | source |
//! | --- | --- | --- |
//! | `graphql.operation.type` | `graphql` | `custom` |

use super::description::{Described, Description, Source};
use crate::{attributes::Attributes, semconv};

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    span.attributes.text(semconv::GRAPHQL_OPERATION_TYPE)?;
    Some(Description::named(span.name, "graphql", Source::Custom))
}

/// The operation that a span executes, such as `query Me`.
pub(super) fn operation(attributes: Attributes<'_>) -> Option<String> {
    let kind = attributes.text(semconv::GRAPHQL_OPERATION_TYPE)?;
    Some(match attributes.text(semconv::GRAPHQL_OPERATION_NAME) {
        Some(name) => format!("{kind} {name}"),
        None => kind.into_owned(),
    })
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
