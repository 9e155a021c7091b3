//! Where are envelopes kept until they can be delivered? In a directory on disk.
//!
//! Many envelopes share a file, which is called a **segment**. One spool appends to it. Afterwards any spool that locks
//! it may read it.
//!
//! | property | rule |
//! | --- | --- |
//! | durability | when [`Spool::store`] returns: `fdatasync` once for each call, `fsync` once for each new segment |
//! | bounds | in bytes over the whole directory, and in age; the oldest segments make room |
//! | damage | each record has a checksum; a torn tail is ignored, a damaged record is skipped and counted |
//! | several processes | each appends to its own segments; a lock prevents that two send the same record |
//! | crash while sending | the records are sent again; Sentry recognises the event's id |
//! | clock jumps | nothing expires: while a process runs, ages are measured by the monotonic clock |
//! | failing operations | logged once, counted, tried again later; never fatal |
//!
//! The caller decides when envelopes are sent, and chooses the directory. All envelopes in it go to one project.
//!
//! | file, in the order of the walk | contains |
//! | --- | --- |
//! | `store`, `writer`, `record` | appends records to a segment; the format |
//! | `take`, `reader`, `window` | hands out records, and marks those that are done |
//! | `room`, `index`, `name` | which segments exist, and which must make room |
//! | `folder`, `lock`, `file_lock`, `file_system` | the directory, locks, and the calls on files |
//! | `trouble`, `error` | what is logged, and why a record is not kept |

mod error;
mod file_lock;
mod file_system;
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

pub(crate) use self::{error::SpoolError, record::Record};
use self::{
    folder::Folder, index::Index, name::Name, reader::Reader, trouble::Troubles, window::Window, writer::Writer,
};
use crate::{
    account::{Counts, Now},
    convert::random_id,
};

/// The directory, and its limits.
#[derive(Clone, Debug)]
pub(crate) struct SpoolOptions {
    pub(crate) dir: PathBuf,
    /// The limit for all segments in the directory, including those of other processes. The oldest make room.
    pub(crate) max_bytes: u64,
    /// Older records are dropped.
    pub(crate) max_age: Duration,
}

/// Identifies a record that was handed out. The order is that of handing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordId {
    segment: Name,
    offset: u64,
}

/// A record that was handed out. It is handed out again, perhaps by another process, unless it is removed.
#[derive(Debug)]
#[must_use]
pub(crate) struct Spooled {
    pub(crate) id: RecordId,
    pub(crate) counts: Counts,
    pub(crate) headers: Bytes,
    pub(crate) items: Bytes,
    /// This spool stored it, so its spans were counted as received in this process.
    pub(crate) is_own: bool,
}

/// What was lost on the disk: it was too old, had to make room, or was damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Lost {
    /// Stored by this spool.
    pub(crate) own: Counts,
    /// Stored by another process, or by an earlier spool of this one.
    pub(crate) foreign: Counts,
}

/// The result of storing records.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Stored {
    /// How many records are on the disk, from the first on.
    pub(crate) kept: usize,
    /// Why the next record is not on the disk; `None` if all are.
    pub(crate) error: Option<SpoolError>,
    /// Older records that were lost to make room. They are lost even if the new ones could not be stored.
    pub(crate) lost: Lost,
}

/// The result of taking records.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Taken {
    /// The oldest first.
    pub(crate) records: Vec<Spooled>,
    pub(crate) lost: Lost,
    /// No further record can be handed out now.
    pub(crate) is_empty: bool,
}

/// Keeps envelopes on disk. All calls block, so one thread owns it.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: Folder,
    max_bytes: u64,
    max_age: Duration,
    /// A random number in the name of each segment that this spool writes. Without it two processes that begin a
    /// segment at the same time would use the same file.
    id: u64,
    /// The number of the next segment. Without it two segments that begin at the same time would have the same name.
    next_number: u32,
    /// Both clocks at the start. Ages are computed from them, so that a jump of the wall clock expires nothing.
    opened: Now,
    index: Index,
    /// The segment that this spool appends to.
    writer: Option<Writer>,
    /// The segments that this spool has locked for reading. A lock is held as long as a record of the segment is out:
    /// otherwise another process would send that record too.
    readers: BTreeMap<Name, Reader>,
    window: Window,
    /// What is wrong now. Without it a full disk would be logged with every call.
    troubles: Troubles,
    /// After [`close`](Self::close) nothing is written: the process may end at any moment.
    is_closed: bool,
}

