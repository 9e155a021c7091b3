//! Rate limits by category. The rules are in the guide, page `delivery`, section "Rate limits".
//!
//! Specification: <https://develop.sentry.dev/sdk/expected-features/rate-limiting/>

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use web_time::Instant;

const RATE_LIMITS: &str = "x-sentry-rate-limits";

/// How long a 429 without a readable duration applies.
const UNSPECIFIED: Duration = Duration::from_secs(60);

/// The longest limit. If the server means a longer one, it repeats it in its next answer. A mistake must not silence a
/// service until it is restarted.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A kind of data that the server can limit separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    Default,
    Error,
    LogByte,
    LogItem,
    MetricBucket,
    Monitor,
    Security,
    Span,
    TraceMetric,
    TraceMetricByte,
    Transaction,
    /// Reports of losses, which the server never limits.
    ClientReport,
}

/// The names of the categories in the header.
const WORDS: [(&str, Category); 11] = [
    ("default", Category::Default),
    ("error", Category::Error),
    ("log_byte", Category::LogByte),
    ("log_item", Category::LogItem),
    ("metric_bucket", Category::MetricBucket),
    ("monitor", Category::Monitor),
    ("security", Category::Security),
    ("span", Category::Span),
    ("trace_metric", Category::TraceMetric),
    ("trace_metric_byte", Category::TraceMetricByte),
    ("transaction", Category::Transaction),
];

/// The limits that the server has set. They take a fixed amount of memory: unknown categories are not stored.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    /// When the limit on all categories ends. It is separate, because a category that is seen later is under it too.
    all: Option<Instant>,
    /// When the limit on a category ends.
    by_category: BTreeMap<Category, Instant>,
}

impl RateLimits {
    /// Takes in the limits of an answer. No answer makes an earlier limit shorter.
    ///
    /// `wall` is compared with an HTTP date in `Retry-After`.
    pub(crate) fn update(&mut self, status: u16, headers: &HeaderMap, now: Instant, wall: SystemTime) {
        let lines = texts(headers, RATE_LIMITS).filter(|line| !line.trim().is_empty());
        let (mut has_limits, mut is_readable) = (false, false);
        for line in lines {
            has_limits = true;
            for limit in line.split(',') {
                is_readable |= self.limit(limit, now);
            }
        }
        if is_readable || status != StatusCode::TOO_MANY_REQUESTS.as_u16() {
            return;
        }
        let after = texts(headers, RETRY_AFTER.as_str()).filter_map(|text| retry_after(&text, wall)).max();
        // Limits that cannot be read say that not everything is limited.
        let default = if has_limits { None } else { Some(UNSPECIFIED) };
        if let Some(after) = after.or(default) {
            self.extend(None, now + after);
        }
    }

    /// Whether this category is limited now. Logs and metrics have two: their number and their bytes.
    pub(crate) fn is_limited(&self, category: Category, now: Instant) -> bool {
        let is_one = |category| self.until(category, now).is_some();
        let bytes = match category {
            Category::LogItem => Some(Category::LogByte),
            Category::TraceMetric => Some(Category::TraceMetricByte),
            _ => None,
        };
        is_one(category) || bytes.is_some_and(is_one)
    }

    /// When the current limit on this category ends, if there is one.
    pub(crate) fn until(&self, category: Category, now: Instant) -> Option<Instant> {
        if category == Category::ClientReport {
            return None;
        }
        // A limit on the category that has ended must not hide one on all categories.
        self.all.max(self.by_category.get(&category).copied()).filter(|until| *until > now)
    }

