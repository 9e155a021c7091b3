//! What goes to the disk and comes from there, as jobs: whoever drives the outbox runs them on a [`Spool`].

use std::{
    mem,
    time::{Duration, Instant},
};

use super::{
    queue::Queued,
    spool::{Lost, Record, RecordId, Spool, SpoolError, Spooled, Stored, Taken},
};
use crate::{
    account::{DropReason, Ledger, Now},
    packing::Envelope,
};

/// How long an envelope waits in an outage until it is stored: a process that is killed loses no more.
const INSURED_AFTER: Duration = Duration::from_secs(5);

/// How often the disk is looked at for what other processes left there.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How often envelopes that waited long are stored: often enough for the promise, seldom enough for the disk.
const INSURE_EVERY: Duration = Duration::from_secs(1);

/// How long a disk that refused something is left alone.
const REST: Duration = Duration::from_secs(5);

/// Envelopes that are taken from the disk at a time.
const MAX_TAKEN: usize = 256;

/// The bytes of them.
const MAX_TAKEN_BYTES: usize = 2 << 20;

/// What waits for the disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// To be stored, each with the reason under which it is dropped if that fails.
    storing: Vec<(Queued, DropReason)>,
    storing_bytes: usize,
    /// Handed out as a job.
    out: Vec<(Queued, DropReason)>,
    removed: Vec<RecordId>,
    put_back: Vec<RecordId>,
    /// When the disk is looked at next; `None` once a shutdown has begun.
    next_look: Option<Instant>,
    has_looked: bool,
    is_closing: bool,
    last_insured: Option<Instant>,
    /// Until when nothing is stored, after it failed.
    rests_until: Option<Instant>,
}

/// Something to do on disk.
#[derive(Debug)]
pub(crate) enum DiskJob {
    Store(Vec<Envelope>),
    Take,
    Settle { removed: Vec<RecordId>, put_back: Vec<RecordId> },
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum DiskDone {
    Stored(Stored),
    Taken(Taken),
    Settled,
}

/// What a finished job means for the outbox.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Numbers of traces of which an envelope is safe on disk.
    pub(super) gone: Vec<u64>,
    /// From the disk, to be sent.
    pub(super) taken: Vec<Queued>,
    /// The disk did not take them.
    pub(super) refused: Vec<(Queued, DropReason)>,
}

impl DiskJob {
    /// Does it. This blocks.
    pub(crate) fn run(self, spool: &mut Spool, now: Now) -> DiskDone {
        match self {
            Self::Store(envelopes) => {
                let records = envelopes
                    .iter()
                    .map(|envelope| Record { counts: envelope.counts, parts: [&envelope.headers, &envelope.items] });
                let records: Vec<_> = records.collect();
                DiskDone::Stored(spool.store(&records, now))
            }
            Self::Take => DiskDone::Taken(spool.take(MAX_TAKEN, MAX_TAKEN_BYTES, now)),
            Self::Settle { removed, put_back } => {
                spool.remove(&removed);
                spool.put_back(&put_back);
                DiskDone::Settled
            }
        }
    }
}

impl Disk {
    /// Bytes that are stored by one job: large enough for a disk to be fast, small enough for a deadline.
    pub(super) const MAX_STORED: usize = 4 << 20;

    /// Whether so much waits for the disk that nothing more should be made.
    pub(super) const fn is_behind(&self) -> bool {
        self.storing_bytes > 2 * Self::MAX_STORED
    }

    /// Whether it did not take what was to be stored last.
    pub(super) const fn has_failed(&self) -> bool {
        self.rests_until.is_some()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.storing.is_empty() && self.out.is_empty() && self.removed.is_empty() && self.put_back.is_empty()
    }

    /// Notes that a shutdown has begun: what is on disk stays there.
    pub(super) const fn close(&mut self) {
        self.is_closing = true;
        self.next_look = None;
    }

    /// Whether a shutdown has begun.
    pub(super) const fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Looks at the disk from this time on.
    pub(super) fn look_at(&mut self, time: Instant) {
        if !self.is_closing {
            self.next_look = Some(time);
        }
    }

    pub(super) const fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    pub(super) fn keep(&mut self, queued: Queued, or: DropReason) {
        self.storing_bytes += queued.envelope.size();
        self.storing.push((queued, or));
    }

    pub(super) fn remove(&mut self, record: RecordId) {
        self.removed.push(record);
    }

    pub(super) fn put_back(&mut self, record: RecordId) {
        self.put_back.push(record);
    }

