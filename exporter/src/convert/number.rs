//! Numbers that were recorded as text: `tracing` knows no unsigned attributes, so its layer records them as text.

use opentelemetry::Value;
use opentelemetry_sentry_semantics::Keys;
use serde::{Serialize, Serializer};

/// The keys whose values the semantic conventions of OpenTelemetry and Sentry define as numbers, beside those of
/// [`is_number`].
const NUMBERS: [&str; 43] = [
    "cache.item_size",
    "cache.ttl",
    "client.port",
    "code.column",
    "code.column.number",
    "code.line.number",
    "code.lineno",
    "db.redis.database_index",
    "db.response.returned_rows",
    "destination.port",
    "gen_ai.request.choice.count",
    "gen_ai.request.frequency_penalty",
    "gen_ai.request.max_tokens",
    "gen_ai.request.presence_penalty",
    "gen_ai.request.seed",
    "gen_ai.request.temperature",
    "gen_ai.request.top_k",
    "gen_ai.request.top_p",
    "http.request.resend_count",
    "http.request_content_length",
    "http.response_content_length",
    "messaging.batch.message_count",
    "messaging.kafka.message.offset",
    "messaging.kafka.offset",
    "messaging.message.receive.latency",
    "messaging.message.retry.count",
    "net.host.port",
    "net.peer.port",
    "net.sock.host.port",
    "net.sock.peer.port",
    "network.local.port",
    "network.peer.port",
    "process.parent_pid",
    "process.pid",
    "rpc.jsonrpc.error_code",
    "rpc.message.compressed_size",
    "rpc.message.id",
    "rpc.message.uncompressed_size",
    "server.port",
    "source.port",
    "thread.id",
    "url.port",
    "websocket.message_count",
];

const KEYS: Keys = Keys::of(&NUMBERS);

/// A number in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    /// The number that a text stands for; `None` if the text is not a number, or the key is not that of
    /// one.
    pub(super) fn of(key: &str, value: &Value) -> Option<Self> {
        let Value::String(text) = value else { return None };
        let text = text.as_str();
        // Most texts end here.
        if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-') || !is_number(key) {
            return None;
        }
        let integer = text.parse().map(Self::Integer).ok();
        // A whole number that is too large would lose digits.
        let float = || text.contains(['.', 'e', 'E']).then(|| text.parse().ok()).flatten();
        integer.or_else(|| float().filter(|number: &f64| number.is_finite()).map(Self::Float))
    }
}

fn is_number(key: &str) -> bool {
    key.starts_with("gen_ai.usage.") || key.ends_with(".size") || KEYS.may_have(key) && NUMBERS.contains(&key)
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_numbers_become_numbers_under_the_keys_of_numbers() {
        use Number::{Float, Integer};
        for (key, text, expected) in [
            ("server.port", "443", Some(Integer(443))),
            ("gen_ai.usage.input_tokens", "12", Some(Integer(12))),
            ("gen_ai.request.temperature", "0.5", Some(Float(0.5))),
            ("http.request.body.size", "1024", Some(Integer(1024))),
            ("messaging.message.receive.latency", "-1e-3", Some(Float(-0.001))),
            ("process.pid", "18446744073709551615", None),
            ("process.pid", "0x10", None),
            ("server.port", "443 ", None),
            ("server.port", "1e999", None),
            ("server.port", "", None),
            ("server.port", "é", None),
            ("app.port", "443", None),
            ("db.response.status_code", "42", None),
        ] {
            assert_eq!(Number::of(key, &Value::from(text)), expected, "{key} {text:?}");
        }
        assert_eq!(Number::of("server.port", &Value::I64(443)), None, "it is one already");
    }

    #[test]
    fn every_key_is_listed_once_and_in_order() {
        assert!(NUMBERS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
