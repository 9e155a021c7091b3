//! Everything that arrived, as a test reads it.

use crate::{
    envelope::Envelope,
    typed::{ErrorEvent, Transaction, only},
};

/// Everything that arrived, in order of arrival.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Captured {
    /// The transactions.
    pub transactions: Vec<Transaction>,
    /// The errors.
    pub errors: Vec<ErrorEvent>,
    /// The envelopes that contained them, for everything else.
    pub envelopes: Vec<Envelope>,
}

impl Captured {
    pub(crate) fn new(envelopes: Vec<Envelope>) -> Self {
        let payloads = |kind: &'static str| {
            let items = envelopes.iter().flat_map(Envelope::items).filter(move |item| item.item_type() == kind);
            items.filter_map(|item| item.json().ok())
        };
        let transactions = payloads("transaction").map(Transaction::from_json).collect();
        let errors = payloads("event").map(ErrorEvent::from_json).collect();
        Self { transactions, errors, envelopes }
    }

    /// The transaction with this name, such as `GET /products/:id`.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the transactions.
    #[must_use]
    #[track_caller]
    pub fn transaction(&self, name: &str) -> &Transaction {
        only("transaction", name, &self.transactions, |one| one.name == name, |one| &one.name)
    }

    /// The error event whose type and message, as in `shop::NoStock: no lamps left`, contain this text.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the errors.
    #[must_use]
    #[track_caller]
    pub fn error(&self, part: &str) -> &ErrorEvent {
        only("error", part, &self.errors, |one| one.title().contains(part), ErrorEvent::title)
    }
}
