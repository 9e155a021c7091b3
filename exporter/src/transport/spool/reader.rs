//! Reads the records of one segment, and marks those that are done.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use opentelemetry_http::Bytes;

use super::{
    file_system::FileSystem,
    lock::Locked,
    name::Name,
    record::{DONE, HEAD, HEAD_LEN, HEADER, HEADER_LEN, Head},
    window::{self, Window},
};
use crate::account::Counts;

/// A segment that this spool has locked for reading.
#[derive(Debug)]
pub(super) struct Reader {
    name: Name,
    file: Locked,
    /// The end of the records. Bytes after it were never reported as kept.
    end: u64,
    /// The offset of the first record that was not visited yet.
    next: u64,
    /// The sum over all visited records whose head is intact. If it is less than this spool stored, some are lost.
    seen: Counts,
    /// Some bytes differ from those that were written, so a record was skipped or the rest was ignored.
    is_damaged: bool,
    /// Records that are handed out, by offset. The segment must not be removed or unlocked before they are done.
    out: BTreeMap<u64, Head>,
    /// Records that are handed out before the unvisited ones: they were put back, or could not be read before.
    returned: BTreeMap<u64, Head>,
    /// Records that are done but not marked on disk, because the write failed. Without it they would be sent again.
    unmarked: BTreeSet<u64>,
}

/// A record that was handed out.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) offset: u64,
    pub(super) head: Head,
    /// `None` if the record is damaged.
    pub(super) body: Option<Bytes>,
}

/// Sums over the records of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Over the records that are not done, handed out or not.
    pub(super) waiting: Counts,
    pub(super) done: Counts,
}

/// A visited record.
struct Place {
    offset: u64,
    head: Head,
    is_done: bool,
}

impl Reader {
    pub(super) fn new(name: Name, file: Locked, end: u64) -> Self {
        Self {
            name,
            file,
            end,
            next: HEADER_LEN,
            seen: Counts::default(),
            is_damaged: false,
            out: BTreeMap::new(),
            returned: BTreeMap::new(),
            unmarked: BTreeSet::new(),
        }
    }

    /// Whether the file has the header of a segment. A part of the header is enough: its process died before it had
    /// stored a record.
    pub(super) fn is_ours(&self, window: &mut Window) -> io::Result<bool> {
        Ok(HEADER.starts_with(window.get(self.name, self.file.file(), 0, HEADER.len())?))
    }

    pub(super) const fn file(&self) -> &Locked {
        &self.file
    }

    /// Whether a record can be handed out. None is while marks cannot be written, because all records that are sent
    /// meanwhile would be sent again after a restart.
    pub(super) fn has_more(&self) -> bool {
        self.unmarked.is_empty() && !(self.is_passed() && self.returned.is_empty())
    }

    /// Whether every record is done, so that the file can be removed.
    pub(super) fn is_finished(&self) -> bool {
        self.is_passed() && self.out.is_empty() && self.returned.is_empty()
    }

    /// Whether another process may read the segment from its beginning.
    pub(super) fn is_idle(&self) -> bool {
        self.out.is_empty() && self.unmarked.is_empty()
    }

    pub(super) fn has_unmarked(&self) -> bool {
        !self.unmarked.is_empty()
    }

    pub(super) fn is_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// When every record was visited: the sum over them, and whether some were damaged.
    pub(super) fn passed(&self) -> Option<(Counts, bool)> {
        self.is_passed().then_some((self.seen, self.is_damaged))
    }

    /// Hands out the next record that waits.
    pub(super) fn next(&mut self, window: &mut Window) -> io::Result<Option<Found>> {
        if !self.find(window)? {
            return Ok(None);
        }
        let Some((offset, head)) = self.returned.first_key_value().map(|(offset, head)| (*offset, *head)) else {
            return Ok(None);
        };
        // It stays in `returned` until its body is read, so that an I/O error does not lose it.
        let body = self.body(offset, &head, window)?;
        self.is_damaged |= body.is_none();
        self.returned.remove(&offset);
        self.out.insert(offset, head);
        Ok(Some(Found { offset, head, body }))
    }

    /// The record is done. If the mark cannot be written now, it is written later.
    pub(super) fn done(&mut self, offset: u64, disk: &FileSystem) -> io::Result<()> {
        if self.out.remove(&offset).is_some() {
            self.unmarked.insert(offset);
        }
        self.mark(disk)
    }

