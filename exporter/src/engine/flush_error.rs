//! Why a flush or a shutdown did not deliver everything.

use std::{error::Error, fmt, time::Duration};

/// A flush or a shutdown did not deliver everything.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// The exporter was shut down before.
    AlreadyShutdown,
    /// No span, no log and no check-in was lost, but these check-ins are still on disk, as in
    /// [`KeptOnDisk`](Self::KeptOnDisk).
    CheckInsKeptOnDisk {
        /// The number of check-ins.
        check_ins: u64,
    },
    /// No span and no log was lost, but check-ins were since the last flush; [`Stats::dropped`](crate::Stats::dropped) has
    /// the reasons.
    CheckInsUndelivered {
        /// The number of check-ins.
        check_ins: u64,
    },
    /// This process was forked from the one in which the exporter's thread runs, so it cannot send anything.
    Forked,
    /// Nothing was lost, but these spans are still on disk (in
    /// [`with_spool_dir`](crate::SentryExporterBuilder::with_spool_dir)). This process or the next one sends them when
    /// the server can be reached.
    KeptOnDisk {
        /// The number of spans.
        spans: u64,
    },
    /// No span and no log was lost, but these logs are still on disk, as in [`KeptOnDisk`](Self::KeptOnDisk).
    LogsKeptOnDisk {
        /// The number of logs.
        logs: u64,
    },
    /// No span was lost, but logs were since the last flush; [`Stats::dropped`](crate::Stats::dropped) has the reasons.
    LogsUndelivered {
        /// The number of logs.
        logs: u64,
    },
    /// No span, log or metric was lost, but these metrics are still on disk, as in [`KeptOnDisk`](Self::KeptOnDisk).
    MetricsKeptOnDisk {
        /// The number of metrics.
        metrics: u64,
    },
    /// No span and no log was lost, but metrics were since the last flush; [`Stats::dropped`](crate::Stats::dropped) has the
    /// reasons.
    MetricsUndelivered {
        /// The number of metrics.
        metrics: u64,
    },
    /// The HTTP client made the call on the exporter's own thread, which cannot wait for itself.
    OnWorkerThread,
    /// The exporter's thread has ended because of a bug. All spans that it held and that end later are
    /// counted as [`InternalSdkError`](crate::DropReason::InternalSdkError).
    Stopped,
    /// Not everything was delivered within this time. After a flush the exporter continues to send; after a shutdown it
    /// counts the rest as dropped.
    Timeout(Duration),
    /// Spans were lost since the last flush; [`Stats::dropped`](crate::Stats::dropped) has the reasons.
    Undelivered {
        /// The number of spans.
        spans: u64,
    },
    /// The exporter has no thread ([`build_driven`](crate::SentryExporterBuilder::build_driven)), and something waits for the
    /// next call of [`Delivery::take`](crate::Delivery::take).
    Waiting,
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyShutdown => f.write_str("the exporter was shut down before"),
            Self::CheckInsKeptOnDisk { check_ins } => {
                write!(f, "not everything was delivered yet; check-ins kept on disk: {check_ins}")
            }
            Self::CheckInsUndelivered { check_ins } => {
                write!(f, "not everything could be delivered; check-ins lost: {check_ins}")
            }
            Self::Forked => f.write_str("this process was forked, and the exporter's thread runs in its parent"),
            Self::KeptOnDisk { spans } => {
                write!(f, "not everything was delivered yet; spans kept on disk: {spans}")
            }
            Self::LogsKeptOnDisk { logs } => {
                write!(f, "not everything was delivered yet; logs kept on disk: {logs}")
            }
            Self::LogsUndelivered { logs } => write!(f, "not everything could be delivered; logs lost: {logs}"),
            Self::MetricsKeptOnDisk { metrics } => {
                write!(f, "not everything was delivered yet; metrics kept on disk: {metrics}")
            }
            Self::MetricsUndelivered { metrics } => {
                write!(f, "not everything could be delivered; metrics lost: {metrics}")
            }
            Self::OnWorkerThread => f.write_str("the exporter's own thread cannot wait for itself"),
            Self::Stopped => f.write_str("the exporter's thread has ended because of a bug"),
            Self::Timeout(timeout) => write!(f, "not everything was delivered within {timeout:?}"),
            Self::Waiting => {
                f.write_str("the exporter has no thread, and something waits for the next `Delivery::take`")
            }
            Self::Undelivered { spans } => {
                write!(f, "not everything could be delivered; spans lost: {spans}, for the reasons in stats().dropped")
            }
        }
    }
}

opentelemetry_sentry_protocol::__shared::debug_as_message!(FlushError);

impl Error for FlushError {}
