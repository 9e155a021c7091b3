//! What must not be shown, and what stands in its place.
//!
//! | in | becomes |
//! | --- | --- |
//! | the text of an attribute whose key contains a word of [`SENSITIVE`] | `[Filtered]` |
//! | the value of a parameter in a URL's query whose name contains one | `[Filtered]` |
//! | user info in a URL, in any text | `[filtered]:[filtered]@` |
//! | what the application's own function says | what it returns |
//!
//! It happens to the spans themselves, before anything is read from them: names, contexts, tags and error events are
//! made of what is left.

use std::{borrow::Cow, fmt, sync::Arc};

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::semconv;

use crate::contain::contain;

/// What stands in the place of a value that must not be shown.
const FILTERED: &str = "[Filtered]";

/// What stands in the place of user info, as in Sentry's SDKs.
const FILTERED_USER: &str = "[filtered]:[filtered]@";

/// Parts of the keys of attributes whose text must not be shown, and their letters.
const SENSITIVE: [(&str, u32); 7] = [
    word("authorization"),
    word("cookie"),
    word("token"),
    word("secret"),
    word("password"),
    word("api-key"),
    word("api_key"),
];

/// The application's own function: a key and its value, and the value to show instead if it must not be shown.
type Own = dyn Fn(&str, &Value) -> Option<Value> + Send + Sync;

/// Takes out of spans what must not be shown.
#[derive(Clone)]
pub(crate) struct Scrubber {
    by_default: bool,
    own: Option<Arc<Own>>,
}

impl Default for Scrubber {
    fn default() -> Self {
        Self { by_default: true, own: None }
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber").field("by_default", &self.by_default).finish_non_exhaustive()
    }
}

impl Scrubber {
    pub(crate) const fn set_default(&mut self, on: bool) {
        self.by_default = on;
    }

    pub(crate) fn set_own(&mut self, own: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static) {
        self.own = Some(Arc::new(own));
    }

    pub(crate) fn scrub(&self, span: &mut SpanData) {
        if !self.by_default && self.own.is_none() {
            return;
        }
        self.scrub_attributes(&mut span.attributes);
        span.events.events.iter_mut().for_each(|event| self.scrub_attributes(&mut event.attributes));
        span.links.links.iter_mut().for_each(|link| self.scrub_attributes(&mut link.attributes));
        if !self.by_default {
            return;
        }
        let events = span.events.events.iter_mut().map(|event| &mut event.name);
        for text in events.chain([&mut span.name]) {
            replace(text);
        }
        if let Status::Error { description } = &mut span.status {
            replace(description);
        }
    }

    /// The resource as it may be shown.
    pub(crate) fn scrubbed(&self, resource: &Resource) -> Resource {
        let mut attributes: Vec<_> =
            resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        self.scrub_attributes(&mut attributes);
        Resource::builder_empty().with_attributes(attributes).build()
    }

    fn scrub_attributes(&self, attributes: &mut [KeyValue]) {
        for attribute in attributes {
            let key = attribute.key.as_str();
            if self.by_default {
                scrub_value(key, &mut attribute.value);
            }
            if let Some(own) = &self.own {
                // Of a function that fails nobody knows what it would have hidden.
                let filtered = || Some(Value::from(FILTERED));
                if let Some(value) = contain("scrubber", || own(key, &attribute.value)).unwrap_or_else(filtered) {
                    attribute.value = value;
                }
            }
        }
    }
}

fn scrub_value(key: &str, value: &mut Value) {
    match value {
        Value::String(text) if is_sensitive(key) && !is_count(key, text.as_str()) => *value = FILTERED.into(),
        Value::Array(Array::String(_)) if is_sensitive(key) => *value = FILTERED.into(),
        Value::String(text) => {
            scrub_text(text);
            if let Some(shown) = query_of(key, text.as_str()).and_then(|start| without_secrets(text.as_str(), start)) {
                *text = shown.into();
            }
        }
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(scrub_text),
        // Numbers and flags are no secrets, whatever they are called.
        _ => {}
    }
}

fn scrub_text(text: &mut StringValue) {
    if let Some(shown) = without_user_info(text.as_str()) {
        *text = shown.into();
    }
}

fn replace(text: &mut Cow<'static, str>) {
    if let Some(shown) = without_user_info(text) {
        *text = shown.into();
    }
}

/// Whether a key speaks of a secret. Most do not: a word is only looked for where all of its letters are.
pub(crate) fn is_sensitive(key: &str) -> bool {
    let has = letters(key);
    let contains =
        |word: &str| key.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    SENSITIVE.iter().any(|(word, letters)| has & letters == *letters && contains(word))
}

