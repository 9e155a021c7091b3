//! The error of a wait that ran out of time.

use std::{error, fmt, time::Duration};

use crate::journal::Journal;

/// What a test waited for did not arrive in time.
///
/// Displayed as what was wanted, what arrived and the last refusal.
#[derive(Clone, PartialEq, Eq)]
pub struct WaitTimeout {
    wanted: Option<usize>,
    accepted: usize,
    timeout: Duration,
    refused: usize,
    last_refusal: Option<String>,
}

impl WaitTimeout {
    pub(super) fn new(wanted: Option<usize>, timeout: Duration, journal: &Journal) -> Self {
        let refusals = journal.refusals();
        Self {
            wanted,
            accepted: journal.accepted(),
            timeout,
            refused: refusals.len(),
            last_refusal: refusals.last().map(ToString::to_string),
        }
    }
}

impl fmt::Display for WaitTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, timeout) = (self.accepted, self.timeout);
        match self.wanted {
            Some(wanted) => write!(f, "wanted {wanted} envelopes, accepted {accepted}")?,
            None => write!(f, "the condition did not hold with {accepted} accepted envelopes")?,
        }
        write!(f, " within {timeout:?}")?;
        match &self.last_refusal {
            Some(reason) => write!(f, "; refused {}, the last one because of {reason}", self.refused),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for WaitTimeout {
    /// Prints the message: a test that unwraps the error prints it through `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for WaitTimeout {}
