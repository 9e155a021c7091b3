//! The time of a step, and times in Sentry's formats.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use web_time::Instant;

/// The time, which the driver hands in. No other code reads a clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For durations and deadlines.
    pub(crate) instant: Instant,
    /// For times that are compared with other machines. It may jump.
    pub(crate) wall: SystemTime,
}

/// The last second of the year 9999, in seconds since 1970. Sentry's dates have years of four digits.
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// Seconds since 1970, cut to microseconds and to the years that Sentry accepts.
///
/// Microseconds since 1970 are exact in an `f64` until 2255, so the shortest text has at most six decimals. Sentry
/// rejects times before 1970 and after 9999.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // A time that saturates is after 9999.
    let micros = since.as_secs().saturating_mul(1_000_000).saturating_add(since.subsec_micros().into());
    (micros as f64 / 1e6).min(LAST_SECOND as f64)
}

/// A time in UTC with milliseconds, as text.
pub(crate) struct Rfc3339(pub(crate) SystemTime);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // `humantime` fails for a clock before 1970 or after 9999.
        let range = UNIX_EPOCH..UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        let time = if range.contains(&self.0) { self.0 } else { UNIX_EPOCH };
        serializer.collect_str(&humantime::format_rfc3339_millis(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_has_a_text() {
        let day = Duration::from_secs(86_400);
        let text = |time| serde_json::to_string(&Rfc3339(time)).unwrap();
        assert_eq!(text(UNIX_EPOCH + day), "\"1970-01-02T00:00:00.000Z\"");
        assert_eq!(text(UNIX_EPOCH - day), "\"1970-01-01T00:00:00.000Z\"");
        assert_eq!(text(UNIX_EPOCH + day * 400 * 10_000), "\"1970-01-01T00:00:00.000Z\"");
    }
}
