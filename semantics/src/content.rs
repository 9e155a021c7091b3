//! Which attributes contain what a generative model was asked, and what it answered.

/// The keys, newest name first.
const KEYS: [&str; 33] = [
    "gen_ai.input.messages",
    "gen_ai.request.messages",
    "gen_ai.prompt",
    "gen_ai.content.prompt",
    "gen_ai.system_instructions",
    "gen_ai.system.message",
    "gen_ai.user.message",
    "gen_ai.assistant.message",
    "gen_ai.embeddings.input",
    "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text",
    "gen_ai.tool.definitions",
    "gen_ai.request.available_tools",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.input",
    "gen_ai.output.messages",
    "gen_ai.choice",
    "gen_ai.completion",
    "gen_ai.content.completion",
    "gen_ai.response.text",
    "gen_ai.response.tool_calls",
    "gen_ai.tool.call.result",
    "gen_ai.tool.output",
    "gen_ai.tool.message",
    "mcp.prompt.result.message_content",
    "mcp.tool.result.content",
    "ai.input_messages",
    "ai.preamble",
    "ai.prompt",
    "ai.responses",
    "ai.texts",
    "ai.documents",
    "ai.tool_calls",
];

/// The keys that contain the place of a message, or the name of an argument.
const PREFIXES: [&str; 6] = [
    "gen_ai.completion.",
    "gen_ai.input.messages.",
    "gen_ai.output.messages.",
    "gen_ai.prompt.",
    "mcp.prompt.result.message_content.",
    "mcp.request.argument.",
];

/// What begins like a message of a prompt, and is no content of one.
const NAME_OF_PROMPT: &str = "gen_ai.prompt.name";

/// Whether a key is that of a prompt, an answer, or what a tool gets and returns.
///
/// ```
/// use opentelemetry_sentry_semantics::is_model_content;
///
/// assert!(is_model_content("gen_ai.input.messages"));
/// assert!(!is_model_content("gen_ai.request.model"));
/// ```
#[must_use]
pub fn is_model_content(key: &str) -> bool {
    is_of_model(key) && key != NAME_OF_PROMPT && (KEYS.contains(&key) || PREFIXES.iter().any(|p| key.starts_with(p)))
}

/// Whether a key can be that of a generative model or of the Model Context Protocol. Nearly all keys are not.
fn is_of_model(key: &str) -> bool {
    ["gen_ai.", "mcp.", "ai."].iter().any(|prefix| key.starts_with(prefix))
}
