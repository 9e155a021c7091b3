//! Hands out records, and takes in whether they were delivered.

use std::time::Duration;

use super::{Lost, RecordId, Spool, Spooled, Taken, minus, name::Name, reader::Found, trouble::Trouble};
use crate::account::{Counts, Now};

/// How much may be handed out.
struct Quota {
    records: usize,
    bytes: usize,
}

impl Quota {
    fn is_left(&self) -> bool {
        self.records > 0 && self.bytes > 0
    }
}

impl Spool {
    pub(super) fn take_up_to(&mut self, records: usize, bytes: usize, now: Now) -> Taken {
        let mut taken = Taken { is_empty: self.is_closed, ..Taken::default() };
        let mut quota = Quota { records, bytes };
        let mut may_list = true;
        self.write_states();
        while quota.is_left() && !taken.is_empty {
            if let Some(name) = self.oldest() {
                self.take_from(&name, &mut quota, now, &mut taken);
            } else if may_list && self.is_listing_old(now) {
                may_list = false;
                // A failure is logged, and the next call tries again.
                let _ = self.refresh(now, &mut taken.lost);
            } else {
                taken.is_empty = true;
            }
        }
        self.settle();
        taken
    }

    pub(super) fn done(&mut self, id: RecordId) {
        self.write_state(id);
        self.finish(&id.segment);
    }

    pub(super) fn wait_again(&mut self, id: RecordId) {
        let Some(reader) = self.readers.get_mut(&id.segment) else { return };
        reader.put_back(id.offset);
        // Unlocks the segment, so that another process may send it or make room. If its file was removed by another
        // program, only the open file can still be read, so it stays open.
        if reader.is_idle() && reader.file().is_at(&self.folder.file(&id.segment)).unwrap_or(true) {
            self.readers.remove(&id.segment);
        }
    }

    /// The oldest segment that may have a record to hand out.
    fn oldest(&self) -> Option<Name> {
        let may_lock = self.readers.len() < MAX_LOCKED;
        let is_open = |name: &Name| self.readers.get(name).map_or(may_lock, |reader| reader.has_more());
        self.index.ready().map(|(name, _)| *name).find(is_open)
    }

    /// Hands out records of one segment, until it has no more or the quota is used up.
    fn take_from(&mut self, name: &Name, quota: &mut Quota, now: Now, taken: &mut Taken) {
        if !self.hold(name) {
            return;
        }
        while let Some(reader) = self.readers.get_mut(name).filter(|reader| quota.is_left() && reader.has_more()) {
            match reader.next(&mut self.window) {
                Ok(Some(found)) => self.hand_out(name, found, quota, now, taken),
                Ok(None) => break,
                Err(error) => {
                    if reader.is_idle() {
                        self.readers.remove(name);
                    }
                    return self.fail(name, &error);
                }
            }
        }
        self.reconcile(name, &mut taken.lost);
        if self.readers.get(name).is_some_and(|reader| !reader.has_unmarked()) {
            self.index.works(name);
        }
        self.finish(name);
    }

    /// Locks the segment, unless this spool has already locked it.
    fn hold(&mut self, name: &Name) -> bool {
        if self.writer.as_ref().is_some_and(|writer| writer.name == *name) {
            self.retire_writer();
        }
        if !self.readers.contains_key(name) {
            let Some(reader) = self.lock(name, self.is_own(name)) else { return false };
            self.readers.insert(*name, reader);
        }
        true
    }

    fn hand_out(&mut self, name: &Name, found: Found, quota: &mut Quota, now: Now, taken: &mut Taken) {
        let Found { offset, head, body } = found;
        let id = RecordId { segment: *name, offset };
        let age = self.index.get(name).map_or(Duration::ZERO, |segment| segment.age(now.instant));
        let is_old = age.saturating_sub(Duration::from_nanos(head.time.saturating_sub(name.time))) > self.max_age;
        match body.filter(|_| !is_old) {
            Some(mut items) => {
                quota.records -= 1;
                quota.bytes = quota.bytes.saturating_sub(items.len());
                let headers = items.split_to(items.len().min(head.split as usize));
                taken.records.push(Spooled { id, counts: head.counts, headers, items, is_own: self.is_own(name) });
            }
            None => {
                // It is marked as done. Otherwise the next reader of the segment would count it again.
                self.lose(name, head.counts, &mut taken.lost);
                self.write_state(id);
            }
        }
    }

    /// Counts the records that a segment should contain but does not, after its last record was visited.
    fn reconcile(&mut self, name: &Name, lost: &mut Lost) {
        let Some((seen, is_damaged)) = self.readers.get(name).and_then(|reader| reader.passed()) else { return };
        // This works only for segments of this spool: for others, the counts in a damaged head are unknown.
        let own = self.index.get(name).and_then(|segment| segment.own);
        let missing = own.map_or(Counts::default(), |own| minus(own, seen));
        if is_damaged || missing != Counts::default() {
            self.troubles.report(Trouble::Damaged, name);
        } else {
            self.troubles.over(Trouble::Damaged);
        }
        if let Some(own) = own {
            self.lose(name, missing, lost);
            // Otherwise they would be counted again when the segment is read again.
            self.index.set_own(name, minus(own, missing));
        }
    }

    /// Removes a segment whose records are all done.
    fn finish(&mut self, name: &Name) {
        if !self.readers.get(name).is_some_and(|reader| reader.is_finished()) {
            return;
        }
        match self.folder.remove(name) {
            Ok(_) => {
                self.readers.remove(name);
                self.index.remove(name);
            }
            Err(error) => {
                // All records are marked as done, so the segment need not stay locked. If some marks could not be
                // written, it must: only this spool knows about them.
                if self.readers.get(name).is_some_and(|reader| reader.is_idle()) {
                    self.readers.remove(name);
                }
                self.fail(name, &error);
            }
        }
    }

    /// Marks a record as done. If the mark cannot be written, the reader remembers it and tries again.
    fn write_state(&mut self, id: RecordId) {
        if let Some(Err(error)) =
            self.readers.get_mut(&id.segment).map(|reader| reader.done(id.offset, &self.folder.disk))
        {
            self.fail(&id.segment, &error);
        }
    }

    /// Tries again to write the marks that could not be written.
    fn write_states(&mut self) {
        let names: Vec<_> = self.readers.iter().filter(|(_, it)| it.has_unmarked()).map(|(name, _)| *name).collect();
        for name in names {
            match self.readers.get_mut(&name).map(|reader| reader.mark(&self.folder.disk)) {
                Some(Err(error)) => self.fail(&name, &error),
                _ => self.index.works(&name),
            }
            self.finish(&name);
        }
    }

    /// Whether the directory should be listed again: other processes may have stored or released records. More frequent
    /// listings would cost too much if thousands of segments are locked by other processes.
    fn is_listing_old(&self, now: Now) -> bool {
        let latest = self.index.latest_listing();
        latest.is_none_or(|latest| now.instant.saturating_duration_since(latest) >= LISTING_AGE)
    }
}

const LISTING_AGE: Duration = Duration::from_secs(1);

/// The most segments that are locked at once. Each is an open file, and many applications may open only 1024.
const MAX_LOCKED: usize = 64;
