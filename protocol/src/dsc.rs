//! The dynamic sampling context: what a whole trace knows about its head.

use std::{borrow::Cow, convert::Infallible, fmt, fmt::Write as _, str::FromStr, sync::Arc};

use crate::{
    Decision, SampleRand, SampleRate,
    baggage::{self, Baggage},
    percent::{self, Encoded},
};

/// The [dynamic sampling context] (DSC) of a trace: the `sentry-` members of `baggage`.
///
/// The head of a trace fills it in, everybody after it passes it on. It is kept as the text that came in, so that it
/// leaves as it came; the accessors decode. Every value is a string.
///
/// | key | value |
/// | --- | --- |
/// | `trace_id`, `public_key`, `org_id` | which trace, whose project and organisation |
/// | `release`, `environment`, `transaction` | of the service that began the trace |
/// | `sample_rate`, `sample_rand`, `sampled` | how it was decided |
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
    /// Makes a context of decoded keys (without `sentry-`) and values; empty values are left out.
    #[must_use]
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (key, value) in entries {
            write_member(&mut text, key, value);
        }
        Self::from_text(text)
    }

    /// Whether it has no entry. A trace continued without Sentry members keeps such an empty context to its end.
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

    /// The rate that was applied, if there is a valid one.
    #[must_use]
    pub fn sample_rate(&self) -> Option<SampleRate> {
        self.get("sample_rate")?.parse().ok()
    }

    /// The random value of the trace, if there is a valid one.
    #[must_use]
    pub fn sample_rand(&self) -> Option<SampleRand> {
        self.get("sample_rand")?.parse().ok()
    }

    /// The decision; `None` when it is missing or neither `true` nor `false`.
    #[must_use]
    pub fn sampled(&self) -> Option<bool> {
        self.get("sampled")?.parse().ok()
    }

    /// The organisation; `None` when it is missing or not a number.
    #[must_use]
    pub fn org_id(&self) -> Option<u64> {
        crate::dsn::number(self.get("org_id")?.trim())
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
                baggage::push(&mut text, member);
            }
        }
        if !replaced {
            write_member(&mut text, key, value);
        }
        Self::from_text(text)
    }

    /// The same context with a decision written into it that was made here: its rate, and whether it is kept where the
    /// context says that. An empty one stays empty, and an inherited decision changes nothing.
    #[must_use]
    pub fn with_decision(&self, decision: &Decision) -> Self {
        let Some(rate) = decision.sample_rate.filter(|_| !self.is_empty()) else { return self.clone() };
        let applied = self.with("sample_rate", &rate.to_string());
        match (decision.sampled, self.sampled()) {
            (Some(sampled), Some(said)) if sampled != said => applied.with("sampled", &sampled.to_string()),
            _ => applied,
        }
    }

    /// The text, shared: cheap to put into an attribute.
    #[must_use]
    pub fn as_text(&self) -> &Arc<str> {
        &self.text
    }

    pub(crate) fn from_text(text: String) -> Self {
        Self { text: text.into() }
    }

    /// What the sampling of a continued trace needs, read in one go.
    pub(crate) fn sampling(&self) -> Sampling {
        let mut sampling = Sampling::default();
        for (key, value, _) in self.members() {
            // Numbers and words of these have nothing to decode; if they do, it can wait.
            let value = || percent::decode(value).unwrap_or_default();
            match &*key {
                "sample_rand" => sampling.rand = value().parse().ok(),
                "sample_rate" => sampling.rate = value().parse().ok(),
                "sampled" => sampling.sampled = value().parse().ok(),
                _ => {}
            }
            sampling.has_more |= key != "sample_rand";
        }
        sampling
    }

    /// Decoded key, encoded value and the whole member.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, &str, &str)> {
        let members = self.text.split(',').filter(|member| !member.is_empty());
        members.filter_map(|member| {
            let (key, value) = baggage::split_once(member, b'=')?;
            Some((baggage::sentry_key(key)?, value, member))
        })
    }
}

/// The entries of a context that decide about sampling.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    pub(crate) rand: Option<SampleRand>,
    pub(crate) rate: Option<SampleRate>,
    pub(crate) sampled: Option<bool>,
    /// Whether there is an entry beside the random value.
    pub(crate) has_more: bool,
}

impl FromStr for DynamicSamplingContext {
    type Err = Infallible;

    /// Reads a `baggage` header and keeps its Sentry members; what is not readable is left out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Baggage::parse([text]).into_dsc().unwrap_or_default())
    }
}

impl fmt::Display for DynamicSamplingContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Appends `sentry-key=value` for a value that needs no encoding, if there is one.
pub(crate) fn write_plain(text: &mut String, key: &str, value: Option<impl fmt::Display>) {
    if let Some(value) = value {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{}{key}={value}", baggage::PREFIX);
    }
}

/// Appends `sentry-key=value`, encoded; an empty value is left out.
pub(crate) fn write_member(text: &mut String, key: &str, value: &str) {
    if key.is_empty() || value.is_empty() {
        return;
    }
    let comma = if text.is_empty() { "" } else { "," };
    // Writing to a String cannot fail.
    let _ = write!(text, "{comma}{}{}={}", baggage::PREFIX, Encoded(key), Encoded(value));
}
