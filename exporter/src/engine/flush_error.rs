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

impl FlushError {
    /// What this is about, and how many, where something was lost or kept.
    const fn count(&self) -> (&'static str, u64) {
        match self {
            Self::CheckInsKeptOnDisk { check_ins } | Self::CheckInsUndelivered { check_ins } => {
                ("check-ins", *check_ins)
            }
            Self::KeptOnDisk { spans } | Self::Undelivered { spans } => ("spans", *spans),
            Self::LogsKeptOnDisk { logs } | Self::LogsUndelivered { logs } => ("logs", *logs),
            Self::MetricsKeptOnDisk { metrics } | Self::MetricsUndelivered { metrics } => ("metrics", *metrics),
            _ => ("", 0),
        }
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, count) = self.count();
        match self {
            Self::AlreadyShutdown => f.write_str("the exporter was shut down before"),
            Self::CheckInsKeptOnDisk { .. }
            | Self::KeptOnDisk { .. }
            | Self::LogsKeptOnDisk { .. }
            | Self::MetricsKeptOnDisk { .. } => {
                write!(f, "not everything was delivered yet; {what} kept on disk: {count}")
            }
            Self::CheckInsUndelivered { .. }
            | Self::LogsUndelivered { .. }
            | Self::MetricsUndelivered { .. }
            | Self::Undelivered { .. } => {
                write!(f, "not everything could be delivered; {what} lost: {count}, for the reasons in Stats::dropped")
            }
            Self::Forked => f.write_str("this process was forked, and the exporter's thread runs in its parent"),
            Self::OnWorkerThread => f.write_str("the exporter's own thread cannot wait for itself"),
            Self::Stopped => f.write_str("the exporter's thread has ended because of a bug"),
            Self::Timeout(timeout) => write!(f, "not everything was delivered within {timeout:?}"),
            Self::Waiting => f.write_str(
                "not everything was delivered yet: the exporter has no thread, so send what `Delivery::take` returns, \
                 or call `Delivery::flush_with`, again if the server did not answer",
            ),
        }
    }
}

opentelemetry_sentry_protocol::__shared::debug_as_message!(FlushError);

impl Error for FlushError {}

#[cfg(test)]
mod tests {
    use super::FlushError;

    #[test]
    fn each_loss_names_what_was_lost_and_where_the_reasons_are() {
        for (error, lost) in [
            (FlushError::CheckInsUndelivered { check_ins: 2 }, "check-ins lost: 2"),
            (FlushError::LogsUndelivered { logs: 3 }, "logs lost: 3"),
            (FlushError::MetricsUndelivered { metrics: 4 }, "metrics lost: 4"),
            (FlushError::Undelivered { spans: 5 }, "spans lost: 5"),
        ] {
            let text = error.to_string();
            assert!(text.contains(lost) && text.ends_with("Stats::dropped"), "{text}");
        }
    }

    #[test]
    fn what_is_on_disk_is_not_called_lost() {
        for (error, kept) in [
            (FlushError::CheckInsKeptOnDisk { check_ins: 2 }, "check-ins kept on disk: 2"),
            (FlushError::LogsKeptOnDisk { logs: 3 }, "logs kept on disk: 3"),
            (FlushError::MetricsKeptOnDisk { metrics: 4 }, "metrics kept on disk: 4"),
            (FlushError::KeptOnDisk { spans: 5 }, "spans kept on disk: 5"),
        ] {
            let text = error.to_string();
            assert!(text.ends_with(kept) && !text.contains("lost"), "{text}");
        }
    }
}
