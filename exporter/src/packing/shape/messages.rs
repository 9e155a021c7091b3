//! Old messages of generative models in the shape of today. Sentry's server does the same for newer SDKs, and loses tool
//! calls.
//!
//! | old | becomes |
//! | --- | --- |
//! | `gen_ai.request.messages`: `[{"role": "user", "content": "hi"}]` | `gen_ai.input.messages`: `[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]` |
//! | `gen_ai.response.text`: `["hi"]`, `{"content": "hi"}` | `gen_ai.output.messages`: `[{"role": "assistant", "parts": [{"type": "text", "content": "hi"}]}]` |
//! | `gen_ai.response.tool_calls`: `[{"id": "1", "name": "f"}]` | parts of this message, of the type `tool_call` |
//!
//! What has no such shape is left as it is.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sentry_semantics::semconv::{
    GEN_AI_INPUT_MESSAGES, GEN_AI_OUTPUT_MESSAGES, GEN_AI_REQUEST_MESSAGES, GEN_AI_RESPONSE_TEXT,
    GEN_AI_RESPONSE_TOOL_CALLS,
};
use serde_json::{Map, Value as Json, json};

/// Reshapes the messages among these attributes. Returns whether there are keys that were not there before.
pub(super) fn reshape(attributes: &mut Vec<KeyValue>) -> bool {
    let input = text_of(attributes, GEN_AI_REQUEST_MESSAGES).and_then(|text| input(&text));
    let output = output(
        text_of(attributes, GEN_AI_RESPONSE_TEXT).as_deref(),
        text_of(attributes, GEN_AI_RESPONSE_TOOL_CALLS).as_deref(),
    );
    let is_new = |key: &str| !attributes.iter().any(|attribute| attribute.key.as_str() == key);
    let input = input.filter(|_| is_new(GEN_AI_INPUT_MESSAGES));
    let output = output.filter(|_| is_new(GEN_AI_OUTPUT_MESSAGES));
    let has_new = input.is_some() || output.is_some();
    replace(attributes, &[GEN_AI_REQUEST_MESSAGES], GEN_AI_INPUT_MESSAGES, input);
    replace(attributes, &[GEN_AI_RESPONSE_TEXT, GEN_AI_RESPONSE_TOOL_CALLS], GEN_AI_OUTPUT_MESSAGES, output);
    has_new
}

/// The text of a key, which may be long. The last value of a key counts.
fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = &attributes.iter().rev().find(|attribute| attribute.key.as_str() == key)?.value;
    if let Value::String(text) = value { Some(text.as_str().to_owned()) } else { None }
}

fn replace(attributes: &mut Vec<KeyValue>, old: &[&str], new: &'static str, messages: Option<Json>) {
    if let Some(messages) = messages {
        attributes.retain(|attribute| !old.contains(&attribute.key.as_str()));
        attributes.push(KeyValue::new(new, messages.to_string()));
    }
}

/// The messages of a request. `None` if one of them has another shape, or none of them has content.
fn input(text: &str) -> Option<Json> {
    let Json::Array(messages) = parsed(text)? else { return None };
    let has_content = messages.iter().any(|message| message.get("content").is_some());
    messages.into_iter().map(message).collect::<Option<Json>>().filter(|_| has_content)
}

