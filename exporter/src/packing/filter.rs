//! Which spans and transactions does the application ignore?

use std::{
    error::Error,
    fmt,
    ops::{Bound, RangeBounds},
};

use opentelemetry::{KeyValue, Value, trace::SpanKind};
use opentelemetry_sentry_semantics::{Attributes, Description, cut, semconv};
use regex_lite::Regex;
use wildmatch::WildMatch;

use crate::{convert::http_status, trace::EndedSpan};

/// How many characters of a name are matched. Some patterns take long on long names.
const MAX_NAME: usize = 1024;

/// Matches spans or transactions that are not sent. A span matches if it meets all conditions of the filter.
///
/// Names and ops are those that Sentry shows, such as `GET /health` and `http.server`. A streamed span also matches by the
/// name with which it was started, and by the name and op that it would have in a transaction. A filter without conditions
/// matches nothing. A text converts to a filter by [a part of the name](Self::with_name_part), as in the `ignoreSpans` of
/// Sentry's SDKs; a text with a `*` to one by [the whole name](Self::with_name).
///
/// ```
/// use opentelemetry_sentry_exporter::{SentryExporter, SpanFilter};
///
/// let exporter = SentryExporter::builder()
///     .with_ignore_transactions(["GET /health*", "GET /metrics"])
///     .with_ignore_spans([
///         SpanFilter::new().with_op("db").with_name_regex("^(BEGIN|COMMIT)$"),
///         SpanFilter::new().with_attribute("peer.service", "statsd"),
///         SpanFilter::new().with_op("http.server").with_http_status(400..500),
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
    AttributePart(String, String),
    HttpStatus(Bound<u16>, Bound<u16>),
    Name(WildMatch),
    NamePart(String),
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

    /// Matches a name that contains this text. An empty text matches no name.
    pub fn with_name_part(self, part: impl Into<String>) -> Self {
        self.with(Condition::NamePart(part.into()))
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

    /// Matches an attribute with this value. A number matches its text, because `tracing` records some numbers as texts.
    /// Where the semantic conventions have renamed a key that this crate understands, such as `http.status_code`, the old
    /// and the new key are the same.
    pub fn with_attribute(self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.with(Condition::Attribute(key.into(), value.into()))
    }

    /// Matches an attribute whose value, as a text, contains this text. Old and new keys are the same, as in
    /// [`with_attribute`](Self::with_attribute). An empty text matches no value.
    pub fn with_attribute_part(self, key: impl Into<String>, part: impl Into<String>) -> Self {
        self.with(Condition::AttributePart(key.into(), part.into()))
    }

    /// Matches the status code of the HTTP response, such as `400..500` or `404..=404`. It is not known when a span starts, so
    /// it matches no [streamed](crate::TraceLifecycle::Stream) span.
    pub fn with_http_status(self, codes: impl RangeBounds<u16>) -> Self {
        self.with(Condition::HttpStatus(codes.start_bound().cloned(), codes.end_bound().cloned()))
    }

    fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    fn matches(&self, attributes: Attributes<'_>, description: &Description<'_>) -> bool {
        !self.conditions.is_empty() && self.conditions.iter().all(|condition| condition.holds(attributes, description))
    }
}

impl Condition {
    fn holds(&self, attributes: Attributes<'_>, description: &Description<'_>) -> bool {
        match self {
            Self::Attribute(key, value) => find(attributes, key).is_some_and(|found| is_same(found, value)),
            Self::AttributePart(key, part) => {
                !part.is_empty() && find(attributes, key).is_some_and(|found| found.as_str().contains(part.as_str()))
            }
            Self::HttpStatus(from, to) => http_status(attributes)
                .and_then(|code| u16::try_from(code).ok())
                .is_some_and(|code| (*from, *to).contains(&code)),
            Self::Name(pattern) => pattern.matches(cut(&description.name, MAX_NAME)),
            Self::NamePart(part) => !part.is_empty() && description.name.contains(part.as_str()),
            Self::NameRegex(regex) => regex.is_match(cut(&description.name, MAX_NAME)),
            Self::Op(pattern) => pattern.matches(description.op.as_deref().unwrap_or_default()),
        }
    }
}

impl From<&str> for SpanFilter {
    fn from(text: &str) -> Self {
        if text.contains('*') { Self::new().with_name(text) } else { Self::new().with_name_part(text) }
    }
}

/// The value of an attribute, under its key or under another name of it.
fn find<'a>(attributes: Attributes<'a>, key: &str) -> Option<&'a Value> {
    let names = RENAMED.iter().find(|(old, new)| key == *old || key == *new);
    attributes.get(key).or_else(|| names.and_then(|(old, new)| attributes.get(new).or_else(|| attributes.get(old))))
}

