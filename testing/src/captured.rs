//! Everything that arrived, as a test reads it.

use crate::{
    check_in::CheckIn,
    container::{LOGS, METRICS, items},
    envelope::Envelope,
    item::Item,
    typed::{ErrorEvent, Log, Metric, StreamedSpan, Transaction, only},
};

/// Everything that arrived, in order of arrival.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Captured {
    /// The transactions.
    pub transactions: Vec<Transaction>,
    /// The streamed spans, also those beside a transaction.
    pub spans: Vec<StreamedSpan>,
    /// The logs.
    pub logs: Vec<Log>,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// The check-ins of cron monitors.
    pub check_ins: Vec<CheckIn>,
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
        let spans = envelopes.iter().flat_map(Envelope::items).flat_map(Item::spans).collect();
        let logs = envelopes.iter().flat_map(|envelope| items(envelope, &LOGS)).map(Log::from_json).collect();
        let metrics = envelopes.iter().flat_map(|envelope| items(envelope, &METRICS)).map(Metric::from_json).collect();
        let check_ins = envelopes.iter().flat_map(CheckIn::all_in).collect();
        Self { transactions, spans, logs, metrics, check_ins, errors, envelopes }
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

    /// The streamed span with this name.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the streamed spans.
    #[must_use]
    #[track_caller]
    pub fn span(&self, name: &str) -> &StreamedSpan {
        only("streamed span", name, &self.spans, |one| one.name == name, |one| &one.name)
    }

    /// The log whose body contains this text.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the logs.
    #[must_use]
    #[track_caller]
    pub fn log(&self, part: &str) -> &Log {
        only("log", part, &self.logs, |one| one.body.contains(part), |one| &one.body)
    }

    /// The metric with this name.
    ///
    /// # Panics
    ///
    /// If there is not exactly one. The message lists the metrics.
    #[must_use]
    #[track_caller]
    pub fn metric(&self, name: &str) -> &Metric {
        only("metric", name, &self.metrics, |one| one.name == name, |one| &one.name)
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