fn message(message: Json) -> Option<Json> {
    let Json::Object(mut message) = message else { return None };
    let parts = match message.remove("content") {
        None => return Some(message.into()),
        Some(Json::Null) => Vec::new(),
        Some(Json::String(text)) => vec![text_part(text.into())],
        Some(Json::Array(parts)) => parts.into_iter().map(part).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    if !parts.is_empty() {
        message.insert("parts".to_owned(), parts.into());
    }
    Some(message.into())
}

fn part(part: Json) -> Option<Json> {
    match part {
        Json::String(text) => Some(text_part(text.into())),
        Json::Object(mut part) => {
            if let Some(text) = part.get("text").filter(|_| !part.contains_key("content")).cloned() {
                part.insert("content".to_owned(), text);
            }
            Some(part.into())
        }
        _ => None,
    }
}

/// The message of an answer. `None` if neither its text nor its tool calls have a shape that is known. A text that is no JSON
/// stays a text, unless there are tool calls beside it.
fn output(text: Option<&str>, tool_calls: Option<&str>) -> Option<Json> {
    let calls = tool_calls.and_then(tool_parts);
    let texts = text.and_then(|text| {
        let plain = || calls.as_ref().map(|_| vec![text_part(text.into())]);
        text_parts(text).or_else(plain)
    });
    let parts: Vec<_> = texts.into_iter().chain(calls).flatten().collect();
    (!parts.is_empty()).then(|| json!([{ "role": "assistant", "parts": parts }]))
}

fn text_parts(text: &str) -> Option<Vec<Json>> {
    let content = |item: Json| match item {
        Json::String(text) => Some(text_part(text.into())),
        Json::Object(mut object) => object.remove("content").map(text_part),
        _ => None,
    };
    match parsed(text)? {
        Json::Array(items) => items.into_iter().map(content).collect(),
        one => Some(vec![content(one)?]),
    }
}

fn text_part(content: Json) -> Json {
    json!({ "type": "text", "content": content })
}

/// The names of today for what libraries call the fields of a tool call. Each is looked for in the call and in its `function`.
const FIELDS: [(&str, &[&str]); 3] =
    [("id", &["toolCallId", "call_id"]), ("name", &["toolName"]), ("arguments", &["args", "input"])];

fn tool_parts(text: &str) -> Option<Vec<Json>> {
    let Json::Array(calls) = parsed(text)? else { return None };
    calls.into_iter().map(tool_part).collect()
}

fn tool_part(call: Json) -> Option<Json> {
    let Json::Object(mut call) = call else { return None };
    let function = match call.remove("function") {
        Some(Json::Object(function)) => function,
        Some(Json::String(name)) => Map::from_iter([("name".to_owned(), name.into())]),
        _ => Map::new(),
    };
    for (name, others) in FIELDS {
        let other = others.iter().find_map(|other| call.remove(*other)).or_else(|| function.get(name).cloned());
        if let Some(value) = other.filter(|_| !call.contains_key(name)) {
            call.insert(name.to_owned(), value);
        }
    }
    call.insert("type".to_owned(), "tool_call".into());
    Some(call.into())
}

/// The JSON of a text that is a list, an object or a string.
fn parsed(text: &str) -> Option<Json> {
    let is_json = text.trim_start().starts_with(['[', '{', '"']);
    serde_json::from_str(text).ok().filter(|_| is_json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reshaped(pairs: &[(&'static str, &str)]) -> (bool, Vec<(String, Json)>) {
        let mut attributes: Vec<_> = pairs.iter().map(|(key, text)| KeyValue::new(*key, (*text).to_owned())).collect();
        let has_new = reshape(&mut attributes);
        let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
        let pair = |KeyValue { key, value, .. }: KeyValue| (key.as_str().to_owned(), json(&value.as_str()));
        (has_new, attributes.into_iter().map(pair).collect())
    }

    fn only(pairs: &[(&'static str, &str)]) -> (String, Json) {
        let (_, mut all) = reshaped(pairs);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn messages_of_a_request_get_parts() {
        for (old, new) in [
            (
                r#"[{"role":"user","content":"hi"}]"#,
                json!([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]),
            ),
            (
                r#"[{"role":"user","content":[{"type":"text","text":"hi"},"ho"],"id":1}]"#,
                json!([{"role": "user", "id": 1, "parts": [
                    {"type": "text", "text": "hi", "content": "hi"}, {"type": "text", "content": "ho"}]}]),
            ),
            (
                r#"[{"role":"assistant","content":null},{"role":"user","parts":[]}]"#,
                json!([{"role": "assistant"}, {"role": "user", "parts": []}]),
            ),
        ] {
            assert_eq!(only(&[(GEN_AI_REQUEST_MESSAGES, old)]), (GEN_AI_INPUT_MESSAGES.to_owned(), new));
        }
    }

    #[test]
    fn what_has_another_shape_stays() {
        for text in
            ["hi", "42", r#"{"role":"user","content":"hi"}"#, r#"[{"role":"tool","content":{"a":1}}]"#, "[1]", "[]"]
        {
            assert!(!reshaped(&[(GEN_AI_REQUEST_MESSAGES, text)]).0, "{text}");
        }
        for text in ["hi", "42", "[1]", "[]", r#"[{"role":"assistant","parts":[]}]"#] {
            assert!(!reshaped(&[(GEN_AI_RESPONSE_TEXT, text)]).0, "{text}");
        }
        assert!(!reshaped(&[(GEN_AI_RESPONSE_TOOL_CALLS, "f()")]).0);
        let both = [(GEN_AI_OUTPUT_MESSAGES, "today's"), (GEN_AI_RESPONSE_TEXT, r#"["old"]"#)];
        assert!(!reshaped(&both).0);
    }

    #[test]
    fn text_and_tool_calls_of_an_answer_are_parts_of_one_message() {
        let text = |text: &str| json!({"type": "text", "content": text});
        let answer = |parts: Json| (GEN_AI_OUTPUT_MESSAGES.to_owned(), json!([{"role": "assistant", "parts": parts}]));
        for (old, new) in [
            (r#"["a","b"]"#, json!([text("a"), text("b")])),
            (r#""a""#, json!([text("a")])),
            (r#"{"content":"a"}"#, json!([text("a")])),
            (r#"[{"content":"a"}]"#, json!([text("a")])),
        ] {
            assert_eq!(only(&[(GEN_AI_RESPONSE_TEXT, old)]), answer(new));
        }
        let call = json!({"type": "tool_call", "id": "1", "name": "f", "arguments": "{}"});
        for old in [
            r#"[{"id":"1","name":"f","arguments":"{}"}]"#,
            r#"[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]"#,
            r#"[{"toolCallId":"1","toolName":"f","input":"{}"}]"#,
        ] {
            let both = [(GEN_AI_RESPONSE_TEXT, "plain"), (GEN_AI_RESPONSE_TOOL_CALLS, old)];
            assert_eq!(only(&both), answer(json!([text("plain"), call])));
            assert_eq!(only(&both[1..]), answer(json!([call])));
        }
    }

    proptest! {
        #[test]
        fn reshaping_twice_changes_nothing_more(text in r#"[\[\]{}",:a0]{0,20}|\[\{"content":"[a-z]*"\}\]"#) {
            for key in [GEN_AI_REQUEST_MESSAGES, GEN_AI_RESPONSE_TEXT, GEN_AI_RESPONSE_TOOL_CALLS] {
                let mut attributes = vec![KeyValue::new(key, text.clone())];
                reshape(&mut attributes);
                let once = attributes.clone();
                prop_assert!(!reshape(&mut attributes));
                prop_assert_eq!(attributes, once);
            }
        }
    }
}
