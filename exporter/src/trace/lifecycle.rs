//! In which of Sentry's two forms spans leave.

/// In which of Sentry's two forms spans leave.
///
/// | | [`Transactions`](Self::Transactions) | [`Stream`](Self::Stream) |
/// | --- | --- | --- |
/// | Sentry | any, also self-hosted | Sentry SaaS, and self-hosted from 26.4.2 on |
/// | a span leaves | with its local root, when that has ended | with others of its trace, within five seconds after its end |
/// | a local root that stays open | its spans wait, at most five minutes | nothing waits |
/// | tags | yes | no: attributes take their place |
/// | names and ops | those of Sentry's transactions | short ones with few different values |
///
/// Choose the stream where your Sentry takes it. The facade reads the variable `SENTRY_TRACE_LIFECYCLE`, with the words below.
///
/// ```
/// use opentelemetry_sentry_exporter::{SentryExporter, TraceLifecycle};
///
/// let exporter = SentryExporter::builder().with_lifecycle(TraceLifecycle::Stream).build()?;
/// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceLifecycle {
    /// As transactions, when their local root has ended; `static` in the variable.
    #[default]
    Transactions,
    /// One by one, when they end; `stream` in the variable.
    Stream,
}

impl TraceLifecycle {
    pub(crate) const fn is_stream(self) -> bool {
        matches!(self, Self::Stream)
    }
}
