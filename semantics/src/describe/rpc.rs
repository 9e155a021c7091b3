//! Spans of remote procedure calls keep their own names.
//!
//! | has | op | source |
//! | --- | --- | --- |
//! | `rpc.service`, `rpc.system.name` or `rpc.system` | `rpc` | `route` |

use super::description::{Described, Description, Source};
use crate::semconv;

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    span.attributes.first_text([semconv::RPC_SERVICE, semconv::RPC_SYSTEM_NAME, semconv::RPC_SYSTEM])?;
    Some(Description::named(span.name, "rpc", Source::Route))
}
