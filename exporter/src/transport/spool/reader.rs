//! Reads the records of one segment, and marks those that are done.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use opentelemetry_http::Bytes;

use super::{
    disk::Disk,
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
    /// The records end here. What lies behind was never reported as kept.
    end: u64,
    /// The first record that was not looked at yet.
    next: u64,
    /// The sum over all records looked at, as far as their heads are whole.
    seen: Counts,
    /// A record was skipped or the rest ignored, because the bytes differ from those written.
    is_damaged: bool,
    /// Handed out, by offset.
    out: BTreeMap<u64, Head>,
    /// They come before what was not looked at yet: handed out before and put back, or could not be read.
    returned: BTreeMap<u64, Head>,
    /// Done, but the state could not be written.
    unmarked: BTreeSet<u64>,
}

/// A record that was handed out.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) offset: u64,
    pub(super) head: Head,
    /// `None` if it is damaged.
    pub(super) body: Option<Bytes>,
}

/// Sums over the records of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Over those that wait, handed out or not.
    pub(super) waiting: Counts,
    pub(super) done: Counts,
}

/// A record's place, and what is known of it.
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

    /// Whether the header is ours. One that is cut off is: its process died before it had kept anything.
    pub(super) fn is_ours(&self, window: &mut Window) -> io::Result<bool> {
        Ok(HEADER.starts_with(window.get(self.name, self.file.file(), 0, HEADER.len())?))
    }

    pub(super) const fn file(&self) -> &Locked {
        &self.file
    }

    /// Whether something can be handed out. Nothing is while a state cannot be written: all that went out meanwhile
    /// would be sent again after a restart.
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

    /// What was seen of a segment whose every record was looked at, and whether some were damaged.
    pub(super) fn passed(&self) -> Option<(Counts, bool)> {
        self.is_passed().then_some((self.seen, self.is_damaged))
    }

    /// The next record that waits. It is out from now on.
    pub(super) fn next(&mut self, window: &mut Window) -> io::Result<Option<Found>> {
        if !self.find(window)? {
            return Ok(None);
        }
        let Some((offset, head)) = self.returned.first_key_value().map(|(offset, head)| (*offset, *head)) else {
            return Ok(None);
        };
        // It stays among the returned until its body is read, so that an error does not lose it.
        let body = self.body(offset, &head, window)?;
        self.is_damaged |= body.is_none();
        self.returned.remove(&offset);
        self.out.insert(offset, head);
        Ok(Some(Found { offset, head, body }))
    }

    /// The record is done, whether its state can be written now or later.
    pub(super) fn done(&mut self, offset: u64, disk: &Disk) -> io::Result<()> {
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

    /// Writes the states that could not be written before. No `fsync`: a power failure sends some again.
    pub(super) fn mark(&mut self, disk: &Disk) -> io::Result<()> {
        while let Some(offset) = self.unmarked.first().copied() {
            if let (_, Some(error)) = disk.write_all(self.file.file(), offset, &[DONE]) {
                return Err(error);
            }
            self.unmarked.remove(&offset);
        }
        Ok(())
    }

    /// Sums up the whole segment. The caller gives the reader up afterwards. An error ends the sums where it occurs.
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

    /// Puts the next record that waits among the returned, unless one is there already.
    fn find(&mut self, window: &mut Window) -> io::Result<bool> {
        while self.returned.is_empty() {
            let Some(Place { offset, head, is_done }) = self.advance(window)? else { return Ok(false) };
            if !is_done {
                self.returned.insert(offset, head);
            }
        }
        Ok(true)
    }

    /// Looks at the next record. `None` at the end, or where the way to the next record is lost.
    fn advance(&mut self, window: &mut Window) -> io::Result<Option<Place>> {
        while !self.is_passed() {
            let offset = self.next;
            let Some(bytes) = self.head_at(offset, window)? else {
                // A process died while it wrote this record, which was never reported as kept.
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
                // The length may be what is damaged. It must not lead into a body, which can contain anything.
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
            // A vector of its own saves the copy, and keeps the window small.
            let mut bytes = Vec::with_capacity(len);
            (window.disk.read)(self.file.file(), offset, len, &mut bytes)?;
            return Ok(head.fits(&bytes).then(|| Bytes::from(bytes)));
        }
        let bytes = window.get(self.name, self.file.file(), offset, len)?;
        // A copy: a slice would keep the whole window in memory as long as one record of it is out.
        Ok((bytes.len() == len && head.fits(bytes)).then(|| Bytes::copy_from_slice(bytes)))
    }
}
