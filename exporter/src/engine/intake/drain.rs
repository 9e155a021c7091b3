//! How the worker takes spans out of the intake.

use std::sync::{PoisonError, atomic::Ordering};

use opentelemetry::TraceId;

use super::{Intake, SHARDS, is_for_sentry, lock};
use crate::{
    account::{Counts, Ledger},
    convert::is_monitored,
    trace::EndedSpan,
};

impl Intake {
    /// Picks up spans, in the order in which they ended within a trace, and the traces that lost a span. It visits shard after
    /// shard until it has at least `most` spans. Returns whether it has visited all; if not, the worker is woken for the rest.
    ///
    /// It counts the spans as received under the shard's lock, so that `stats` never misses a span between the two.
    pub(crate) fn drain(
        &self,
        most: usize,
        spans: &mut Vec<EndedSpan>,
        dropped: &mut Vec<TraceId>,
        ledger: &Ledger,
    ) -> bool {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.first.load(Ordering::Relaxed);
        for place in first..first + SHARDS {
            if spans.len() >= most {
                self.first.store(place % SHARDS, Ordering::Relaxed);
                self.root_ended.notify_one();
                return false;
            }
            let mut shard = lock(&self.shards[place % SHARDS]);
            dropped.append(&mut shard.dropped.new);
            ledger.received(shard.all().filter(|span| is_for_sentry(span)).count() as u64);
            let mut full = shard.take(&mut spare);
            drop(shard);
            for list in full.iter_mut().chain([&mut *spare]) {
                list.retain(|span| self.is_wanted(span, ledger));
                spans.append(list);
            }
        }
        true
    }

    /// Whether a span was sampled for Sentry. One that was not leaves the intake here.
    fn is_wanted(&self, span: &EndedSpan, ledger: &Ledger) -> bool {
        let is_wanted = is_for_sentry(span);
        if !is_wanted {
            self.jobs.ended(span, ledger);
            self.release(span.size());
        }
        is_wanted
    }

    /// Removes the spans that the worker will never pick up, and counts them and their check-ins as received. Returns their
    /// number.
    pub(crate) fn abandon(&self, ledger: &Ledger) -> Counts {
        let (mut spans, mut dropped) = (Vec::new(), Vec::new());
        self.drain(usize::MAX, &mut spans, &mut dropped, ledger);
        let jobs = spans.iter().filter(|span| is_monitored(&span.attributes)).count();
        ledger.check_ins_received(jobs as u64);
        Counts { check_ins: (jobs + self.jobs.take().len()) as u64, ..Counts::spans(spans.len()) }
    }
}
