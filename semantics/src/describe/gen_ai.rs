//! Spans of generative models and agents. The rules are in the guide, page `mapping`, section "Generative models".

use super::description::{Described, Description, Source};
use crate::semconv;

/// Operations and their ops. Sentry has no op for text completions and counts them as chats.
const OPERATIONS: [(&str, &str); 8] = [
    ("chat", "gen_ai.chat"),
    ("embeddings", "gen_ai.embeddings"),
    ("execute_tool", "gen_ai.execute_tool"),
    ("generate_content", "gen_ai.generate_content"),
    ("handoff", "gen_ai.handoff"),
    ("invoke_agent", "gen_ai.invoke_agent"),
    ("rerank", "gen_ai.rerank"),
    ("text_completion", "gen_ai.chat"),
];

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let operation = span.attributes.text(semconv::GEN_AI_OPERATION_NAME)?;
    let known = OPERATIONS.iter().find(|(known, _)| *known == operation);
    Some(Description::named(span.name, known.map_or("gen_ai", |(_, op)| *op), Source::Custom))
}
