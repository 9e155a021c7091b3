//! The times that the spans of a transaction may have.

use opentelemetry_sdk::trace::SpanData;

use crate::account::{LAST_SECOND, seconds};

/// The times that the spans of a transaction may have.
///
/// Sentry moves an event that is older than a month or lies ahead of its clock to where it belongs, and refuses it if
/// any of its times then lies before 1970. So none is further than half a century from the end of the root, whatever
/// the clock did.
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

    /// Start and end of a span in seconds since 1970, cut to microseconds. The end is never before the start: one such
    /// span makes Sentry refuse the transaction.
    pub(crate) fn of(self, span: &SpanData) -> (f64, f64) {
        let start = seconds(span.start_time).clamp(self.earliest, self.latest);
        (start, seconds(span.end_time).clamp(start, self.latest))
    }
}
