//! Spans of queues. The rules are in the guide, page `mapping`, section "Queues".

use opentelemetry::trace::SpanKind;

use super::description::{Described, Description, Source};
use crate::semconv;

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { name, kind, attributes, .. } = *span;
    attributes.text(semconv::MESSAGING_SYSTEM)?;
    let operation = attributes.first_text([semconv::MESSAGING_OPERATION_TYPE, semconv::MESSAGING_OPERATION]);
    let op = match (operation.as_deref(), kind) {
        (Some("publish" | "send"), _) => "queue.publish",
        (Some("create"), _) => "queue.create",
        (Some("receive"), _) => "queue.receive",
        (Some("process" | "deliver"), _) => "queue.process",
        (Some("settle"), _) => "queue.settle",
        (_, SpanKind::Producer) => "queue.publish",
        (_, SpanKind::Consumer) => "queue.process",
        _ => "queue",
    };
    Some(Description::named(name, op, Source::Route))
}
