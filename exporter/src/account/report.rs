//! Client reports: Sentry is told what was dropped here.
//!
//! They ride on the next envelope, or go alone when none comes for a while. A report that did not arrive is told again
//! with the next one.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use opentelemetry_sentry_protocol::DecisionLog;
use serde::Serialize;

use super::{
    ledger::{DropReason, Dropped, Ledger, unsampled},
    time::seconds,
};

/// How long a loss waits for an envelope to be told with.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was told so far.
#[derive(Debug)]
pub(crate) struct Reports {
    ledger: Arc<Ledger>,
    decisions: Arc<DecisionLog>,
    told: BTreeMap<DropReason, Dropped>,
    /// Since when there is something to tell.
    since: Option<Instant>,
}

/// What is told now.
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
        Self { ledger, decisions, told: BTreeMap::new(), since: None }
    }

    /// What was not told yet, if anything; from now on it is.
    pub(crate) fn take(&mut self) -> Option<Report> {
        let report = self.untold();
        for (reason, dropped) in &report.0 {
            add(self.told.entry(*reason).or_default(), *dropped);
        }
        self.since = None;
        (!report.0.is_empty()).then_some(report)
    }

    /// A report did not arrive.
    pub(crate) fn put_back(&mut self, report: Report) {
        for (reason, dropped) in report.0 {
            let told = self.told.entry(reason).or_default();
            told.spans -= dropped.spans;
            told.transactions -= dropped.transactions;
            told.errors -= dropped.errors;
        }
    }

    /// Looks whether there is something to tell, and returns when it has to go alone.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.untold().0.is_empty() {
            self.since = None;
        } else {
            self.since.get_or_insert(now);
        }
        self.since.map(|since| since + PATIENCE)
    }

    fn untold(&self) -> Report {
        let mut dropped = self.ledger.stats().dropped;
        dropped.extend(unsampled(self.decisions.feedback()));
        // What the server refused for its limits it counts itself; the end of a process is nobody's loss to count.
        let is_told = |reason: &DropReason| !matches!(reason, DropReason::RateLimited | DropReason::Shutdown);
        let untold = |(reason, now): (DropReason, Dropped)| {
            let told = self.told.get(&reason).copied().unwrap_or_default();
            let new = Dropped {
                spans: now.spans - told.spans,
                transactions: now.transactions - told.transactions,
                errors: now.errors - told.errors,
            };
            (new != Dropped::default()).then_some((reason, new))
        };
        Report(dropped.into_iter().filter(|(reason, _)| is_told(reason)).filter_map(untold).collect())
    }
}

fn add(told: &mut Dropped, new: Dropped) {
    told.spans += new.spans;
    told.transactions += new.transactions;
    told.errors += new.errors;
}

impl Report {
    /// The item of an envelope.
    pub(crate) fn item(&self, now: SystemTime) -> Vec<u8> {
        let discarded = |(reason, dropped): (&DropReason, &Dropped)| {
            let reason = reason.as_str();
            let of = |category, quantity| (quantity > 0).then_some(Discarded { reason, category, quantity });
            [of("transaction", dropped.transactions), of("span", dropped.spans), of("error", dropped.errors)]
        };
        let discarded_events = self.0.iter().flat_map(discarded).flatten().collect();
        let payload = serde_json::to_vec(&Payload { timestamp: seconds(now), discarded_events }).unwrap_or_default();
        let mut item = format!("{{\"type\":\"client_report\",\"length\":{}}}\n", payload.len()).into_bytes();
        item.extend_from_slice(&payload);
        item
    }
}
