//! Spans of generative models and agents. The rules are in the guide, page `mapping`, section "Generative models".

use std::borrow::Cow;

use super::description::{Described, Description, Source, joined};
use crate::{attributes::Attributes, semconv};

/// Operations and their ops in a transaction. Sentry had no op for text completions and counted them as chats.
const OPERATIONS: [(&str, &str); 14] = [
    ("chat", "gen_ai.chat"),
    ("create_agent", "gen_ai.create_agent"),
    ("decide", "gen_ai.decide"),
    ("embeddings", "gen_ai.embeddings"),
    ("evaluate", "gen_ai.evaluate"),
    ("execute_tool", "gen_ai.execute_tool"),
    ("extract", "gen_ai.extract"),
    ("generate_content", "gen_ai.generate_content"),
    ("handoff", "gen_ai.handoff"),
    ("invoke_agent", "gen_ai.invoke_agent"),
    ("memory.client", "gen_ai.memory.client"),
    ("rerank", "gen_ai.rerank"),
    ("responses", "gen_ai.responses"),
    ("text_completion", "gen_ai.chat"),
];

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let operation = span.attributes.text(semconv::GEN_AI_OPERATION_NAME)?;
    let known = OPERATIONS.iter().find(|(known, _)| *known == operation);
    let op = Some(Cow::Borrowed(known.map_or("gen_ai", |(_, op)| *op)));
    // Without a model, an agent or a tool the span's own name says more than the operation.
    let name = joined(Some(&operation), target(&operation, span.attributes)).unwrap_or(Cow::Borrowed(span.name));
    Some(Description { op, name, source: Source::Custom })
}

pub(super) fn describe_streamed<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let operation = span.attributes.text(semconv::GEN_AI_OPERATION_NAME)?;
    let op = Some(Cow::Owned(format!("gen_ai.{operation}")));
    let name = joined(Some(&operation), target(&operation, span.attributes)).unwrap_or(operation);
    Some(Description { op, name, source: Source::Task })
}

/// The agent, the tool or the model with which an operation works.
fn target<'a>(operation: &str, attributes: Attributes<'a>) -> Option<Cow<'a, str>> {
    match operation {
        "invoke_agent" | "create_agent" => attributes.text(semconv::GEN_AI_AGENT_NAME),
        "execute_tool" => attributes.first_text(semconv::TOOL_NAMES),
        _ => attributes.text(semconv::GEN_AI_REQUEST_MODEL),
    }
}
