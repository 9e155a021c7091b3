//! Database spans. The rules are in the guide, page `mapping`, section "Databases".

use std::borrow::Cow;

use super::description::{Described, Description, Source};
use crate::semconv;

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { name, op, attributes, .. } = *span;
    attributes.first_text([semconv::DB_SYSTEM_NAME, semconv::DB_SYSTEM])?;
    // A cache is often a database as well, and has ops of its own.
    if op.is_some_and(|op| op.starts_with("cache.")) {
        return None;
    }
    let query = attributes.first_text([semconv::DB_QUERY_TEXT, semconv::DB_STATEMENT, semconv::DB_QUERY_SUMMARY]);
    let name = query.unwrap_or(Cow::Borrowed(name));
    Some(Description { op: Some(Cow::Borrowed("db")), name, source: Source::Task })
}
