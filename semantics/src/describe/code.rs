//! Work inside of the process: spans of functions, as `tracing` makes them.
//!
//! | has | op | source |
//! | --- | --- | --- |
//! | kind `internal`, and the location of its code | `function` | `custom` |

use opentelemetry::trace::SpanKind;

use super::description::{Described, Description, Source};
use crate::semconv;

/// Names of the place in the code, new and old. Every instrumentation that knows the place sets one of them.
const PLACES: [&str; 6] = [
    semconv::CODE_FUNCTION_NAME,
    semconv::CODE_FUNCTION,
    semconv::CODE_FILE_PATH,
    semconv::CODE_FILEPATH,
    semconv::CODE_MODULE_NAME,
    semconv::CODE_NAMESPACE,
];

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let is_function = *span.kind == SpanKind::Internal && PLACES.iter().any(|key| span.attributes.get(key).is_some());
    is_function.then(|| Description::named(span.name, "function", Source::Custom))
}