    /// Takes one limit of the header: `seconds:categories:scope:reason:namespaces`, where the end may be missing. Returns
    /// whether it can be read.
    fn limit(&mut self, limit: &str, now: Instant) -> bool {
        let mut parts = limit.split(':').map(str::trim);
        let Some(duration) = parts.next().and_then(parse_seconds) else { return false };
        let until = now + duration;
        let categories = parts.next().unwrap_or_default();
        if categories.is_empty() {
            self.extend(None, until);
            return true;
        }
        let namespaces = parts.nth(2).unwrap_or_default();
        let is_ours = namespaces.is_empty() || namespaces.split(';').any(|namespace| namespace.trim() == "custom");
        for word in categories.split(';').map(str::trim) {
            let known = WORDS.iter().find(|(known, _)| *known == word);
            match known.map(|(_, category)| *category) {
                Some(Category::MetricBucket) if !is_ours => {}
                Some(category) => self.extend(Some(category), until),
                None => {}
            }
        }
        true
    }

    /// Sets a limit on a category, or on all of them, unless an earlier one ends later.
    fn extend(&mut self, category: Option<Category>, until: Instant) {
        match category {
            None => self.all = self.all.max(Some(until)),
            Some(category) => {
                let limit = self.by_category.entry(category).or_insert(until);
                *limit = until.max(*limit);
            }
        }
    }
}

/// The pause that an answer asks for in `Retry-After`.
pub(super) fn asked_pause(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    /// A mistake must not hold an envelope longer than an outage does.
    const LONGEST: Duration = Duration::from_secs(10 * 60);
    texts(headers, RETRY_AFTER.as_str())
        .filter_map(|text| retry_after(&text, wall))
        .max()
        .map(|pause| pause.min(LONGEST))
}

/// All lines of a header. Bytes that are not UTF-8 invalidate one limit, but not the others in the line.
fn texts<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()))
}

fn retry_after(text: &str, wall: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let until = |date: SystemTime| date.duration_since(wall).unwrap_or_default().min(LONGEST);
    parse_seconds(text).or_else(|| httpdate::parse_http_date(text).ok().map(until))
}

