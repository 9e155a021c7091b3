//! Appends records to one segment.
//!
//! A record is kept when the file is on the disk (`fdatasync`), and for a new segment also its name (`fsync` of the
//! directory). This is done once for each call, after the last record.

use std::{io, time::Duration};

use web_time::Instant;

use super::{
    file_system::FileSystem,
    folder::Folder,
    lock::Locked,
    name::Name,
    record::{HEADER, Head, Record},
};
use crate::account::Counts;

/// The segment that this spool appends to. It is locked, so no other spool reads it.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) name: Name,
    file: Locked,
    /// The length that is on the disk. Records are appended here, over any remains of a failed write.
    len: u64,
    begun: Instant,
}

/// The result of one call.
#[derive(Debug, Default)]
pub(super) struct Appended {
    /// How many records are kept, from the first on.
    pub(super) kept: usize,
    /// The sum over them.
    pub(super) counts: Counts,
    pub(super) error: Option<io::Error>,
    /// The bytes after the kept records could not be removed, or are unknown. Nothing may be appended to the segment.
    pub(super) is_broken: bool,
}

/// What was written but is not synced yet.
struct Written {
    /// The end of each record.
    ends: Vec<u64>,
    /// The end of everything that was written.
    len: u64,
    error: Option<io::Error>,
}

impl Writer {
    pub(super) const fn new(name: Name, file: Locked, begun: Instant) -> Self {
        Self { name, file, len: 0, begun }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    pub(super) const fn file(&self) -> &Locked {
        &self.file
    }

    pub(super) fn into_file(self) -> Locked {
        self.file
    }

    /// Appends records. The format must have room for each.
    pub(super) fn append(&mut self, records: &[Record<'_>], now: Instant, folder: &Folder) -> Appended {
        let Written { ends, len, mut error } = self.write(records, now, &folder.disk);
        // A full disk may have accepted some of them.
        let mut kept = ends.iter().take_while(|end| **end <= len).count();
        let whole = if kept == 0 { self.len } else { ends.get(kept - 1).copied().unwrap_or(self.len) };
        let mut is_broken = false;
        if error.is_some() {
            // Otherwise the next record would follow a part of this one.
            is_broken = (folder.disk.truncate)(self.file.file(), whole).is_err();
        }
        if kept > 0 {
            if let Err(failed) = self.sync(folder) {
                // It is unknown which records are on the disk, and a second sync may succeed without writing them. The
                // caller counts all of them as not kept, so none may be handed out later.
                let _ = (folder.disk.truncate)(self.file.file(), self.len);
                (kept, is_broken, error) = (0, true, Some(failed));
            } else {
                self.len = whole;
            }
        }
        let mut counts = Counts::default();
        records[..kept].iter().for_each(|record| counts += record.counts);
        Appended { kept, counts, error, is_broken }
    }

    fn write(&self, records: &[Record<'_>], now: Instant, disk: &FileSystem) -> Written {
        let mut buffer = if self.len == 0 { HEADER.to_vec() } else { Vec::new() };
        let mut written = Written { ends: Vec::with_capacity(records.len()), len: self.len, error: None };
        // The wall clock could jump between two records, and make the later one older.
        let time = self.name.time.saturating_add(nanos(now.saturating_duration_since(self.begun)));
        for Record { counts, parts } in records {
            let Some(head) = Head::new(*counts, *parts, time) else {
                self.flush(&mut buffer, &mut written, disk);
                written.error.get_or_insert(io::ErrorKind::InvalidInput.into());
                return written;
            };
            buffer.extend_from_slice(&head.encode());
            parts.iter().for_each(|part| buffer.extend_from_slice(part));
            written.ends.push(written.len.saturating_add(buffer.len() as u64));
            if buffer.len() >= CHUNK {
                self.flush(&mut buffer, &mut written, disk);
            }
            if written.error.is_some() {
                return written;
            }
        }
        self.flush(&mut buffer, &mut written, disk);
        written
    }

    /// Writes the buffer and empties it.
    fn flush(&self, buffer: &mut Vec<u8>, written: &mut Written, disk: &FileSystem) {
        let (len, error) = disk.write_all(self.file.file(), written.len, buffer);
        written.len = written.len.saturating_add(len);
        written.error = error;
        buffer.clear();
    }

    fn sync(&self, folder: &Folder) -> io::Result<()> {
        (folder.disk.sync)(self.file.file())?;
        // The name is new with the first record.
        if self.len == 0 { folder.sync() } else { Ok(()) }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Records are written in pieces of about this size: few system calls, and a small buffer.
const CHUNK: usize = 1024 * 1024;
