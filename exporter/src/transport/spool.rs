//! Where do envelopes stay that could not be delivered? In a directory, until they can be.
//!
//! Many envelopes share a file, a **segment**. One spool appends to it; whichever spool locks it afterwards reads it.
//!
//! | | |
//! | --- | --- |
//! | durable | when [`Spool::store`] returns: one `fdatasync` for each call and segment, one `fsync` of the directory for each new segment |
//! | bounded | in bytes over the whole directory, and in age; the oldest segments make room |
//! | torn or damaged | each record has a checksum; a torn tail is ignored, a damaged record skipped and counted |
//! | several processes | each appends to segments of its own; a lock on the segment keeps two from sending the same record |
//! | a crash while sending | its records are sent again: at least once; Sentry knows the event's id |
//! | the clock jumps | nothing expires: ages are measured by the monotonic clock, from the start of this process on |
//! | an operation fails | it is reported once, counted, tried again later; never fatal |
//!
//! The caller decides on pace, HTTP and rate limits, and chooses the directory: all envelopes in it go to one project.

mod disk;
mod error;
mod folder;
mod index;
mod lock;
mod name;
mod reader;
mod record;
mod room;
mod store;
mod take;
#[cfg(test)]
mod tests;
mod trouble;
mod window;
mod writer;

use std::{
    collections::BTreeMap,
    mem,
    ops::AddAssign,
    path::{self, PathBuf},
    time::Duration,
};

use opentelemetry_http::Bytes;
use uuid::Uuid;

pub(crate) use self::{error::SpoolError, record::Record};
use self::{
    folder::Folder, index::Index, name::Name, reader::Reader, trouble::Troubles, window::Window, writer::Writer,
};
use crate::account::{Counts, Now};

/// Where envelopes are kept, and how many.
#[derive(Clone, Debug)]
pub(crate) struct SpoolOptions {
    pub(crate) dir: PathBuf,
    /// Of all segments in the directory, whichever process wrote them. Beyond that the oldest make room.
    pub(crate) max_bytes: u64,
    /// Older records are dropped.
    pub(crate) max_age: Duration,
}

/// Names a record that was handed out. The order is that of handing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordId {
    segment: Name,
    offset: u64,
}

/// An envelope that was kept. It is handed out again, perhaps by another process, unless it is removed.
#[derive(Debug)]
#[must_use]
pub(crate) struct Spooled {
    pub(crate) id: RecordId,
    pub(crate) counts: Counts,
    pub(crate) headers: Bytes,
    pub(crate) items: Bytes,
    /// This spool stored it, so its spans were counted as received here.
    pub(crate) is_own: bool,
}

/// What was dropped from the disk: too old, in the way of newer records, or damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Lost {
    /// Stored by this spool.
    pub(crate) own: Counts,
    /// Stored by another process, or by an earlier spool of this one.
    pub(crate) foreign: Counts,
}

/// What became of the records that were to be kept.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Stored {
    /// This many records, from the first on, are on the disk.
    pub(crate) kept: usize,
    /// Why the next one is not; `None` if all are kept.
    pub(crate) error: Option<SpoolError>,
    /// What was dropped from the disk meanwhile, whether the new records are kept or not.
    pub(crate) lost: Lost,
}

/// What was handed out.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Taken {
    /// The oldest first.
    pub(crate) records: Vec<Spooled>,
    pub(crate) lost: Lost,
    /// There was nothing more that could be handed out now.
    pub(crate) is_empty: bool,
}

/// Keeps envelopes on disk. All calls block; one thread owns it.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: Folder,
    max_bytes: u64,
    max_age: Duration,
    /// Random, in the name of each segment that this spool writes.
    id: u64,
    next_number: u32,
    opened: Now,
    index: Index,
    writer: Option<Writer>,
    /// The segments that are locked for reading.
    readers: BTreeMap<Name, Reader>,
    window: Window,
    troubles: Troubles,
    is_closed: bool,
}

