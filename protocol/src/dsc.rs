//! The dynamic sampling context: what every service of a trace knows about the one where it began.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    sync::Arc,
};

use crate::{
    dsn::number,
    essentials::Essentials,
    member::{self, PREFIX},
    percent,
    sampling::{SampleRand, SampleRate},
};

/// The [dynamic sampling context] (DSC) of a trace: the `sentry-` members of `baggage`.
///
/// The service where a trace begins fills it in, and all others pass it on unchanged. It is stored as the text that came
/// in, so that exactly that text goes out again; the accessors decode it. Every value is a string.
///
/// | key | value |
/// | --- | --- |
/// | `trace_id` | the trace |
/// | `public_key`, `org_id` | the project (by its key) and the organisation of the service where the trace began |
/// | `release`, `environment`, `transaction` | of the same service, and the name of the transaction that began there |
/// | `sample_rate`, `sample_rand`, `sampled` | the sampling decision and what it was made from |
///
/// ```
/// use opentelemetry_sentry_protocol::DynamicSamplingContext;
///
/// let dsc: DynamicSamplingContext = "sentry-release=shop%401.2.3,sentry-sampled=true,other=1".parse()?;
/// assert_eq!(dsc.get("release").as_deref(), Some("shop@1.2.3"));
/// assert_eq!(dsc.to_string(), "sentry-release=shop%401.2.3,sentry-sampled=true");
/// # Ok::<(), std::convert::Infallible>(())
/// ```
///
/// [dynamic sampling context]: https://develop.sentry.dev/sdk/telemetry/traces/dynamic-sampling-context/
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DynamicSamplingContext {
    text: Arc<str>,
}

impl DynamicSamplingContext {
    /// Makes a context from decoded keys (without `sentry-`) and values. Empty values are left out.
    #[must_use]
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (key, value) in entries {
            write_member(&mut text, key, value);
        }
        Self::from_text(text)
    }

    /// Whether it has no entries. A trace that was continued without Sentry members keeps an empty context to its end.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The decoded value of a key, such as `release`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let (_, value, _) = self.members().find(|(name, ..)| name == key)?;
        percent::decode(value)
    }

    /// All entries with decoded keys (without `sentry-`) and values.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.members().filter_map(|(key, value, _)| Some((key, percent::decode(value)?)))
    }

    /// The rate that was applied; `None` if it is missing or invalid.
    #[must_use]
    pub fn sample_rate(&self) -> Option<SampleRate> {
        self.get("sample_rate")?.parse().ok()
    }

    /// The random value of the trace; `None` if it is missing or invalid.
    #[must_use]
    pub fn sample_rand(&self) -> Option<SampleRand> {
        self.get("sample_rand")?.parse().ok()
    }

    /// The decision; `None` if it is missing or neither `true` nor `false`.
    #[must_use]
    pub fn sampled(&self) -> Option<bool> {
        self.get("sampled")?.parse().ok()
    }

    /// The organisation; `None` if it is missing or not a number.
    #[must_use]
    pub fn org_id(&self) -> Option<u64> {
        number(self.get("org_id")?.trim())
    }

    /// The same context with one value replaced, or added at the end.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut text = String::with_capacity(self.text.len() + key.len() + value.len() + 16);
        let mut replaced = false;
        for (name, _, member) in self.members() {
            if name == key {
                write_member(&mut text, key, value);
                replaced = true;
            } else {
                member::push(&mut text, member);
            }
        }
        if !replaced {
            write_member(&mut text, key, value);
        }
        Self::from_text(text)
    }

    /// The text, shared: cheap to put into an attribute.
    #[must_use]
    pub fn as_text(&self) -> &Arc<str> {
        &self.text
    }

    pub(crate) fn from_text(text: String) -> Self {
        Self { text: text.into() }
    }

    /// The entries that the continuation of a trace depends on, read in one pass.
    pub(crate) fn essentials(&self) -> Essentials {
        Essentials::of(self.members().map(|(key, value, _)| (key, value)))
    }

    /// The decoded key, the encoded value and the whole text of each member.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, &str, &str)> {
        member::split(&self.text).filter_map(|member| {
            let (key, value) = member::split_once(member, b'=')?;
            Some((member::sentry_key(key)?, value, member))
        })
    }
}

impl fmt::Display for DynamicSamplingContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Appends `sentry-key=value` unless the value is missing. The value must not need encoding.
pub(crate) fn write_plain(text: &mut String, key: &str, value: Option<impl fmt::Display>) {
    if let Some(value) = value {
        write_key(text, key);
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{value}");
    }
}

/// Appends `sentry-key=value`, encoded, unless the value is empty.
pub(crate) fn write_member(text: &mut String, key: &str, value: &str) {
    if !key.is_empty() && !value.is_empty() {
        write_key(text, key);
        percent::encode(text, value);
    }
}

/// Appends `sentry-key=`.
pub(crate) fn write_key(text: &mut String, key: &str) {
    member::push(text, PREFIX);
    percent::encode(text, key);
    text.push('=');
}
