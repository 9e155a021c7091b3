//! Spans of serverless functions. The rules are in the guide, page `mapping`, section "Functions".

use super::description::{Described, Description, Source};
use crate::semconv;

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let op = match span.attributes.text(semconv::FAAS_TRIGGER)?.as_ref() {
        "http" => "http.server",
        "pubsub" => "queue.process",
        _ => "function",
    };
    Some(Description::named(span.name, op, Source::Route))
}
