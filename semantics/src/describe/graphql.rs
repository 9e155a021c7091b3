//! Spans of GraphQL operations keep their own names.
//!
//! | has | op | source |
//! | --- | --- | --- |
//! | `graphql.operation.type` | `graphql` | `custom` |

use super::description::{Described, Description, Source};
use crate::semconv;

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    span.attributes.text(semconv::GRAPHQL_OPERATION_TYPE)?;
    Some(Description::named(span.name, "graphql", Source::Custom))
}
