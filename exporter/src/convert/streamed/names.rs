//! Today's names of old attributes. Relay renames only some of them for streamed spans, so they are all renamed here.

use opentelemetry_sentry_semantics::Keys;

/// Old names and today's, sorted by the old name.
const NAMES: [(&str, &str); 66] = [
    ("code.column", "code.column.number"),
    ("code.filepath", "code.file.path"),
    ("code.function", "code.function.name"),
    ("code.lineno", "code.line.number"),
    ("db.cassandra.table", "db.collection.name"),
    ("db.mongodb.collection", "db.collection.name"),
    ("db.name", "db.namespace"),
    ("db.operation", "db.operation.name"),
    ("db.sql.table", "db.collection.name"),
    ("db.statement", "db.query.text"),
    ("db.system", "db.system.name"),
    ("enduser.id", "user.id"),
    ("gen_ai.completion", "gen_ai.output.messages"),
    ("gen_ai.prompt", "gen_ai.input.messages"),
    ("gen_ai.request.available_tools", "gen_ai.tool.definitions"),
    ("gen_ai.request.messages", "gen_ai.input.messages"),
    ("gen_ai.response.finish_reason", "gen_ai.response.finish_reasons"),
    ("gen_ai.response.text", "gen_ai.output.messages"),
    ("gen_ai.response.tool_calls", "gen_ai.output.messages"),
    ("gen_ai.system", "gen_ai.provider.name"),
    ("gen_ai.tool.input", "gen_ai.tool.call.arguments"),
    ("gen_ai.tool.message", "gen_ai.tool.call.result"),
    ("gen_ai.tool.output", "gen_ai.tool.call.result"),
    ("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
    ("gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_read.input_tokens"),
    ("gen_ai.usage.completion_tokens", "gen_ai.usage.output_tokens"),
    ("gen_ai.usage.input_tokens.cache_write", "gen_ai.usage.cache_creation.input_tokens"),
    ("gen_ai.usage.input_tokens.cached", "gen_ai.usage.cache_read.input_tokens"),
    ("gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.reasoning.output_tokens"),
    ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
    ("gen_ai.usage.reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
    ("http.client_ip", "client.address"),
    ("http.flavor", "network.protocol.version"),
    ("http.host", "server.address"),
    ("http.method", "http.request.method"),
    ("http.request_content_length", "http.request.body.size"),
    ("http.response_content_length", "http.response.body.size"),
    ("http.scheme", "url.scheme"),
    ("http.server_name", "server.address"),
    ("http.status_code", "http.response.status_code"),
    ("http.url", "url.full"),
    ("http.user_agent", "user_agent.original"),
    ("mcp.prompt.name", "gen_ai.prompt.name"),
    ("mcp.request.id", "jsonrpc.request.id"),
    ("mcp.tool.name", "gen_ai.tool.name"),
    ("messaging.destination", "messaging.destination.name"),
    ("messaging.message.payload_size_bytes", "messaging.message.body.size"),
    ("messaging.message_id", "messaging.message.id"),
    ("messaging.message_payload_size_bytes", "messaging.message.body.size"),
    ("messaging.operation", "messaging.operation.type"),
    ("net.host.name", "server.address"),
    ("net.host.port", "server.port"),
    ("net.peer.ip", "network.peer.address"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("net.protocol.name", "network.protocol.name"),
    ("net.protocol.version", "network.protocol.version"),
    ("net.sock.peer.addr", "network.peer.address"),
    ("net.sock.peer.port", "network.peer.port"),
    ("net.transport", "network.transport"),
    ("rpc.grpc.status_code", "rpc.response.status_code"),
    ("rpc.system", "rpc.system.name"),
    ("sentry.user.email", "user.email"),
    ("sentry.user.id", "user.id"),
    ("sentry.user.ip_address", "user.ip_address"),
    ("sentry.user.username", "user.name"),
];

/// The old names, as a filter: most attributes have today's names already.
const OLD: Keys = {
    let (mut keys, mut row) = (Keys::of(&[]), 0);
    while row < NAMES.len() {
        keys = keys.with(NAMES[row].0);
        row += 1;
    }
    keys
};

/// Today's name of an attribute, if this one is old.
pub(in crate::convert) fn current_name(key: &str) -> Option<&'static str> {
    if !OLD.may_have(key) {
        return None;
    }
    let row = NAMES.binary_search_by_key(&key, |(old, _)| old).ok()?;
    Some(NAMES[row].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_old_name_is_listed_once_and_in_order() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_name_of_today_is_not_renamed_again() {
        for (old, name) in NAMES {
            assert_eq!(current_name(old), Some(name));
            assert_eq!(current_name(name), None, "{name}");
        }
    }
}