/// Seconds, which may have decimals. A sign and an exponent, which Rust's parser accepts, are invalid.
fn parse_seconds(text: &str) -> Option<Duration> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse::<f64>().ok().filter(|_| is_number)?;
    // A number with hundreds of digits parses as infinity and becomes the longest limit.
    Some(Duration::from_secs(seconds.ceil().min(LONGEST.as_secs_f64()) as u64))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use opentelemetry_sentry_vectors::each;
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// `Sun, 06 Nov 1994 08:48:07 GMT`: when the cases happen.
    const WALL: Duration = Duration::from_secs(784_111_687);

    fn headers(rate_limits: &[String], retry_after: &[String]) -> HeaderMap {
        let named = |name: &'static str| move |line: &String| (name, HeaderValue::from_str(line).unwrap());
        let lines = rate_limits.iter().map(named(RATE_LIMITS)).chain(retry_after.iter().map(named("retry-after")));
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(name, line);
        }
        headers
    }

    fn update(limits: &mut RateLimits, line: &str, now: Instant) {
        limits.update(200, &headers(&[line.to_owned()], &[]), now, SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn answers_limit_what_they_should() {
        #[derive(Deserialize)]
        struct Case {
            status: u16,
            rate_limits: Vec<String>,
            retry_after: Vec<String>,
            limited: BTreeMap<String, u64>,
        }
        each("rate_limits", |case: &Case| {
            let now = Instant::now();
            let headers = headers(&case.rate_limits, &case.retry_after);
            let mut limits = RateLimits::default();
            limits.update(case.status, &headers, now, SystemTime::UNIX_EPOCH + WALL);
            for (word, category) in WORDS {
                let seconds = case.limited.get(word).or_else(|| case.limited.get("all"));
                let until = seconds.map(|seconds| now + Duration::from_secs(*seconds));
                assert_eq!(limits.until(category, now), until, "{word}");
                assert_eq!(limits.is_limited(category, now), until.is_some(), "{word}");
            }
            assert!(!limits.is_limited(Category::ClientReport, now));
            let is_known = |word: &String| word == "all" || WORDS.iter().any(|(known, _)| known == word);
            assert!(case.limited.keys().all(is_known));
        });
    }

    #[test]
    fn a_limit_ends() {
        let now = Instant::now();
        let mut limits = RateLimits::default();
        update(&mut limits, "60:error:key", now);
        assert!(limits.is_limited(Category::Error, now + Duration::from_millis(59_999)));
        assert!(!limits.is_limited(Category::Error, now + Duration::from_secs(60)));
    }

    #[test]
    fn a_limit_that_has_ended_does_not_hide_one_on_everything() {
        let now = Instant::now();
        let mut limits = RateLimits::default();
        update(&mut limits, "10:error:key, 60::organization", now);
        let later = now + Duration::from_secs(30);
        assert_eq!(limits.until(Category::Error, later), Some(now + Duration::from_secs(60)));
    }

    #[test]
    fn a_later_answer_makes_a_limit_longer_but_not_shorter() {
        let now = Instant::now();
        let mut limits = RateLimits::default();
        let mut until_after = |line| {
            update(&mut limits, line, now);
            limits.until(Category::Transaction, now).unwrap() - now
        };
        assert_eq!(until_after("60:transaction:key"), Duration::from_secs(60));
        assert_eq!(until_after("10:transaction:key"), Duration::from_secs(60));
        assert_eq!(until_after("0:transaction:key"), Duration::from_secs(60));
        assert_eq!(until_after("90:transaction:key"), Duration::from_secs(90));
    }

    #[test]
    fn unreadable_bytes_do_not_hide_the_other_limits() {
        let now = Instant::now();
        let mut limits = RateLimits::default();
        let value = HeaderValue::from_bytes(b"60:\xff:key, 60:span;\xff:key").unwrap();
        limits.update(429, &HeaderMap::from_iter([(RATE_LIMITS.parse().unwrap(), value)]), now, SystemTime::UNIX_EPOCH);
        assert!(limits.is_limited(Category::Span, now));
        assert!(!limits.is_limited(Category::Error, now));
    }

    proptest! {
        /// For any header: nothing panics, no limit gets shorter, and none is longer than a day.
        #[test]
        fn no_limit_shortens(answers in prop::collection::vec((status(), line(), line(), 0..100_000_u64), 1..8)) {
            let start = Instant::now();
            let mut limits = RateLimits::default();
            let mut untils = WORDS.map(|_| None);
            let mut now = start;
            for (status, rate_limits, retry_after, millis) in answers {
                now += Duration::from_millis(millis);
                let named = [(RATE_LIMITS, rate_limits), ("retry-after", retry_after)].into_iter();
                let lines = named.filter_map(|(name, line)| Some((name.parse().ok()?, line?)));
                let headers = HeaderMap::<HeaderValue>::from_iter(lines);
                limits.update(status, &headers, now, SystemTime::UNIX_EPOCH + WALL);
                for ((_, category), before) in WORDS.iter().zip(&mut untils) {
                    let until = limits.until(*category, now);
                    prop_assert!(until >= before.filter(|before| *before > now));
                    prop_assert!(until.is_none_or(|until| until <= now + LONGEST));
                    *before = until;
                }
                prop_assert!(limits.by_category.len() <= WORDS.len());
                prop_assert!(!limits.is_limited(Category::ClientReport, now));
            }
        }
    }

    fn status() -> impl Strategy<Value = u16> {
        prop_oneof![Just(200), Just(429), any::<u16>()]
    }

    /// A limit, a date, or any bytes that a header can have; sometimes no header.
    fn line() -> impl Strategy<Value = Option<HeaderValue>> {
        let limit = "[0-9.]{0,3}(:(span|error|transaction|metric_bucket|monitor|;| |x){0,3}){0,2}(::(custom|;){0,2})?";
        let bytes = prop_oneof![
            prop::collection::vec(limit, 0..4).prop_map(|limits| limits.join(",").into_bytes()),
            "Sun, 06 Nov [0-9]{4} 08:4[0-9]:37 GMT".prop_map(String::into_bytes),
            "[0-9]{0,400}(e[0-9]{1,3})?".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..60),
        ];
        bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).ok())
    }
}
