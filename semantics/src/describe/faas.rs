//! Spans of serverless functions, with their own names.
//!
//! | `faas.trigger` | op |
//! | --- | --- |
//! | `http` | `http.server` |
//! | `pubsub` | `queue.process` |
//! | any other | `function` |

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
