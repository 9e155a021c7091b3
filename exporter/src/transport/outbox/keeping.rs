//! What goes to the disk, and what comes back from it.

use super::{MAX_IN_FLIGHT, Outbox};
use crate::{
    account::{DropReason, Now},
    transport::{
        disk::{Disk, DiskDone, DiskJob},
        queue::Queued,
        rate_limit::Category,
    },
};

impl Outbox {
    /// Stores an envelope on disk, or drops it if there is no disk.
    pub(super) fn keep_or_drop(&mut self, queued: Queued, reason: DropReason) {
        match &mut self.disk {
            Some(disk) if !queued.envelope.items.is_empty() => disk.keep(queued, reason),
            _ => self.drop_envelope(queued, reason),
        }
    }

    /// The next job for the disk, if there is one.
    pub(crate) fn next_job(&mut self, now: Now) -> Option<DiskJob> {
        let disk = self.disk.as_mut()?;
        let is_outage = self.link.is_away();
        if let Some(older_than) = disk.insures(now.instant) {
            // With few envelopes an outage shows in their failures alone, and a server that hangs in its silence. A disk
            // that failed is tried again when there is no room for more.
            let is_outage = is_outage
                || self.queue.next_pause_ends().is_some()
                || self.silent_since.is_some_and(|since| since <= older_than)
                || (disk.has_failed() && self.queue.bytes() + self.largest > self.limit);
            if is_outage {
                let old = self.queue.take_older(older_than, Disk::MAX_STORED);
                old.into_iter().for_each(|queued| disk.keep(queued, DropReason::NetworkError));
            }
        }
        // `link.room` allows one during an outage: if the queue is empty, an envelope from the disk tries the server.
        let has_room = (self.queue.is_empty() || self.queue.bytes() < self.limit / 4)
            && self.link.room(now.instant, self.in_flight.taking_room(), MAX_IN_FLIGHT) > 0;
        // What is limited stays on the disk: in memory it would be dropped.
        let otlp = [Category::Span, Category::LogItem].into_iter().filter(|_| self.takes_otlp);
        let is_limited = otlp.chain([self.category]).any(|category| self.limits.is_limited(category, now.instant));
        disk.next_job(now.instant, has_room && !is_limited)
    }

    /// The last job for the disk, when a shutdown has come to its end.
    pub(crate) fn last_job(&self) -> Option<DiskJob> {
        self.disk.as_ref()?.last_job()
    }

    /// Whether the last job was done, or there is no disk.
    pub(crate) fn is_closed(&self) -> bool {
        self.disk.as_ref().is_none_or(Disk::is_closed)
    }

    /// Takes in the result of a job.
    pub(crate) fn job_done(&mut self, done: DiskDone, now: Now) {
        let Some(disk) = &mut self.disk else { return };
        let result = disk.done(done, &self.ledger, now.instant);
        result.gone.into_iter().for_each(|number| self.left.push(number));
        for queued in result.taken {
            self.queue.push(queued);
        }
        // A disk that fails must cost nothing that memory has room for. The queue is full then, so nothing more comes.
        let may_wait = !disk.is_closing();
        let limit = self.limit.saturating_add(2 * Disk::MAX_STORED);
        for (queued, reason) in result.refused {
            let has_room = self.queue.bytes() + queued.envelope.size() <= limit;
            if may_wait && has_room {
                self.queue.push(queued);
            } else {
                self.drop_envelope(queued, reason);
            }
        }
    }

    /// The time for delivery is over: hands everything that waits or is in flight to the disk, or drops it. The driver
    /// then runs the jobs.
    pub(crate) fn give_up(&mut self, reason: DropReason) {
        let out = self.in_flight.take_envelopes().into_iter().map(|sent| sent.queued);
        for queued in self.queue.drain().into_iter().chain(out) {
            match (&mut self.disk, queued.record) {
                (Some(disk), Some(record)) => {
                    if !queued.is_own {
                        self.ledger.spooled(queued.envelope.counts);
                    }
                    disk.put_back(record);
                    self.left.extend(queued.number);
                }
                // The server did not answer this one before, so an outage is the reason and not the shutdown.
                _ if queued.blamed_in.is_some() => self.keep_or_drop(queued, DropReason::NetworkError),
                _ => self.keep_or_drop(queued, reason),
            }
        }
    }

    /// Hands everything that waits to the disk, because a flush ends during an outage.
    pub(crate) fn keep_waiting(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        for queued in self.queue.drain() {
            match queued.record {
                Some(_) => self.queue.push(queued),
                None => disk.keep(queued, DropReason::NetworkError),
            }
        }
    }

    /// Drops what was not stored before the deadline.
    pub(crate) fn abandon_jobs(&mut self, reason: DropReason) {
        let kept = self.disk.as_mut().map(Disk::abandon).unwrap_or_default();
        kept.into_iter().for_each(|queued| self.drop_envelope(queued, reason));
    }
}
