//! A log record, as it is on its way from the thread that emitted it to its item.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{KeyValue, SpanId, TraceId};

use super::context::TraceContext;

/// A log record. Its attributes have the types of those of spans, so that one scrubber and one table of attributes serve
/// both: maps, and lists of different types, are JSON texts.
#[derive(Debug)]
pub(crate) struct LogLine {
    pub(crate) time: SystemTime,
    /// `None` outside of any trace.
    pub(crate) trace_id: Option<TraceId>,
    /// The active span, also if it is not sampled. An error event names it in any case.
    pub(crate) span_id: Option<SpanId>,
    /// `None` if it is not known whether the active span is sampled.
    pub(crate) is_sampled: Option<bool>,
    pub(crate) severity: SeverityNumber,
    pub(crate) body: String,
    /// The record's target or else the name of its instrumentation scope. It may be empty.
    pub(crate) target: Cow<'static, str>,
    /// The record's event name. It may be empty.
    pub(crate) event_name: Cow<'static, str>,
    pub(crate) attributes: Vec<KeyValue>,
    /// What the sampler decided about the trace. Only a record with an exception has it: error events leave without
    /// their trace, so nothing else would know the context of an unsampled one.
    pub(crate) context: Option<TraceContext>,
    /// The bytes that it takes in the account of the records that wait.
    pub(crate) size: usize,
}

impl Default for LogLine {
    fn default() -> Self {
        Self {
            time: SystemTime::UNIX_EPOCH,
            trace_id: None,
            span_id: None,
            is_sampled: None,
            severity: SeverityNumber::INFO,
            body: String::new(),
            target: Cow::Borrowed(""),
            event_name: Cow::Borrowed(""),
            attributes: Vec::new(),
            context: None,
            size: 0,
        }
    }
}

impl LogLine {
    /// The span to which the item belongs. A span that is not sampled is never sent, so it could not be opened.
    pub(crate) fn sent_span_id(&self) -> Option<SpanId> {
        self.span_id.filter(|_| self.is_sampled != Some(false))
    }
}

/// A severity in OpenTelemetry's numbers, from 1 to 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeverityNumber(u8);

/// Sentry's levels and the texts that stand for them, with the lowest number of each. Each level has four numbers.
const LEVELS: [(&str, &[&str], u8); 6] = [
    ("trace", &["trace"], 1),
    ("debug", &["debug"], 5),
    ("info", &["info", "information"], 9),
    ("warn", &["warn", "warning"], 13),
    ("error", &["error"], 17),
    ("fatal", &["fatal"], 21),
];

impl SeverityNumber {
    /// The lowest severity of an exception that becomes an error event.
    pub(crate) const ERROR: Self = Self(17);

    const INFO: Self = Self(9);

    /// No severity is below it.
    pub(crate) const LOWEST: Self = Self(1);

    /// The severity with this number. Another number is no severity: then the text decides; if it is not known either, it
    /// is `info`.
    pub(crate) fn new(number: u8, text: &str) -> Self {
        if (1..=24).contains(&number) { Self(number) } else { Self::of_text(text).unwrap_or(Self::INFO) }
    }

    /// The severity that a text stands for.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let is_it = |(_, texts, _): &&(&str, &[&str], u8)| texts.iter().any(|one| text.eq_ignore_ascii_case(one));
        LEVELS.iter().find(is_it).map(|(.., lowest)| Self(*lowest))
    }

    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    /// The level in Sentry's words.
    pub(crate) fn level(self) -> &'static str {
        let level = LEVELS.iter().rfind(|(.., lowest)| *lowest <= self.0);
        level.map_or("trace", |(level, ..)| level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_level_and_the_lowest_number_of_a_level_is_that_of_its_text() {
        for number in 1..=24 {
            let severity = SeverityNumber::new(number, "fatal");
            assert_eq!(severity.number(), number, "the number beats the text");
            let lowest = SeverityNumber::of_text(severity.level()).unwrap();
            assert!(lowest <= severity && lowest.number() + 4 > number, "{number}");
        }
    }

    #[test]
    fn what_is_no_severity_is_info() {
        for (number, text, level) in
            [(0, "", "info"), (25, "", "info"), (255, "WARNING", "warn"), (0, "Information", "info"), (0, "x", "info")]
        {
            assert_eq!(SeverityNumber::new(number, text).level(), level, "{number} {text:?}");
        }
    }
}
