//! Database spans. The rules are in the guide, page `mapping`, section "Databases".

use std::borrow::Cow;

use super::description::{Described, Description, Source};
use crate::semconv;

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { name, attributes, .. } = *span;
    attributes.first_text([semconv::DB_SYSTEM_NAME, semconv::DB_SYSTEM])?;
    let query = attributes.first_text([semconv::DB_QUERY_TEXT, semconv::DB_STATEMENT, semconv::DB_QUERY_SUMMARY]);
    let name = query.unwrap_or(Cow::Borrowed(name));
    Some(Description { op: Some(Cow::Borrowed("db")), name, source: Source::Task })
}