    /// The record waits again.
    pub(super) fn put_back(&mut self, offset: u64) {
        if let Some(head) = self.out.remove(&offset) {
            self.returned.insert(offset, head);
        }
    }

    /// Writes the marks that could not be written before. It does not sync: after a power failure some are sent again.
    pub(super) fn mark(&mut self, disk: &FileSystem) -> io::Result<()> {
        while let Some(offset) = self.unmarked.first().copied() {
            if let (_, Some(error)) = disk.write_all(self.file.file(), offset, &[DONE]) {
                return Err(error);
            }
            self.unmarked.remove(&offset);
        }
        Ok(())
    }

    /// The sums over the whole segment, or over the part before an I/O error. It consumes the reader.
    pub(super) fn tally(mut self, window: &mut Window) -> (Tally, Option<io::Error>) {
        self.next = HEADER_LEN;
        window.forget();
        let mut tally = Tally::default();
        loop {
            match self.advance(window) {
                Ok(Some(Place { offset, head, is_done })) => {
                    let is_done = is_done || self.unmarked.contains(&offset);
                    *(if is_done { &mut tally.done } else { &mut tally.waiting }) += head.counts;
                }
                Ok(None) => return (tally, None),
                Err(error) => return (tally, Some(error)),
            }
        }
    }

    const fn is_passed(&self) -> bool {
        self.next >= self.end
    }

    /// Puts the next record that waits into `returned`, unless that already has one.
    fn find(&mut self, window: &mut Window) -> io::Result<bool> {
        while self.returned.is_empty() {
            let Some(Place { offset, head, is_done }) = self.advance(window)? else { return Ok(false) };
            if !is_done {
                self.returned.insert(offset, head);
            }
        }
        Ok(true)
    }

    /// Visits the next record. `None` at the end, or if damage hides where the next record begins.
    fn advance(&mut self, window: &mut Window) -> io::Result<Option<Place>> {
        while !self.is_passed() {
            let offset = self.next;
            let Some(bytes) = self.head_at(offset, window)? else {
                // A process died while it wrote this record. It was never reported as kept.
                self.next = self.end;
                break;
            };
            let head = Head::decode(&bytes);
            let next = offset.saturating_add(HEAD_LEN).saturating_add(Head::claimed_length(&bytes).into());
            match head {
                Some(head) if next <= self.end => {
                    self.next = next;
                    self.seen += head.counts;
                    return Ok(Some(Place { offset, head, is_done: bytes[0] == DONE }));
                }
                // The length itself may be damaged. It must not lead into a body, whose bytes may look like a record.
                None if self.is_head_or_end(next, window)? => {
                    self.is_damaged = true;
                    self.next = next;
                }
                _ => {
                    self.is_damaged |= next <= self.end;
                    self.next = self.end;
                }
            }
        }
        Ok(None)
    }

    fn is_head_or_end(&self, offset: u64, window: &mut Window) -> io::Result<bool> {
        Ok(offset == self.end || self.head_at(offset, window)?.is_some_and(|bytes| Head::decode(&bytes).is_some()))
    }

    /// The bytes of the head at an offset; `None` if the segment ends before.
    fn head_at(&self, offset: u64, window: &mut Window) -> io::Result<Option<[u8; HEAD]>> {
        if offset.saturating_add(HEAD_LEN) > self.end {
            return Ok(None);
        }
        Ok(window.get(self.name, self.file.file(), offset, HEAD)?.first_chunk().copied())
    }

    /// The body of a record; `None` if it is damaged.
    fn body(&self, offset: u64, head: &Head, window: &mut Window) -> io::Result<Option<Bytes>> {
        let offset = offset.saturating_add(HEAD_LEN);
        let Ok(len) = usize::try_from(head.length) else { return Ok(None) };
        if len > window::SIZE / 4 {
            // A large body is read into its own vector, which saves a copy and keeps the window small.
            let mut bytes = Vec::with_capacity(len);
            (window.disk.read)(self.file.file(), offset, len, &mut bytes)?;
            return Ok(head.fits(&bytes).then(|| Bytes::from(bytes)));
        }
        let bytes = window.get(self.name, self.file.file(), offset, len)?;
        // A slice would keep the whole window in memory as long as this record is out, so the bytes are copied.
        Ok((bytes.len() == len && head.fits(bytes)).then(|| Bytes::copy_from_slice(bytes)))
    }
}
