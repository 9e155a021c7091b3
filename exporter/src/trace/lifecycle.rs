//! In which of Sentry's two forms spans leave.

/// In which of Sentry's two forms spans leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TraceLifecycle {
    /// As transactions, when their local root has ended.
    #[default]
    Transactions,
    /// One by one, when they end.
    Stream,
}
