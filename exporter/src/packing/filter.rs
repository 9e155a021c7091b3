//! Which spans and transactions does the application ignore?

use std::{error::Error, fmt};

use opentelemetry::Value;
use opentelemetry_sentry_semantics::{Description, cut};
use regex_lite::Regex;
use wildmatch::WildMatch;

use crate::trace::EndedSpan;

/// How many characters of a name are matched. Some patterns take long on long names.
const MAX_NAME: usize = 1024;

/// Matches spans or transactions that are not sent. A span matches if it meets all conditions of the filter.
///
/// Names and ops are those that Sentry shows, such as `GET /health` and `http.server`. A filter without conditions
/// matches nothing. A text converts to a filter by name.
///
/// ```
/// use opentelemetry_sentry_exporter::{SentryExporter, SpanFilter};
///
/// let exporter = SentryExporter::builder()
///     .with_ignore_transactions(["GET /health*", "GET /metrics"])
///     .with_ignore_spans([
///         SpanFilter::new().with_op("db").with_name_regex("^(BEGIN|COMMIT)$"),
///         SpanFilter::new().with_attribute("peer.service", "statsd"),
///     ])
///     .build()?;
/// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SpanFilter {
    conditions: Vec<Condition>,
    /// The first invalid pattern. `build` returns it as an error, because setters cannot fail.
    broken: Option<BrokenPattern>,
}

/// An invalid regular expression.
#[derive(Clone, Debug)]
pub(crate) struct BrokenPattern {
    pub(crate) pattern: String,
    pub(crate) error: regex_lite::Error,
}

impl fmt::Display for BrokenPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with_name_regex: {:?} is not a valid regular expression: {}", self.pattern, self.error)
    }
}

impl Error for BrokenPattern {}

#[derive(Clone, Debug)]
enum Condition {
    Attribute(String, Value),
    Name(WildMatch),
    NameRegex(Regex),
    Op(WildMatch),
}

impl SpanFilter {
    /// A filter without conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Matches the name, such as `GET /users/:id`. `*` matches any text, and `?` one character.
    pub fn with_name(self, pattern: &str) -> Self {
        self.with(Condition::Name(WildMatch::new(pattern)))
    }

    /// Matches the name by a regular expression, anywhere in it. An invalid one is an error of
    /// [`build`](crate::SentryExporterBuilder::build).
    pub fn with_name_regex(mut self, pattern: &str) -> Self {
        match Regex::new(pattern) {
            Ok(regex) => self.with(Condition::NameRegex(regex)),
            Err(error) => {
                self.broken = Some(BrokenPattern { pattern: pattern.to_owned(), error });
                self
            }
        }
    }

    /// Matches the op, such as `db`. `*` matches any text, and `?` one character. A span without an op has an empty
    /// one.
    pub fn with_op(self, pattern: &str) -> Self {
        self.with(Condition::Op(WildMatch::new(pattern)))
    }

    /// Matches an attribute with exactly this value. The number 200 does not match the text `200`.
    pub fn with_attribute(self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.with(Condition::Attribute(key.into(), value.into()))
    }

    fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    fn matches(&self, span: &EndedSpan, description: &Description<'_>) -> bool {
        !self.conditions.is_empty() && self.conditions.iter().all(|condition| condition.holds(span, description))
    }
}

impl Condition {
    fn holds(&self, span: &EndedSpan, description: &Description<'_>) -> bool {
        match self {
            Self::Attribute(key, value) => span.attributes().get(key) == Some(value),
            Self::Name(pattern) => pattern.matches(cut(&description.name, MAX_NAME)),
            Self::NameRegex(regex) => regex.is_match(cut(&description.name, MAX_NAME)),
            Self::Op(pattern) => pattern.matches(description.op.as_deref().unwrap_or_default()),
        }
    }
}

impl From<&str> for SpanFilter {
    fn from(pattern: &str) -> Self {
        Self::new().with_name(pattern)
    }
}

/// A list of filters. A span is ignored if any of them matches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters(Vec<SpanFilter>);

impl Filters {
    pub(crate) fn add(&mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) {
        self.0.extend(filters.into_iter().map(Into::into));
    }

    /// The first invalid pattern, if there is one.
    pub(crate) fn broken(&self) -> Option<BrokenPattern> {
        self.0.iter().find_map(|filter| filter.broken.clone())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn match_any(&self, span: &EndedSpan) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let description = span.attributes().describe(&span.name, &span.span_kind);
        self.0.iter().any(|filter| filter.matches(span, &description))
    }
}
