//! Appends records to the segment that this spool writes, and begins new ones.

use std::io;

use super::{
    Spool, SpoolError, Stored,
    lock::{Attempt, Locked},
    name::{Name, nanos},
    reader::Reader,
    record::{self, HEADER_LEN, Record},
    trouble::Trouble,
    writer::Writer,
};
use crate::account::Now;

impl Spool {
    pub(super) fn store_all(&mut self, records: &[Record<'_>], now: Now) -> Stored {
        let mut stored = Stored::default();
        while let Some(rest) = records.get(stored.kept..).filter(|rest| !rest.is_empty()) {
            match self.store_some(rest, now, &mut stored) {
                Ok(()) if stored.error.is_none() => {}
                Ok(()) => break,
                Err(error) => {
                    stored.error = Some(error);
                    break;
                }
            }
        }
        match &stored.error {
            None => self.troubles.over(Trouble::Write),
            Some(SpoolError::Io(error)) => self.troubles.report(Trouble::Write, error),
            Some(SpoolError::TooLarge | SpoolError::NoRoom | SpoolError::Closed) => {}
        }
        self.settle();
        stored
    }

    /// Stores as many of the records as fit in one segment, and at least one.
    fn store_some(&mut self, records: &[Record<'_>], now: Now, stored: &mut Stored) -> Result<(), SpoolError> {
        let Some(first) = records.first() else { return Ok(()) };
        if self.is_closed {
            return Err(SpoolError::Closed);
        }
        if !self.is_possible(first) {
            return Err(SpoolError::TooLarge);
        }
        self.leave_segment(record::len(first.parts), now);
        if self.writer.is_none() {
            // Other processes store too. Each lists the directory when it begins a segment, and a segment is at most a
            // sixteenth of the limit, so each process may exceed the limit by that much.
            self.refresh(now, &mut stored.lost)?;
        }
        let (records, bytes) = self.batch(records);
        self.make_room(HEADER_LEN.saturating_add(bytes), now, &mut stored.lost)?;
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.begin(now)?,
        };
        let appended = writer.append(records, now.instant, &self.folder);
        self.index.grow(&writer.name, writer.len(), appended.counts);
        stored.kept += appended.kept;
        stored.error = appended.error.map(SpoolError::Io);
        self.keep_or_leave(writer, appended.is_broken);
        Ok(())
    }

    /// Whether the limit and the format have room for the record.
    fn is_possible(&self, record: &Record<'_>) -> bool {
        let len = record::len(record.parts);
        len <= u32::MAX.into() && HEADER_LEN.saturating_add(len) <= self.max_bytes
    }

    /// Closes the segment if the record must not be appended to it.
    fn leave_segment(&mut self, len: u64, now: Now) {
        let Some(writer) = &self.writer else { return };
        // Another program has removed the file. Its records can still be read through the open file, but only here.
        if !writer.file().is_at(&self.folder.file(&writer.name)).unwrap_or(false) {
            return self.retire_writer();
        }
        let is_old = now.instant.saturating_duration_since(writer.begun()) > self.max_span();
        if is_old || writer.len().saturating_add(len) > self.segment_bytes() {
            // This releases the lock, so that any process may send the segment.
            self.writer = None;
        }
    }

    /// The first records that fit into the segment, at least one, and the bytes that they take.
    fn batch<'a, 'b>(&self, records: &'a [Record<'b>]) -> (&'a [Record<'b>], u64) {
        let used = self.writer.as_ref().map_or(HEADER_LEN, Writer::len);
        let (mut count, mut bytes) = (0, 0_u64);
        for record in records {
            let more = bytes.saturating_add(record::len(record.parts));
            let fits = self.is_possible(record) && used.saturating_add(more) <= self.segment_bytes();
            if count > 0 && !fits {
                break;
            }
            (count, bytes) = (count + 1, more);
        }
        (&records[..count], bytes)
    }

    /// Begins a segment.
    fn begin(&mut self, now: Now) -> io::Result<Writer> {
        for _ in 0..ATTEMPTS {
            let name = Name { time: nanos(now.wall), writer: self.id, number: self.next_number };
            self.next_number = self.next_number.wrapping_add(1);
            let file = match self.folder.create(&name) {
                Ok(Attempt::Locked(file)) => {
                    self.troubles.over(Trouble::Lock);
                    file
                }
                Ok(Attempt::Unsupported(file, error)) => {
                    self.troubles.report(Trouble::Lock, &error);
                    Locked::without_lock(file)
                }
                // Another process has locked the new file first, and removes it as that of a dead process.
                Ok(Attempt::Busy | Attempt::Gone) => continue,
                // The directory was removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.list(now)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.index.begin(name, now.instant);
            return Ok(Writer::new(name, file, now.instant));
        }
        Err(io::Error::other("each new file was taken by another process"))
    }

    /// Keeps the segment open, unless it contains no record or must not be appended to.
    fn keep_or_leave(&mut self, writer: Writer, is_broken: bool) {
        let name = writer.name;
        if writer.len() == 0 {
            // All of its content was reported as not kept.
            let _ = self.folder.remove(&name);
            self.index.remove(&name);
        } else if is_broken {
            // Only this spool knows where the records end that were reported as kept, so it keeps the lock.
            let end = writer.len();
            self.readers.insert(name, Reader::new(name, writer.into_file(), end));
        } else {
            self.writer = Some(writer);
        }
    }

    /// The size at which a segment is closed. If one is removed to make room, at most a sixteenth of everything is
    /// lost.
    fn segment_bytes(&self) -> u64 {
        SEGMENT.min(self.max_bytes / 16)
    }
}

/// The usual size of a segment. Thousands of records share a file, and reading one takes little time.
const SEGMENT: u64 = 8 * 1024 * 1024;

/// Attempts to begin a segment. One fails only if another process lists the directory at that moment.
const ATTEMPTS: usize = 8;
