//! Spans of the extension `Tracing` of async-graphql. They have no attributes of the conventions.
//!
//! | span | attributes | name |
//! | --- | --- | --- |
//! | `parse` | `source`: the document, without secret arguments | the span's own |
//! | `request`, `subscribe`, `validation`, `execute` | | the span's own |
//! | `field` | `path`, `parent_type`, `return_type` | type and field, such as `User.name` |

use std::borrow::Cow;

use super::super::description::{Described, Description, Source};
use crate::{attributes::Attributes, semconv};

/// The module in which the spans are made.
const MODULE: &str = "async_graphql::extensions::tracing";

/// Their target, which a layer without places in the code still records.
const TARGET: &str = "async_graphql::graphql";

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    if !is_of_library(span.attributes) {
        return None;
    }
    let field = field(span.attributes).filter(|_| span.name == "field").map(Cow::Owned);
    let name = field.unwrap_or(Cow::Borrowed(span.name));
    Some(Description { op: Some(Cow::Borrowed("graphql")), name, source: Source::Custom })
}

/// The document of a request, on the span that has parsed it.
pub(super) fn document(attributes: Attributes<'_>) -> Option<Cow<'_, str>> {
    attributes.text("source").filter(|_| is_of_library(attributes))
}

fn is_of_library(attributes: Attributes<'_>) -> bool {
    let is = |key, value: &str| attributes.text(key).is_some_and(|text| text == value);
    is(semconv::CODE_MODULE_NAME, MODULE) || is(semconv::CODE_NAMESPACE, MODULE) || is("target", TARGET)
}

/// Type and field. The path to the field has the places in lists, so there would be too many names.
fn field(attributes: Attributes<'_>) -> Option<String> {
    let (path, parent) = (attributes.text("path")?, attributes.text("parent_type")?);
    let is_name = |part: &&str| !part.bytes().all(|byte| byte.is_ascii_digit());
    let field = path.rsplit('.').find(is_name)?;
    Some(format!("{parent}.{field}"))
}
