//! The check-ins of a span that is a job of a cron monitor. The rules are in the guide, page `queues_and_jobs`.

use std::time::Duration;

use opentelemetry::{KeyValue, TraceId};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_semantics::{Attributes, semconv};
use serde::Serialize;

use super::{
    ids::{Hex, trace_id},
    monitor::MonitorConfig,
    status::status,
};

/// The most bytes of a slug, as in Sentry. A cleaned slug is ASCII, so these are its characters.
const MAX_SLUG: usize = 50;

/// A check-in of a cron monitor: a job has started or ended.
#[derive(Clone, Debug)]
pub(crate) struct CheckIn {
    /// The same for the start and the end of a job. It is made of the span's ids, so that nothing has to be remembered
    /// about a job that runs.
    id: [u8; 16],
    trace_id: TraceId,
    slug: String,
    /// The outcome and the duration; `None` at the start.
    ended: Option<(bool, Duration)>,
    config: Option<MonitorConfig>,
    /// The number of attributes for the monitor that are invalid.
    pub(crate) invalid: u64,
}

/// A span belongs to a monitor, but nothing is left of its slug without what Sentry does not accept.
#[derive(Debug)]
pub(crate) struct InvalidSlug;

/// Whether a span with these attributes is a job of a cron monitor.
pub(crate) fn is_monitored(attributes: &[KeyValue]) -> bool {
    attributes.iter().any(|attribute| attribute.key.as_str() == semconv::SENTRY_MONITOR_SLUG)
}

impl CheckIn {
    /// The check-in of a job that starts; `None` if the span is no job.
    pub(crate) fn started(span: &SpanData) -> Option<Result<Self, InvalidSlug>> {
        Self::of(span, Attributes::unindexed(&span.attributes), None)
    }

    /// The check-in of a job that has ended; `None` if the span is no job.
    pub(crate) fn ended(span: &SpanData, attributes: Attributes<'_>) -> Option<Result<Self, InvalidSlug>> {
        attributes.get(semconv::SENTRY_MONITOR_SLUG)?;
        let is_ok = status(&span.status, &span.span_kind, attributes) == "ok";
        let duration = span.end_time.duration_since(span.start_time).unwrap_or_default();
        Self::of(span, attributes, Some((is_ok, duration)))
    }

    fn of(
        span: &SpanData,
        attributes: Attributes<'_>,
        ended: Option<(bool, Duration)>,
    ) -> Option<Result<Self, InvalidSlug>> {
        let slug = attributes.get(semconv::SENTRY_MONITOR_SLUG)?.as_str();
        let Some(slug) = cleaned(&slug) else { return Some(Err(InvalidSlug)) };
        let (config, invalid) = MonitorConfig::read(attributes);
        let trace_id = span.span_context.trace_id();
        let (trace, own) = (trace_id.to_bytes(), span.span_context.span_id().to_bytes());
        let mut id = [0; 16];
        own.iter().chain(&trace[8..]).zip(&mut id).for_each(|(byte, place)| *place = *byte);
        Some(Ok(Self { id, trace_id, slug, ended, config, invalid }))
    }

    /// The same for the start and the end of a job.
    pub(crate) const fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Whether the job has started and not ended.
    pub(crate) const fn is_start(&self) -> bool {
        self.ended.is_none()
    }

    /// The payload of its item.
    pub(crate) fn item<'a>(&'a self, environment: &'a str) -> CheckInItem<'a> {
        let status = match self.ended {
            None => "in_progress",
            Some((true, _)) => "ok",
            Some((false, _)) => "error",
        };
        CheckInItem {
            check_in_id: Hex::new(self.id),
            monitor_slug: &self.slug,
            status,
            environment,
            // In microseconds, as all times of spans.
            duration: self.ended.map(|(_, duration)| duration.as_micros() as f64 / 1e6),
            monitor_config: self.config.as_ref(),
            contexts: Contexts { trace: TraceOf { trace_id: trace_id(self.trace_id) } },
        }
    }
}

/// The payload of an item.
#[derive(Debug, Serialize)]
pub(crate) struct CheckInItem<'a> {
    check_in_id: Hex<16>,
    monitor_slug: &'a str,
    status: &'static str,
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor_config: Option<&'a MonitorConfig>,
    contexts: Contexts,
}

#[derive(Debug, Serialize)]
struct Contexts {
    trace: TraceOf,
}

#[derive(Debug, Serialize)]
struct TraceOf {
    trace_id: Hex<16>,
}

/// The slug as Sentry would make it: lower-case ASCII letters, digits, `-` and `_`, at most 50 of them, and not digits alone.
/// `None` if nothing is left.
fn cleaned(text: &str) -> Option<String> {
    let mut slug = String::new();
    for character in text.chars() {
        match character {
            // As the first character Sentry removes these, and of several dashes it keeps one.
            '-' if slug.is_empty() || slug.ends_with('-') => {}
            '_' if slug.is_empty() => {}
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => slug.push(character.to_ascii_lowercase()),
            other if other.is_whitespace() && !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
        if slug.len() == MAX_SLUG {
            break;
        }
    }
    slug.truncate(slug.trim_end_matches(['-', '_']).len());
    Some(slug).filter(|slug| slug.bytes().any(|byte| !byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_slug_is_one_that_sentry_accepts_and_keeps(text in "[ a-zA-Z0-9_\\-./:äß]{0,70}") {
            let Some(slug) = cleaned(&text) else {
                // Of texts without a letter nothing may be left.
                prop_assert!(!text.chars().any(|character| character.is_ascii_alphabetic()) || text.len() > MAX_SLUG);
                return Ok(());
            };
            prop_assert!((1..=MAX_SLUG).contains(&slug.len()));
            prop_assert!(slug.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')), "{slug}");
            prop_assert_eq!(cleaned(&slug), Some(slug));
        }
    }
}
