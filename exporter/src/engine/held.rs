//! Ends of jobs that wait for their start.

use std::collections::{HashMap, VecDeque};

use crate::convert::CheckIn;

/// What orders the check-ins of a job. Requests are in flight side by side, and an end that overtakes its start would be a
/// second job for Sentry.
#[derive(Debug, Default)]
pub(super) struct CheckIns {
    /// Starts that have not left, by job, with their number. They are in the queue, which bounds them.
    pub(super) starts: HashMap<[u8; 16], u64>,
    /// Ends whose start has not left, with their number. There are no more than starts.
    pub(super) held: VecDeque<(u64, CheckIn)>,
}
