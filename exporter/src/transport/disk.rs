//! What goes to the disk and comes from it, as jobs. The driver of the machine runs them on a [`Spool`], so the outbox
//! itself never blocks and needs no disk in tests.

use std::{mem, time::Duration};

use web_time::Instant;

use super::{
    queue::Queued,
    spool::{Lost, Record, RecordId, Spool, SpoolError, Spooled, Stored, Taken},
};
use crate::{
    account::{DropReason, Ledger, Now},
    packing::Envelope,
};

/// How long an envelope waits in memory during an outage. A process that is killed loses what is younger.
const INSURED_AFTER: Duration = Duration::from_secs(5);

/// How often the exporter looks for envelopes that other processes left on the disk.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How often envelopes that have waited long are stored. Each time costs an `fdatasync`.
const INSURE_EVERY: Duration = Duration::from_secs(1);

/// How long nothing is stored to save memory from a crash after the disk has refused an envelope.
const REST: Duration = Duration::from_secs(5);

/// The most envelopes that one job takes from the disk.
const MAX_TAKEN: usize = 256;

/// The most bytes that one job takes from the disk.
const MAX_TAKEN_BYTES: usize = 2 << 20;

/// What waits for the disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// To be stored, each with the reason under which it is dropped if the disk refuses it.
    storing: Vec<(Queued, DropReason)>,
    /// The bytes of `storing`. They are not in the queue's count, so without this the memory would not be bounded while
    /// the disk is slow.
    storing_bytes: usize,
    /// What the current job stores. It stays here until the job is done: if the disk refuses it, it can still be sent.
    out: Vec<(Queued, DropReason)>,
    /// Delivered or refused: the spool must not hand them out again.
    removed: Vec<RecordId>,
    /// Not delivered: the spool hands them out again, here or in another process.
    put_back: Vec<RecordId>,
    /// When the next job takes envelopes from the disk; `None` once a shutdown has begun.
    next_look: Option<Instant>,
    /// Whether the first look was scheduled. It is due at once, for what an earlier process left.
    has_looked: bool,
    /// A shutdown has begun. What is on disk then stays there: taking it would delay the shutdown.
    is_closing: bool,
    /// The last job was done.
    is_closed: bool,
    /// The disk had nothing to hand out when it was asked last: what counts as kept is being sent by another process, or
    /// was removed. Without it every flush would wait in vain.
    is_elsewhere: bool,
    /// When envelopes that had waited long were stored last. Without it each wake-up would cost an `fdatasync`.
    last_insured: Option<Instant>,
    /// After a failure nothing is stored before this time, so that a full disk does not cost a failed write each
    /// second.
    rests_until: Option<Instant>,
}

/// Something to do on disk.
#[derive(Debug)]
pub(crate) enum DiskJob {
    Store(Vec<Envelope>),
    Take,
    /// Marks records as done, and returns others.
    Settle {
        removed: Vec<RecordId>,
        put_back: Vec<RecordId>,
    },
    /// The last one: what another program has removed meanwhile is lost, as only this process can still read it.
    Close,
}

/// The result of a job.
#[derive(Debug)]
pub(crate) enum DiskDone {
    Stored(Stored),
    Taken(Taken),
    Settled,
    Closed(Lost),
}

/// What the outbox has to do after a job.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The numbers of the traces whose envelopes are safe on disk: a flush need not wait for them in memory.
    pub(super) gone: Vec<u64>,
    /// Envelopes from the disk, to be sent.
    pub(super) taken: Vec<Queued>,
    /// Envelopes that the disk refused, with the reason under which they may be dropped.
    pub(super) refused: Vec<(Queued, DropReason)>,
}

impl DiskJob {
    /// Runs the job. It blocks until the disk has finished.
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
            Self::Close => DiskDone::Closed(spool.close()),
        }
    }
}

impl Disk {
    /// The most bytes that one job stores. More would be faster, but a job must fit into the reserve before a deadline.
    pub(super) const MAX_STORED: usize = 4 << 20;

    /// Whether so many bytes wait for the disk that packing must wait.
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

