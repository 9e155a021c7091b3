//! Times as Sentry takes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The last second that a date of four digits can tell.
pub(crate) const LAST_SECOND: f64 = 253_402_300_799.0;

/// Microseconds since 1970 are exact in an `f64` until 2255, so that the shortest text has at most six decimals. Sentry
/// refuses times before 1970 and after 9999.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // What does not fit is after 9999.
    let micros = since.as_secs().saturating_mul(1_000_000).saturating_add(since.subsec_micros().into());
    (micros as f64 / 1e6).min(LAST_SECOND)
}
