//! Spans of serverless functions. The rules are in the guide, page `mapping`, section "Functions".

use super::{Description, Source};
use crate::{attributes::Attributes, semconv};

pub(super) fn describe<'a>(name: &'a str, attributes: Attributes<'a>) -> Option<Description<'a>> {
    let op = match attributes.text(semconv::FAAS_TRIGGER)?.as_ref() {
        "http" => "http.server",
        "pubsub" => "queue.process",
        _ => "function",
    };
    Some(Description::named(name, op, Source::Route))
}