const fn word(word: &'static str) -> (&'static str, u32) {
    (word, letters(word))
}

/// A bit for each letter of a text, in whatever case; other characters share these bits.
const fn letters(text: &str) -> u32 {
    let mut letters = 0;
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        letters |= 1 << (*first & 31);
        rest = others;
    }
    letters
}

/// How many tokens a generative model used is no secret; `tracing` makes text of unsigned numbers.
fn is_count(key: &str, text: &str) -> bool {
    key.ends_with("tokens") && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where the query begins, if the attribute has one.
fn query_of(key: &str, text: &str) -> Option<usize> {
    match key {
        semconv::URL_QUERY | semconv::SENTRY_HTTP_QUERY => Some(0),
        semconv::URL_FULL | semconv::HTTP_URL | semconv::HTTP_TARGET | semconv::SENTRY_URL => {
            text.find('?').map(|mark| mark + 1)
        }
        _ => None,
    }
}

/// The text with the secrets of its query filtered; `None` if there is none.
fn without_secrets(text: &str, start: usize) -> Option<String> {
    let (before, rest) = text.split_at(start);
    let (query, after) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let shown = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if is_sensitive(name) => format!("{name}={FILTERED}"),
        _ => parameter.to_owned(),
    };
    let has_secret =
        query.split('&').any(|parameter| parameter.split_once('=').is_some_and(|(name, _)| is_sensitive(name)));
    has_secret.then(|| format!("{before}{}{after}", query.split('&').map(shown).collect::<Vec<_>>().join("&")))
}

/// The text with the user info of all its URLs filtered; `None` if there is none.
fn without_user_info(text: &str) -> Option<String> {
    const MARK: &str = "://";
    if !text.as_bytes().contains(&b'@') {
        return None;
    }
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(MARK) {
        let (before, after) = rest.split_at(start + MARK.len());
        let ends = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>') || c.is_whitespace();
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        shown.push_str(before);
        rest = after;
        if let Some(end) = authority.rfind('@') {
            shown.push_str(FILTERED_USER);
            rest = &after[end + 1..];
        }
    }
    shown.push_str(rest);
    (shown != text).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_is_filtered_wherever_a_url_stands() {
        for (text, shown) in [
            ("https://user:pw@h.io:443/a?x#y", "https://[filtered]:[filtered]@h.io:443/a?x#y"),
            ("postgres://me:p@ss@db/shop", "postgres://[filtered]:[filtered]@db/shop"),
            (
                "failed: https://u@h/ and ftp://a:b@c",
                "failed: https://[filtered]:[filtered]@h/ and ftp://[filtered]:[filtered]@c",
            ),
            ("://@", "://[filtered]:[filtered]@"),
        ] {
            assert_eq!(without_user_info(text).as_deref(), Some(shown));
        }
        for text in ["a@b.c", "https://h/@me", "https://h/?to=a@b", "", "://", "é://ü", "https://h/ mail me@h"] {
            assert_eq!(without_user_info(text), None, "{text}");
        }
    }

    #[test]
    fn keys_that_speak_of_secrets_are_known() {
        for key in
            ["authorization", "http.request.header.Cookie", "x-api-key", "dbPassword", "refresh_token", "SECRETS"]
        {
            assert!(is_sensitive(key), "{key}");
        }
        for key in ["http.route", "", "toke", "passwor", "apikey", "é", "author"] {
            assert!(!is_sensitive(key), "{key}");
        }
        assert!(is_count("gen_ai.usage.input_tokens", "42") && !is_count("token", "42") && !is_count("tokens", "x"));
    }

    #[test]
    fn secrets_in_queries_are_filtered() {
        let shown = |key: &str, text: &str| {
            let mut value = Value::from(text.to_owned());
            scrub_value(key, &mut value);
            value.as_str().into_owned()
        };
        assert_eq!(
            shown("url.full", "https://u@h/a?x=1&API_KEY=2&t#f"),
            "https://[filtered]:[filtered]@h/a?x=1&API_KEY=[Filtered]&t#f"
        );
        assert_eq!(shown("url.query", "access_token=a=b&token"), "access_token=[Filtered]&token");
        assert_eq!(shown("http.target", "/token=1?page=2"), "/token=1?page=2");
        assert_eq!(shown("db.query.text", "SELECT '?token=1'"), "SELECT '?token=1'");
    }

    proptest::proptest! {
        #[test]
        fn nothing_else_changes(text in ".{0,40}(://.{0,20}@.{0,20}){0,3}") {
            let shown = without_user_info(&text).unwrap_or_else(|| text.clone());
            proptest::prop_assert_eq!(without_user_info(&shown).unwrap_or_else(|| shown.clone()), shown);
        }
    }
}
