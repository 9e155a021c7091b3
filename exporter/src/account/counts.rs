//! How many transactions, spans and errors an envelope, a trace or a file accounts for.

use std::ops::AddAssign;

/// How many transactions, spans and errors something accounts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Counts {
    pub(crate) transactions: u64,
    pub(crate) spans: u64,
    pub(crate) errors: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Saturating: a damaged file can contain any number.
        self.transactions = self.transactions.saturating_add(other.transactions);
        self.spans = self.spans.saturating_add(other.spans);
        self.errors = self.errors.saturating_add(other.errors);
    }
}

impl Counts {
    /// One error event.
    pub(crate) const ERROR: Self = Self::errors(1);

    /// Error events.
    pub(crate) const fn errors(errors: usize) -> Self {
        Self { transactions: 0, spans: 0, errors: errors as u64 }
    }

    /// Spans that are not part of a transaction yet.
    pub(crate) const fn spans(spans: usize) -> Self {
        Self { transactions: 0, spans: spans as u64, errors: 0 }
    }

    /// One transaction with this number of spans, its root included.
    pub(crate) const fn transaction(spans: usize) -> Self {
        Self { transactions: 1, ..Self::spans(spans) }
    }
}