impl Spool {
    /// Opens the directory. This never fails: a directory that cannot be used is logged once and tried again later.
    pub(crate) fn open(options: SpoolOptions, now: Now) -> Self {
        let SpoolOptions { dir, max_bytes, max_age } = options;
        // A relative path would lead to another directory after the application has changed its working directory.
        let dir = path::absolute(&dir).unwrap_or(dir);
        let mut spool = Self {
            folder: Folder::new(dir),
            max_bytes,
            max_age,
            id: random_id().as_u64_pair().0,
            next_number: 0,
            opened: now,
            index: Index::new(max_bytes),
            writer: None,
            readers: BTreeMap::new(),
            window: Window::default(),
            troubles: Troubles::default(),
            is_closed: false,
        };
        // A failure is logged, and storing the first record tries again.
        let _ = spool.list(now);
        spool
    }

    /// Appends records. When it returns, the first [`Stored::kept`] of them are on the disk.
    pub(crate) fn store(&mut self, records: &[Record<'_>], now: Now) -> Stored {
        self.store_all(records, now)
    }

    /// Hands out the oldest records, until `max_records` or `max_bytes` are reached. The last record may exceed
    /// `max_bytes`.
    ///
    /// A segment is locked while a record of it is out. At most 64 are locked at once, so a spool with many tiny
    /// segments hands out more only when some are removed. It notices within a second what other processes have stored
    /// or released.
    pub(crate) fn take(&mut self, max_records: usize, max_bytes: usize, now: Now) -> Taken {
        self.take_up_to(max_records, max_bytes, now)
    }

    /// The records were delivered or dropped. They are not handed out again.
    pub(crate) fn remove(&mut self, ids: &[RecordId]) {
        ids.iter().for_each(|id| self.done(*id));
    }

    /// The records were not delivered. They are handed out again, here or by another process, the oldest first.
    pub(crate) fn put_back(&mut self, ids: &[RecordId]) {
        ids.iter().for_each(|id| self.wait_again(*id));
    }

    /// The known size of all segments, including those of other processes.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.index.bytes
    }

    /// Releases all locks. Nothing is written afterwards. Records that are still out are handed out by the next spool.
    ///
    /// Returns what is lost because another program removed a file that this spool had open.
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

    /// Ends the segment that is written, and keeps its lock in order to read it.
    fn retire_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            let (name, end) = (writer.name, writer.len());
            self.readers.insert(name, Reader::new(name, writer.into_file(), end));
        }
    }

    /// The longest time for which a segment is appended to. A segment that is older than this plus the maximum age then
    /// contains only records that are too old, and can be removed as a whole.
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

/// The difference of counts. It saturates at zero, because a damaged file can contain any number.
fn minus(counts: Counts, other: Counts) -> Counts {
    Counts {
        transactions: counts.transactions.saturating_sub(other.transactions),
        spans: counts.spans.saturating_sub(other.spans),
        errors: counts.errors.saturating_sub(other.errors),
        logs: counts.logs.saturating_sub(other.logs),
        log_bytes: counts.log_bytes.saturating_sub(other.log_bytes),
        metrics: counts.metrics.saturating_sub(other.metrics),
        metric_bytes: counts.metric_bytes.saturating_sub(other.metric_bytes),
        check_ins: counts.check_ins.saturating_sub(other.check_ins),
    }
}

/// An hour of a hundred small transactions a second takes about 600 MB.
const MAX_BYTES: u64 = 1 << 30;

/// A weekend. Sentry accepts events that are up to 30 days old.
const MAX_AGE: Duration = Duration::from_secs(3 * 24 * 60 * 60);