impl Spool {
    /// Never fails: a directory that cannot be used is reported once and tried again later.
    pub(crate) fn open(options: SpoolOptions, now: Now) -> Self {
        let SpoolOptions { dir, max_bytes, max_age } = options;
        // A relative path would lead elsewhere after the application has changed its working directory.
        let dir = path::absolute(&dir).unwrap_or(dir);
        let mut spool = Self {
            folder: Folder::new(dir),
            max_bytes,
            max_age,
            id: Uuid::new_v4().as_u64_pair().0,
            next_number: 0,
            opened: now,
            index: Index::new(max_bytes),
            writer: None,
            readers: BTreeMap::new(),
            window: Window::default(),
            troubles: Troubles::default(),
            is_closed: false,
        };
        // A failure was reported, and the first record tries again.
        let _ = spool.list(now);
        spool
    }

    /// Appends records. When it returns, the first [`Stored::kept`] of them are on the disk.
    pub(crate) fn store(&mut self, records: &[Record<'_>], now: Now) -> Stored {
        self.store_all(records, now)
    }

    /// Hands out the oldest records, until `max_records` or `max_bytes` are reached. The last record may exceed the
    /// bytes.
    ///
    /// A segment is locked while a record of it is out. At most 64 are locked at once, so a spool with many tiny
    /// segments hands out more only when some are removed. What other processes stored or released is noticed a second
    /// later at the latest.
    pub(crate) fn take(&mut self, max_records: usize, max_bytes: usize, now: Now) -> Taken {
        self.take_up_to(max_records, max_bytes, now)
    }

    /// The records were delivered, or refused for good.
    pub(crate) fn remove(&mut self, ids: &[RecordId]) {
        ids.iter().for_each(|id| self.done(*id));
    }

    /// The records were not delivered. They are handed out again, here or by another process, the oldest first.
    pub(crate) fn put_back(&mut self, ids: &[RecordId]) {
        ids.iter().for_each(|id| self.wait_again(*id));
    }

    /// The size of all segments, whichever process wrote them, as far as it is known.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.index.bytes
    }

    /// Releases all locks. Nothing is written afterwards. What is still out is handed out by the next spool.
    ///
    /// Returns what is lost because its file was removed from outside while this spool had it open.
    pub(crate) fn close(&mut self) -> Lost {
        self.is_closed = true;
        self.retire_writer();
        let mut lost = Lost::default();
        for (name, reader) in mem::take(&mut self.readers) {
            if !reader.file().is_at(&self.folder.file(&name)).unwrap_or(true) {
                self.lose_waiting(&name, reader, &mut lost);
            }
        }
        lost
    }

    /// Whether this spool wrote the segment.
    fn is_own(&self, name: &Name) -> bool {
        name.writer == self.id
    }

    /// The writer's segment becomes one that this spool reads. The lock is kept.
    fn retire_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            let (name, end) = (writer.name, writer.len());
            self.readers.insert(name, Reader::new(name, writer.into_file(), end));
        }
    }

    /// How far a segment's times may differ from the time in its name. A segment is closed after this time, so that one
    /// whose first record is older than this and the maximum age contains nothing that is not too old.
    fn max_span(&self) -> Duration {
        self.max_age / 16
    }

    /// Counts records as lost.
    fn lose(&self, name: &Name, counts: Counts, lost: &mut Lost) {
        *(if self.is_own(name) { &mut lost.own } else { &mut lost.foreign }) += counts;
    }
}

impl SpoolOptions {
    /// With the default limits: 1 GiB and three days.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, max_bytes: MAX_BYTES, max_age: MAX_AGE }
    }
}

impl AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.own += other.own;
        self.foreign += other.foreign;
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// What is left of counts, never less than nothing: a damaged file can claim any number.
fn minus(counts: Counts, other: Counts) -> Counts {
    Counts {
        transactions: counts.transactions.saturating_sub(other.transactions),
        spans: counts.spans.saturating_sub(other.spans),
        errors: counts.errors.saturating_sub(other.errors),
    }
}

/// An hour of a hundred small transactions a second takes about 600 MB.
const MAX_BYTES: u64 = 1 << 30;

/// A weekend. Sentry takes nothing that is older than 30 days.
const MAX_AGE: Duration = Duration::from_secs(3 * 24 * 60 * 60);