/// Whether a value is this one, or its text.
fn is_same(found: &Value, value: &Value) -> bool {
    found == value || found.as_str() == value.as_str()
}

/// The keys that the semantic conventions have renamed: old, new.
const RENAMED: [(&str, &str); 10] = [
    (semconv::HTTP_STATUS_CODE, semconv::HTTP_RESPONSE_STATUS_CODE),
    (semconv::HTTP_METHOD, semconv::HTTP_REQUEST_METHOD),
    (semconv::HTTP_URL, semconv::URL_FULL),
    (semconv::HTTP_TARGET, semconv::URL_PATH),
    (semconv::HTTP_SCHEME, semconv::URL_SCHEME),
    (semconv::HTTP_USER_AGENT, semconv::USER_AGENT_ORIGINAL),
    (semconv::DB_SYSTEM, semconv::DB_SYSTEM_NAME),
    (semconv::DB_STATEMENT, semconv::DB_QUERY_TEXT),
    (semconv::RPC_SYSTEM, semconv::RPC_SYSTEM_NAME),
    (semconv::MESSAGING_OPERATION, semconv::MESSAGING_OPERATION_TYPE),
];

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

    /// Whether a span is ignored. It matches by its name in Sentry, and by the name with which it was started.
    pub(crate) fn match_any(&self, span: &EndedSpan) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let described = span.attributes().describe(&span.name, &span.span_kind);
        let mut plain = described.clone();
        plain.name = (&*span.name).into();
        let all = [described, plain];
        self.0.iter().any(|filter| all.iter().any(|description| filter.matches(span.attributes(), description)))
    }

    /// Whether a streamed span that starts like this is ignored. It matches by its name and op in a stream, by those of
    /// transactions, which say more about a request without a route, and by the name with which it was started.
    pub(crate) fn match_start(&self, name: &str, kind: &SpanKind, attributes: &[KeyValue]) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let attributes = Attributes::new(attributes);
        let streamed = attributes.describe_streamed(name, kind);
        let mut plain = streamed.clone();
        plain.name = name.into();
        let all = [streamed, attributes.describe(name, kind), plain];
        self.0.iter().any(|filter| all.iter().any(|description| filter.matches(attributes, description)))
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::SpanData;

    use super::*;
    use crate::trace::fixtures::span;

    fn request(attributes: &[KeyValue]) -> EndedSpan {
        let method = KeyValue::new("http.request.method", "GET");
        let route = KeyValue::new("http.route", "/api/health");
        let attributes = [&[method, route], attributes].concat();
        let span = SpanData { span_kind: SpanKind::Server, attributes, ..(*span(1, 0)).clone() };
        let mut span = EndedSpan::from(span);
        span.index();
        span
    }

    fn is_ignored(filter: impl Into<SpanFilter>, attributes: &[KeyValue]) -> bool {
        let mut filters = Filters::default();
        filters.add([filter]);
        filters.match_any(&request(attributes))
    }

    #[test]
    fn a_text_is_a_part_of_the_name_and_with_a_star_all_of_it() {
        for (text, expected) in [
            ("health", true),
            ("GET /api", true),
            ("GET /api/health", true),
            ("Health", false),
            ("", false),
            ("GET /api*", true),
            ("*", true),
            ("/api*", false),
            ("*health", true),
        ] {
            assert_eq!(is_ignored(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn attributes_match_as_numbers_or_texts_and_under_both_keys() {
        let keys = ["http.response.status_code", "http.status_code"];
        let values: [Value; 2] = [404.into(), "404".into()];
        for (key, value) in keys.iter().flat_map(|key| values.iter().map(move |value| (*key, value.clone()))) {
            let attributes = [KeyValue::new(key, value)];
            let new = SpanFilter::new;
            for asked in keys {
                assert!(is_ignored(new().with_attribute(asked, 404), &attributes));
                assert!(is_ignored(new().with_attribute(asked, "404"), &attributes));
                assert!(is_ignored(new().with_attribute_part(asked, "40"), &attributes));
                assert!(!is_ignored(new().with_attribute(asked, 40), &attributes));
                assert!(!is_ignored(new().with_attribute_part(asked, ""), &attributes));
            }
            assert!(is_ignored(new().with_http_status(400..500), &attributes));
            assert!(is_ignored(new().with_http_status(404..=404), &attributes));
            assert!(is_ignored(new().with_http_status(..), &attributes));
            assert!(!is_ignored(new().with_http_status(500..), &attributes));
            assert!(!is_ignored(new().with_http_status(..404), &attributes));
        }
        assert!(!is_ignored(SpanFilter::new().with_http_status(..), &[]), "without a response");
    }
}
