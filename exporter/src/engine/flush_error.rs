//! Why a flush or a shutdown did not deliver everything.

use std::{error::Error, fmt, time::Duration};

/// Not everything was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// The exporter was shut down before.
    AlreadyShutdown,
    /// This process was forked from the one that the exporter's thread runs in.
    Forked,
    /// Nothing was lost, but these spans could not be delivered yet: they are on disk, and are sent when the server can
    /// be reached, by this process or the next one.
    KeptOnDisk {
        /// The number of spans.
        spans: u64,
    },
    /// The HTTP client called it, on the thread that would have to do the work.
    OnWorkerThread,
    /// The exporter's thread has ended because of a bug. What it held is counted as
    /// [`InternalSdkError`](crate::DropReason::InternalSdkError).
    Stopped,
    /// Not everything was delivered within this time. After a flush the work goes on; after a shutdown the rest is
    /// counted as dropped.
    Timeout(Duration),
    /// Spans were lost since the last flush; [`Stats`](crate::Stats) says why.
    Undelivered {
        /// The number of spans.
        spans: u64,
    },
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyShutdown => f.write_str("the exporter was shut down before"),
            Self::Forked => f.write_str("this process was forked, and the exporter's thread runs in its parent"),
            Self::KeptOnDisk { spans } => {
                write!(f, "not everything was delivered yet; spans kept on disk: {spans}")
            }
            Self::OnWorkerThread => f.write_str("the exporter's own thread cannot wait for itself"),
            Self::Stopped => f.write_str("the exporter's thread has ended because of a bug"),
            Self::Timeout(timeout) => write!(f, "not everything was delivered within {timeout:?}"),
            Self::Undelivered { spans } => write!(f, "not everything could be delivered; spans lost: {spans}"),
        }
    }
}

impl Error for FlushError {}
