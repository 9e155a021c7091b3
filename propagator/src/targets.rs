//! Which URLs get headers. The rules are in the guide, page `headers`, section "Where headers go".

use std::{error::Error, fmt};

use opentelemetry::propagation::Injector;
use opentelemetry_sentry_protocol::{Dsn, InvalidDsn};
use opentelemetry_sentry_semantics::host_of_url;
use regex_lite::{Regex, RegexBuilder};

/// The URLs that trace headers are sent to: Sentry's [`tracePropagationTargets`].
///
/// A target is a text that occurs in the URL, or a regular expression that matches anywhere in it; both ignore case. If no
/// target is set, headers are sent to every URL.
///
/// ```
/// use std::collections::HashMap;
/// use opentelemetry::propagation::Injector;
/// use opentelemetry_sentry_propagator::PropagationTargets;
///
/// let targets = PropagationTargets::builder()
///     .with_text("api.example.com")
///     .with_regex(r"^https://[a-z]+\.internal/")
///     .build()?;
/// assert!(targets.matches("https://API.example.com/users"));
/// assert!(!targets.matches("https://example.org/"));
///
/// // A propagator does not know the URL, but its injector does:
/// let mut headers = HashMap::new();
/// let mut injector = targets.injector("https://example.org/", &mut headers);
/// injector.set("sentry-trace", "…".to_owned());
/// drop(injector);
/// assert!(headers.is_empty());
/// # Ok::<(), opentelemetry_sentry_propagator::InvalidTarget>(())
/// ```
///
/// [`tracePropagationTargets`]: https://docs.sentry.io/platforms/javascript/configuration/options/#tracePropagationTargets
#[derive(Clone, Debug, Default)]
pub struct PropagationTargets {
    /// `None` means every URL.
    targets: Option<Vec<Target>>,
    /// The hosts that never get headers, as `host:port` in lower case.
    never: Vec<String>,
}

#[derive(Clone, Debug)]
enum Target {
    /// In lower case.
    Text(String),
    Regex(Regex),
}

impl Target {
    fn matches(&self, url: &str, lower_case: &str) -> bool {
        match self {
            Self::Text(text) => lower_case.contains(text),
            Self::Regex(regex) => regex.is_match(url),
        }
    }
}

impl PropagationTargets {
    /// Every URL.
    #[must_use]
    pub fn everywhere() -> Self {
        Self::default()
    }

    /// No URL at all.
    #[must_use]
    pub const fn nowhere() -> Self {
        Self { targets: Some(Vec::new()), never: Vec::new() }
    }

    /// A builder, to which targets are added one by one.
    pub fn builder() -> PropagationTargetsBuilder {
        PropagationTargetsBuilder::default()
    }

    /// Whether headers are sent to this URL.
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        let lower_case = url.to_lowercase();
        let is_wanted = |targets: &Vec<Target>| targets.iter().any(|target| target.matches(url, &lower_case));
        self.targets.as_ref().is_none_or(is_wanted) && !self.is_never(url)
    }

    /// Whether headers are sent where the URL is not known, as in a part of a client that sees only the path: yes, unless
    /// there is no target at all.
    #[must_use]
    pub fn matches_unknown(&self) -> bool {
        self.targets.as_ref().is_none_or(|targets| !targets.is_empty())
    }

    /// An injector for a request to this URL: it passes all headers on to `inner`, or none if the URL is not a target.
    pub fn injector<'a>(&self, url: &str, inner: &'a mut dyn Injector) -> impl Injector + 'a {
        Filtered { inner: self.matches(url).then_some(inner) }
    }

    /// Whether the host of this URL never gets headers.
    fn is_never(&self, url: &str) -> bool {
        !self.never.is_empty() && host_of_url(url).is_some_and(|host| self.never.contains(&host))
    }
}

struct Filtered<'a> {
    inner: Option<&'a mut dyn Injector>,
}

impl Injector for Filtered<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let Some(inner) = &mut self.inner {
            inner.set(key, value);
        }
    }

    fn reserve(&mut self, additional: usize) {
        if let Some(inner) = &mut self.inner {
            inner.reserve(additional);
        }
    }
}

/// Builds [`PropagationTargets`].
#[derive(Debug, Default)]
#[must_use]
pub struct PropagationTargetsBuilder {
    targets: Vec<Pattern>,
    dsns: Vec<Result<Dsn, InvalidDsn>>,
}

#[derive(Debug)]
enum Pattern {
    Text(String),
    Regex(String),
}

impl PropagationTargetsBuilder {
    /// Adds a text that must occur in the URL; the empty text occurs in every URL. Defaults to no texts.
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.targets.push(Pattern::Text(text.into()));
        self
    }

    /// Adds a regular expression that must match anywhere in the URL, in the syntax of the crate `regex`. Defaults to no
    /// expressions.
    pub fn with_regex(mut self, pattern: impl Into<String>) -> Self {
        self.targets.push(Pattern::Regex(pattern.into()));
        self
    }

    /// Excludes the host of a DSN, even if a target matches: requests to Sentry itself never carry trace headers. Defaults
    /// to no exclusions.
    pub fn without_dsn(mut self, dsn: impl AsRef<str>) -> Self {
        self.dsns.push(dsn.as_ref().parse());
        self
    }

    /// Builds the targets.
    ///
    /// # Errors
    ///
    /// If a regular expression or a DSN is invalid.
    pub fn build(self) -> Result<PropagationTargets, InvalidTarget> {
        let compile = |pattern| match pattern {
            Pattern::Text(text) => Ok(Target::Text(text.to_lowercase())),
            Pattern::Regex(pattern) => match RegexBuilder::new(&pattern).case_insensitive(true).build() {
                Ok(regex) => Ok(Target::Regex(regex)),
                Err(error) => Err(InvalidTarget { kind: Kind::Regex(pattern, error) }),
            },
        };
        let never = |dsn: Result<Dsn, InvalidDsn>| {
            let dsn = dsn.map_err(|error| InvalidTarget { kind: Kind::Dsn(error) })?;
            Ok(host_of_url(&dsn.envelope_url()).unwrap_or_default())
        };
        let targets: Vec<_> = self.targets.into_iter().map(compile).collect::<Result<_, _>>()?;
        let never: Vec<_> = self.dsns.into_iter().map(never).collect::<Result<_, _>>()?;
        let targets = Some(targets).filter(|targets| !targets.is_empty());
        Ok(PropagationTargets { targets, never })
    }
}

/// A regular expression or a DSN is invalid. The message names the setting, what was expected and what was found (never a
/// secret); it contains the message of the source.
pub struct InvalidTarget {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Regex(String, regex_lite::Error),
    Dsn(InvalidDsn),
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Regex(pattern, error) => {
                write!(f, "with_regex: a target must be a regular expression, found {pattern:?}: {error}")
            }
            Kind::Dsn(error) => write!(f, "without_dsn: {error}"),
        }
    }
}

opentelemetry_sentry_protocol::__shared::debug_as_message!(InvalidTarget);

impl Error for InvalidTarget {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Regex(_, error) => Some(error),
            Kind::Dsn(error) => Some(error),
        }
    }
}
