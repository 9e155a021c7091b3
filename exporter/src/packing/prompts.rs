//! Removes what generative models were asked and what they answered, where the application does not want to send it. The
//! keys are in the guide, page `privacy`.

use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_semantics::is_model_content;

use crate::trace::LogLine;

/// Takes prompts and answers out of a span.
pub(super) fn remove_prompts(span: &mut SpanData) {
    remove(&mut span.attributes);
    span.links.links.iter_mut().for_each(|link| remove(&mut link.attributes));
    for event in &mut span.events.events {
        if is_message(&event.name) {
            event.attributes.clear();
        }
        remove(&mut event.attributes);
    }
}

/// Takes prompts and answers out of a log.
pub(super) fn remove_prompts_of_log(line: &mut LogLine) {
    if is_message(&line.event_name) || line.attributes.iter().any(names_message) {
        line.body.clear();
        line.attributes.retain(|attribute| attribute.key.as_str() != "content");
    }
    remove(&mut line.attributes);
}

fn remove(attributes: &mut Vec<KeyValue>) {
    attributes.retain(|attribute| !is_model_content(attribute.key.as_str()));
}

/// Whether an event is a message, or the details of a call: older conventions record each message as an event.
fn is_message(name: &str) -> bool {
    name.starts_with("gen_ai.")
}

/// Whether a record names such an event in an attribute, as `tracing` does.
fn names_message(attribute: &KeyValue) -> bool {
    matches!(attribute.key.as_str(), "event.name" | "name") && is_message(&attribute.value.as_str())
}
