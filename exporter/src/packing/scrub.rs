//! Hides secrets in spans. The rules are in the guide, page `privacy`.
//!
//! It changes the spans before anything else reads them, so names, contexts, tags and error events cannot contain what
//! is hidden.

use std::{borrow::Cow, fmt, sync::Arc};

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_semantics::{is_sensitive, semconv, without_parameters, without_secrets};

use super::contain::contain;
use crate::trace::Start;

/// Replaces a value that is hidden.
const FILTERED: &str = "[Filtered]";

/// The application's own function. For a key and its value it returns the value to send instead, if it must be hidden.
type Own = dyn Fn(&str, &Value) -> Option<Value> + Send + Sync;

/// Hides secrets.
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

    /// Hides secrets in the text and the attributes of a log.
    pub(crate) fn scrub_log(&self, body: &mut String, attributes: &mut [KeyValue]) {
        self.scrub_attributes(attributes);
        if let Some(shown) = without_secrets(body).filter(|_| self.by_default) {
            *body = shown;
        }
    }

    /// Hides secrets in how a local root started: its name is made of this.
    pub(super) fn scrub_start(&self, start: &mut Start) {
        self.scrub_attributes(&mut start.attributes);
        if self.by_default {
            replace(&mut start.name);
        }
    }

    /// The resource without its secrets.
    pub(crate) fn scrubbed(&self, resource: &Resource) -> Resource {
        let mut attributes: Vec<_> =
            resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        self.scrub_attributes(&mut attributes);
        Resource::builder_empty().with_attributes(attributes).build()
    }

    pub(super) fn scrub_attributes(&self, attributes: &mut [KeyValue]) {
        for attribute in attributes {
            let key = attribute.key.as_str();
            if self.by_default {
                scrub_value(key, &mut attribute.value);
            }
            if let Some(own) = &self.own {
                // If the scrubber panics we cannot know what it meant to hide, so hide the value.
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
            let is_query = matches!(key, semconv::URL_QUERY | semconv::SENTRY_HTTP_QUERY | semconv::HTTP_TARGET);
            let shown = if is_query { without_parameters(text.as_str()) } else { without_secrets(text.as_str()) };
            if let Some(shown) = shown {
                *text = shown.into();
            }
        }
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(scrub_text),
        // Numbers and flags are never secrets, even if their key looks like one.
        _ => {}
    }
}

fn scrub_text(text: &mut StringValue) {
    if let Some(shown) = without_secrets(text.as_str()) {
        *text = shown.into();
    }
}

fn replace(text: &mut Cow<'static, str>) {
    if let Some(shown) = without_secrets(text) {
        *text = shown.into();
    }
}

/// Whether a value is a number of tokens, of a generative model, which is not a secret. `tracing` records unsigned
/// numbers as text.
fn is_count(key: &str, text: &str) -> bool {
    let is_of_tokens = key.ends_with("tokens") || key.starts_with("gen_ai.usage.");
    is_of_tokens && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_tokens_used_is_not_a_secret() {
        assert!(is_count("gen_ai.usage.input_tokens", "42") && is_count("gen_ai.usage.input_tokens.cached", "42"));
        assert!(!is_count("token", "42") && !is_count("tokens", "x"));
    }

    #[test]
    fn secrets_of_urls_are_filtered_in_queries_and_in_other_texts() {
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
        assert_eq!(shown("http.target", "/token=1?token=2"), "/token=1?token=[Filtered]");
        assert_eq!(shown("db.query.text", "SELECT '?token=1'"), "SELECT '?token=1'");
    }
}
