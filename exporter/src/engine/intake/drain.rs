//! How the worker takes spans out of the intake.

use std::sync::atomic::Ordering;

use super::{Intake, PickedUp, SHARDS, is_for_sentry, lock};
use crate::{
    account::{Counts, Ledger},
    convert::is_monitored,
    trace::EndedSpan,
};

impl Intake {
    /// Picks up spans, in the order in which they ended within a trace, and the traces that lost a span. It visits shard after
    /// shard until it has at least `most` spans; the next call goes on there. Returns whether it has come to the last one. A
    /// call for all spans visits all shards.
    ///
    /// It counts the spans as received under the shard's lock, so that `stats` never misses a span between the two.
    pub(crate) fn drain(&self, most: usize, picked: &mut PickedUp, ledger: &Ledger) -> bool {
        let first = if most == usize::MAX { 0 } else { self.next.load(Ordering::Relaxed) };
        let mut count = 0;
        for place in first..SHARDS {
            if count >= most {
                self.next.store(place, Ordering::Relaxed);
                return false;
            }
            let mut shard = lock(&self.shards[place]);
            picked.dropped.append(&mut shard.dropped.new);
            let all = shard.all().count();
            let wanted = shard.all().filter(|span| is_for_sentry(span)).count();
            ledger.received(wanted as u64);
            let before = picked.lists.len();
            shard.take(picked);
            drop(shard);
            if wanted < all {
                for list in &mut picked.lists[before..] {
                    list.retain(|span| self.is_wanted(span, ledger));
                }
            }
            count += all;
        }
        self.next.store(0, Ordering::Relaxed);
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
        self.free_spent();
        let mut picked = PickedUp::default();
        self.drain(usize::MAX, &mut picked, ledger);
        let (mut spans, mut jobs) = (0, 0);
        picked.each(|span, _| {
            spans += 1;
            jobs += usize::from(is_monitored(&span.attributes));
        });
        ledger.check_ins_received(jobs as u64);
        Counts { check_ins: (jobs + self.jobs.take().len()) as u64, ..Counts::spans(spans) }
    }
}
