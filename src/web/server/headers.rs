//! The headers of a request, as the propagator reads them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use opentelemetry::propagation::Extractor;
use opentelemetry_sentry_protocol::Baggage;

/// Reads every line of each header.
///
/// A `baggage` line is a list, to which several parties add. A member that is not ASCII is left out, and the others
/// count: `HeaderValue::to_str` would refuse the whole line, and with it the dynamic sampling context.
pub(super) struct Lines<'a> {
    headers: &'a HeaderMap,
    baggage: Vec<Cow<'a, str>>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        Self { headers, baggage: headers.get_all(Baggage::HEADER).iter().map(members).collect() }
    }
}

impl Extractor for Lines<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            Baggage::HEADER => self.baggage.first().map(AsRef::as_ref),
            _ => self.headers.get(key).and_then(|value| value.to_str().ok()),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys().map(|name| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let lines: Vec<_> = match key {
            Baggage::HEADER => self.baggage.iter().map(AsRef::as_ref).collect(),
            _ => self.headers.get_all(key).iter().filter_map(|value| value.to_str().ok()).collect(),
        };
        (!lines.is_empty()).then_some(lines)
    }
}

/// The members of a line that are ASCII.
fn members(line: &HeaderValue) -> Cow<'_, str> {
    line.to_str().map(Cow::Borrowed).unwrap_or_else(|_| {
        let members = line.as_bytes().split(|byte| *byte == b',').filter(|member| member.is_ascii());
        let texts: Vec<_> = members.map(String::from_utf8_lossy).collect();
        Cow::Owned(texts.join(","))
    })
}