    /// If it is time to store what waited long: everything that came in before the returned time.
    pub(super) fn insures(&mut self, now: Instant) -> Option<Instant> {
        let is_early = self.last_insured.is_some_and(|last| now < last + INSURE_EVERY);
        if is_early || self.rests_until.is_some_and(|until| now < until) {
            return None;
        }
        let older_than = now.checked_sub(INSURED_AFTER)?;
        self.last_insured = Some(now);
        Some(older_than)
    }

    /// When the oldest envelope that waits has to be stored, in an outage or a silence that began then.
    pub(super) fn next_insurance(&self, oldest: Instant, silent_since: Instant) -> Option<Instant> {
        let earliest = self.last_insured.map_or(oldest, |last| last + INSURE_EVERY);
        Some((oldest.max(silent_since) + INSURED_AFTER).max(earliest).max(self.rests_until.unwrap_or(oldest)))
    }

    /// The next job. One is out at a time.
    pub(super) fn next_job(&mut self, now: Instant, may_take: bool) -> Option<DiskJob> {
        if !self.has_looked {
            self.has_looked = true;
            self.look_at(now);
        }
        if !self.storing.is_empty() {
            return Some(self.store_job());
        }
        if !self.removed.is_empty() || !self.put_back.is_empty() {
            let (removed, put_back) = (mem::take(&mut self.removed), mem::take(&mut self.put_back));
            return Some(DiskJob::Settle { removed, put_back });
        }
        if may_take && self.next_look.is_some_and(|at| at <= now) {
            return Some(DiskJob::Take);
        }
        None
    }

    fn store_job(&mut self) -> DiskJob {
        let mut bytes = 0;
        let fits = |(queued, _): &&(Queued, DropReason)| {
            let before = bytes;
            bytes += queued.envelope.size();
            before == 0 || bytes <= Self::MAX_STORED
        };
        let count = self.storing.iter().take_while(fits).count();
        self.out = self.storing.drain(..count).collect();
        self.storing_bytes = self.storing.iter().map(|(queued, _)| queued.envelope.size()).sum();
        DiskJob::Store(self.out.iter().map(|(queued, _)| queued.envelope.clone()).collect())
    }

    /// Notes what became of a job, and counts it.
    pub(super) fn done(&mut self, done: DiskDone, ledger: &Ledger, now: Instant) -> Settled {
        let mut settled = Settled::default();
        match done {
            DiskDone::Stored(Stored { kept, error, lost }) => {
                count_lost(lost, ledger);
                let mut out = mem::take(&mut self.out);
                settled.refused = out.split_off(kept.min(out.len()));
                for (queued, _) in out {
                    ledger.spooled(queued.envelope.counts);
                    settled.gone.extend(queued.number);
                }
                match error {
                    // The others are not concerned.
                    Some(SpoolError::TooLarge) if !settled.refused.is_empty() => {
                        let others = settled.refused.split_off(1);
                        others.into_iter().for_each(|(queued, or)| self.keep(queued, or));
                    }
                    Some(_) => self.rests_until = Some(now + REST),
                    None => self.rests_until = None,
                }
                // It may be the next that is taken, once there is room.
                self.look_at(now);
            }
            DiskDone::Taken(Taken { records, lost, is_empty }) => {
                count_lost(lost, ledger);
                self.look_at(if is_empty { now + LOOK_EVERY } else { now });
                settled.taken = records.into_iter().map(|spooled| from_disk(spooled, ledger, now)).collect();
            }
            DiskDone::Settled => {}
        }
        settled
    }

    /// What was not stored yet.
    pub(super) fn abandon(&mut self) -> Vec<Queued> {
        self.storing_bytes = 0;
        self.storing.drain(..).chain(self.out.drain(..)).map(|(queued, _)| queued).collect()
    }
}

/// An envelope from the disk is on its way again. What another process stored was not received here before.
fn from_disk(spooled: Spooled, ledger: &Ledger, now: Instant) -> Queued {
    let Spooled { id, counts, headers, items, is_own } = spooled;
    if !is_own {
        ledger.received(counts.spans);
    }
    Queued { record: Some(id), is_own, ..Queued::new(None, Envelope { headers, items, counts }, now) }
}

/// What was on disk, perhaps of another process, and had to go.
fn count_lost(lost: Lost, ledger: &Ledger) {
    let Lost { own, foreign } = lost;
    ledger.unspooled(own);
    ledger.received(foreign.spans);
    for lost in [own, foreign] {
        ledger.dropped(DropReason::CacheOverflow, lost);
    }
}
