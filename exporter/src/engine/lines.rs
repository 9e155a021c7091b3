//! Log records on their way from the intake to packing.

use std::vec;

use crate::trace::LogLine;

/// Records that were picked up.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: vec::IntoIter<LogLine>,
    pub(super) then: Then,
}

/// What leaves after records that were picked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Only envelopes that are full.
    Full,
    /// All logs, and the exceptions that have waited long enough for their span.
    Logs,
    /// All logs and all exceptions.
    Everything,
}