    /// A shutdown has begun: what is on disk stays there.
    pub(super) const fn close(&mut self) {
        self.is_closing = true;
        self.next_look = None;
    }

    /// Whether what counts as kept is out of reach, unless this process has some of it in hand.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    /// Whether a shutdown has begun.
    pub(super) const fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Whether the last job was done.
    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The last job, once a shutdown has nothing more for the disk.
    pub(super) fn last_job(&self) -> Option<DiskJob> {
        (self.is_closing && self.is_idle() && !self.is_closed).then_some(DiskJob::Close)
    }

    /// Schedules the next look at the disk.
    pub(super) fn look_at(&mut self, time: Instant) {
        if !self.is_closing {
            self.next_look = Some(time);
        }
    }

    pub(super) const fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    /// Stores an envelope; drops it for this reason if the disk refuses it.
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

    /// If envelopes that have waited long are to be stored now: the time before which they were queued.
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

    /// The next job. The driver finishes it before it asks for another one.
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

    /// Takes in the result of a job, and counts it.
    pub(super) fn done(&mut self, done: DiskDone, ledger: &Ledger, now: Instant) -> Settled {
        let mut settled = Settled::default();
        match done {
            DiskDone::Stored(Stored { kept, error, lost }) => {
                count_lost(lost, ledger);
                self.is_elsewhere = false;
                let mut out = mem::take(&mut self.out);
                settled.refused = out.split_off(kept.min(out.len()));
                for (queued, _) in out {
                    ledger.spooled(queued.envelope.counts);
                    settled.gone.extend(queued.number);
                }
                match error {
                    // This envelope alone exceeds the spool's limit. The others are stored by the next job.
                    Some(SpoolError::TooLarge) if !settled.refused.is_empty() => {
                        let others = settled.refused.split_off(1);
                        others.into_iter().for_each(|(queued, or)| self.keep(queued, or));
                    }
                    Some(_) => self.rests_until = Some(now + REST),
                    None => self.rests_until = None,
                }
                // What was stored is taken again as soon as the queue has room.
                self.look_at(now);
            }
            DiskDone::Taken(Taken { records, lost, is_empty }) => {
                count_lost(lost, ledger);
                self.look_at(if is_empty { now + LOOK_EVERY } else { now });
                self.is_elsewhere = is_empty && records.is_empty();
                settled.taken = records.into_iter().map(|spooled| from_disk(spooled, ledger, now)).collect();
            }
            DiskDone::Settled => {}
            DiskDone::Closed(lost) => {
                count_lost(lost, ledger);
                self.is_closed = true;
            }
        }
        settled
    }

    /// Returns what was not stored yet. The caller drops it.
    pub(super) fn abandon(&mut self) -> Vec<Queued> {
        self.storing_bytes = 0;
        self.storing.drain(..).chain(self.out.drain(..)).map(|(queued, _)| queued).collect()
    }
}

/// An envelope from the disk is on its way again. It counts as kept until it is removed from there. What another process
/// stored was not received here before.
fn from_disk(spooled: Spooled, ledger: &Ledger, now: Instant) -> Queued {
    let Spooled { id, counts, headers, items, is_own } = spooled;
    if !is_own {
        ledger.received(counts.spans);
        ledger.logs_received(counts.logs);
        ledger.metrics_received(counts.metrics);
        ledger.check_ins_received(counts.check_ins);
    }
    Queued { record: Some(id), is_own, ..Queued::new(None, Envelope { headers, items, counts }, now) }
}

/// Counts what was lost on the disk. The losses of other processes count as received too, so that the account closes.
fn count_lost(lost: Lost, ledger: &Ledger) {
    let Lost { own, foreign } = lost;
    ledger.unspooled(own);
    ledger.received(foreign.spans);
    ledger.logs_received(foreign.logs);
    ledger.metrics_received(foreign.metrics);
    ledger.check_ins_received(foreign.check_ins);
    for lost in [own, foreign] {
        ledger.dropped(DropReason::CacheOverflow, lost);
    }
}
