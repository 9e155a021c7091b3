//! Client reports: what was dropped here, for Sentry's statistics.
//!
//! A report is an item of the next envelope. If no envelope is sent within 30 s, it is sent alone. If a report does not
//! arrive, the next one repeats it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry_sentry_protocol::DecisionLog;
use serde::Serialize;
use web_time::Instant;

use super::{
    drop_reason::DropReason,
    ledger::{Ledger, unsampled},
    stats::Dropped,
    time::seconds,
};

/// How long a loss waits for an envelope that can carry it.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The losses, and which of them were reported.
#[derive(Debug)]
pub(crate) struct Reports {
    ledger: Arc<Ledger>,
    decisions: Arc<DecisionLog>,
    /// The losses in earlier reports. The ledger only grows, so the difference goes into the next report.
    reported: BTreeMap<DropReason, Dropped>,
    /// Since when losses wait for a report.
    since: Option<Instant>,
}

/// One report: the losses since the last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report(BTreeMap<DropReason, Dropped>);

#[derive(Serialize)]
struct Payload {
    timestamp: f64,
    discarded_events: Vec<Discarded>,
}

#[derive(Serialize)]
struct Discarded {
    reason: &'static str,
    category: &'static str,
    quantity: u64,
}

impl Reports {
    pub(crate) fn new(ledger: Arc<Ledger>, decisions: Arc<DecisionLog>) -> Self {
        Self { ledger, decisions, reported: BTreeMap::new(), since: None }
    }

    /// Returns the losses since the last report, if any, and counts them as reported.
    pub(crate) fn take(&mut self) -> Option<Report> {
        let report = self.unreported();
        for (reason, dropped) in &report.0 {
            *self.reported.entry(*reason).or_default() += *dropped;
        }
        self.since = None;
        (!report.0.is_empty()).then_some(report)
    }

    /// A report did not arrive: the next one repeats it.
    pub(crate) fn put_back(&mut self, report: Report) {
        for (reason, dropped) in report.0 {
            let reported = self.reported.entry(reason).or_default();
            reported.spans -= dropped.spans;
            reported.transactions -= dropped.transactions;
            reported.errors -= dropped.errors;
            reported.logs -= dropped.logs;
            reported.log_bytes -= dropped.log_bytes;
            reported.metrics -= dropped.metrics;
            reported.metric_bytes -= dropped.metric_bytes;
            reported.check_ins -= dropped.check_ins;
        }
    }

    /// When a report must be sent alone, if there are losses to report.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.unreported().0.is_empty() {
            self.since = None;
        } else {
            self.since.get_or_insert(now);
        }
        self.since.map(|since| since + MAX_WAIT)
    }

    fn unreported(&self) -> Report {
        let mut dropped = self.ledger.stats().dropped;
        for (reason, more) in unsampled(&self.decisions) {
            *dropped.entry(reason).or_default() += more;
        }
        let unreported = |(reason, now): (DropReason, Dropped)| {
            let before = self.reported.get(&reason).copied().unwrap_or_default();
            let new = Dropped {
                spans: now.spans - before.spans,
                transactions: now.transactions - before.transactions,
                errors: now.errors - before.errors,
                logs: now.logs - before.logs,
                log_bytes: now.log_bytes - before.log_bytes,
                metrics: now.metrics - before.metrics,
                metric_bytes: now.metric_bytes - before.metric_bytes,
                check_ins: now.check_ins - before.check_ins,
            };
            (new != Dropped::default()).then_some((reason, new))
        };
        Report(
            dropped.into_iter().filter(|(reason, _)| reason.report_word().is_some()).filter_map(unreported).collect(),
        )
    }
}

impl Report {
    /// The item of an envelope.
    pub(crate) fn item(&self, now: SystemTime) -> Vec<u8> {
        let discarded = |(reason, dropped): (&DropReason, &Dropped)| {
            let reason = reason.report_word().unwrap_or(reason.as_str());
            let of = |category, quantity| (quantity > 0).then_some(Discarded { reason, category, quantity });
            [
                of("transaction", dropped.transactions),
                of("span", dropped.spans),
                of("error", dropped.errors),
                of("log_item", dropped.logs),
                of("log_byte", dropped.log_bytes),
                of("trace_metric", dropped.metrics),
                of("trace_metric_byte", dropped.metric_bytes),
                of("monitor", dropped.check_ins),
            ]
        };
        let discarded_events = self.0.iter().flat_map(discarded).flatten().collect();
        let payload = serde_json::to_vec(&Payload { timestamp: seconds(now), discarded_events }).unwrap_or_default();
        let mut item = format!("{{\"type\":\"client_report\",\"length\":{}}}\n", payload.len()).into_bytes();
        item.extend_from_slice(&payload);
        item
    }
}
