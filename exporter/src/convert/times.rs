//! The range of times in a transaction.

use opentelemetry_sdk::trace::SpanData;

use crate::account::{LAST_SECOND, seconds};

/// The range of times that the spans of a transaction may have.
///
/// If an event is older than a month or ahead of Sentry's clock, Sentry shifts all of its times. It rejects the event
/// if one of them is then before 1970. So each time is kept within half a century of the root's end, even if a clock
/// jumped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    earliest: f64,
    latest: f64,
}

impl Times {
    pub(crate) fn around(root: &SpanData) -> Self {
        const HALF_A_CENTURY: f64 = 50.0 * 365.0 * 24.0 * 60.0 * 60.0;
        let end = seconds(root.end_time).max(seconds(root.start_time));
        Self { earliest: (end - HALF_A_CENTURY).max(0.0), latest: (end + HALF_A_CENTURY).min(LAST_SECOND as f64) }
    }

    /// Start and end of a span in seconds since 1970, cut to microseconds. The end is never before the start, because
    /// Sentry would reject the whole transaction.
    pub(crate) fn of(self, span: &SpanData) -> (f64, f64) {
        let start = seconds(span.start_time).clamp(self.earliest, self.latest);
        (start, seconds(span.end_time).clamp(start, self.latest))
    }
}
