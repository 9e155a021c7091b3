//! Keeps envelopes on disk that could not be delivered. The rules are in the guide, page `delivery`, section "The spool".
//!
//! The caller decides about pace, HTTP and rate limits. It also chooses the directory: all envelopes in it go to one
//! project.

mod error;
mod folder;
mod index;
mod limits;
mod lock;
mod name;
#[cfg(test)]
mod tests;
mod trouble;

use std::{collections::BTreeSet, io, path::PathBuf, time::SystemTime};

use uuid::Uuid;

use crate::account::Load;

pub(crate) use self::{error::SpoolError, limits::Limits};
use self::{
    folder::{Content, Folder},
    index::Index,
    lock::{Held, ReplayLock},
    name::{Name, Stage, checksum, len, nanos},
    trouble::{Trouble, Troubles},
};

/// Keeps envelopes on disk.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: Folder,
    limits: Limits,
    writer: u64,
    next_number: u32,
    index: Index,
    lock: ReplayLock,
    /// Handed out, and neither removed nor put back yet.
    claimed: BTreeSet<Name>,
    /// Delivered, but not removed yet.
    done: BTreeSet<Name>,
    troubles: Troubles,
}

/// An envelope that was kept. It is handed out again in another process unless it is removed.
#[derive(Debug)]
#[must_use]
pub(crate) struct Spooled {
    pub(crate) load: Load,
    pub(crate) bytes: Vec<u8>,
    name: Name,
}

impl Spool {
    /// Never fails: a directory that cannot be used is reported once and tried again later.
    pub(crate) fn open(dir: PathBuf, limits: Limits) -> Self {
        let mut spool = Self {
            folder: Folder::new(dir),
            limits,
            writer: Uuid::new_v4().as_u64_pair().0,
            next_number: 0,
            index: Index::default(),
            lock: ReplayLock::default(),
            claimed: BTreeSet::new(),
            done: BTreeSet::new(),
            troubles: Troubles::default(),
        };
        // It was reported, and the first envelope tries again.
        let _ = spool.look();
        spool
    }

    /// Keeps an envelope, whose parts are written one after the other.
    ///
    /// Also returns what older ones had to make room, or were too old: that is lost, whether this one is kept or not.
    pub(crate) fn store(&mut self, load: Load, parts: &[&[u8]], now: SystemTime) -> (Result<(), SpoolError>, Load) {
        let mut lost = Load::default();
        let name = self.name(load, parts, now);
        if name.size > self.limits.bytes {
            return (Err(SpoolError::TooLarge), lost);
        }
        let kept = self.make_room(&name, now, &mut lost).and_then(|()| Ok(self.write(name, parts)?));
        match &kept {
            Ok(()) => self.troubles.over(Trouble::Write),
            Err(SpoolError::Io(error)) => self.troubles.report(Trouble::Write, error),
            Err(SpoolError::TooLarge | SpoolError::NoRoom) => {}
        }
        (kept, lost)
    }

    /// The oldest envelope that is whole, claimed by this process.
    ///
    /// `None` if there is none, or if another process is replaying. Also returns what was lost: damaged files and
    /// those that were too old.
    pub(crate) fn next(&mut self, now: SystemTime) -> (Option<Spooled>, Load) {
        let mut lost = Load::default();
        let spooled = self.find(now, &mut lost).unwrap_or_else(|error| {
            self.troubles.report(Trouble::Change, &error);
            None
        });
        self.retire(spooled.is_none());
        (spooled, lost)
    }

    /// It was delivered, or definitively refused.
    pub(crate) fn remove(&mut self, spooled: Spooled) {
        self.claimed.remove(&spooled.name);
        self.done.insert(spooled.name);
        if let Err(error) = self.clear_done() {
            self.troubles.report(Trouble::Change, &error);
        }
    }

    /// It stays for another time.
    pub(crate) fn put_back(&mut self, spooled: Spooled) {
        let name = spooled.name;
        self.claimed.remove(&name);
        match self.folder.change(&name, Stage::Sending, Stage::Waiting) {
            Ok(true) => self.index.set(name, Stage::Waiting),
            Ok(false) => self.index.remove(&name),
            // It goes on as one whose process died while it was sent.
            Err(error) => self.troubles.report(Trouble::Change, &error),
        }
    }

    fn name(&mut self, load: Load, parts: &[&[u8]], now: SystemTime) -> Name {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let size = parts.iter().map(|part| len(part)).fold(0, u64::saturating_add);
        Name { time: nanos(now), writer: self.writer, number, load, size, checksum: checksum(parts) }
    }

    /// Lists the directory, and makes it if it is not there.
    fn look(&mut self) -> io::Result<()> {
        let listing = self.folder.list().or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            if self.index.is_known() {
                self.troubles.report(Trouble::List, &self.folder.path().display());
            }
            self.folder.make().and_then(|()| self.folder.list())
        });
        match listing {
            Ok(listing) => {
                self.troubles.over(Trouble::List);
                if !self.index.gave_up() {
                    self.troubles.over(Trouble::Remove);
                }
                match &listing.foreign {
                    Some(path) => self.troubles.report(Trouble::Foreign, &path.display()),
                    None => self.troubles.over(Trouble::Foreign),
                }
                self.index.listed(listing.ours);
                Ok(())
            }
            Err(error) => {
                self.index.forget();
                self.troubles.report(Trouble::List, &error);
                Err(error)
            }
        }
    }

    /// The same, and removes what is too old or too large.
    fn look_and_expire(&mut self, now: SystemTime, lost: &mut Load) -> io::Result<()> {
        self.look()?;
        let expired = self.index.expired(&self.limits, now);
        expired.into_iter().for_each(|(name, stage)| self.discard(name, stage, lost));
        Ok(())
    }

    fn make_room(&mut self, name: &Name, now: SystemTime, lost: &mut Load) -> Result<(), SpoolError> {
        if self.index.is_stale(name, &self.limits) {
            self.look_and_expire(now, lost)?;
        }
        loop {
            let has_room = self.index.has_room(name, &self.limits);
            // One that is being sent is counted by its sender.
            let oldest = self.index.iter().find(|(_, stage)| *stage != Stage::Sending);
            match oldest {
                Some((oldest, stage)) if !has_room || self.limits.exclude(&oldest, stage, now) => {
                    self.discard(oldest, stage, lost);
                }
                None if !has_room => {
                    // What could not be removed is tried again with the next envelope.
                    self.index.forget();
                    return Err(SpoolError::NoRoom);
                }
                _ => return Ok(()),
            }
        }
    }

    fn write(&mut self, name: Name, parts: &[&[u8]]) -> io::Result<()> {
        match self.folder.write(&name, parts) {
            // The directory has vanished since we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.look()?;
                self.folder.write(&name, parts)?;
            }
            written => written?,
        }
        self.index.stored(name);
        Ok(())
    }

    /// Removes a file for good, and counts it if it was us who did.
    fn discard(&mut self, name: Name, stage: Stage, lost: &mut Load) {
        match self.folder.remove(&name, stage) {
            Ok(was_there) => {
                self.index.remove(&name);
                if was_there && stage != Stage::Part {
                    *lost += name.load;
                }
            }
            Err(error) => {
                self.troubles.report(Trouble::Remove, &error);
                self.index.give_up(name);
            }
        }
    }

    fn find(&mut self, now: SystemTime, lost: &mut Load) -> io::Result<Option<Spooled>> {
        // Nothing more is sent while what was sent cannot be removed.
        self.clear_done()?;
        if !self.may_replay()? {
            return Ok(None);
        }
        // Others may have stored older ones, and left what they had claimed.
        self.look_and_expire(now, lost)?;
        loop {
            let oldest = self.index.iter().find(|(name, stage)| *stage != Stage::Part && !self.claimed.contains(name));
            match oldest {
                Some((name, stage)) if self.limits.exclude(&name, stage, now) => self.discard(name, stage, lost),
                Some((name, stage)) => {
                    if let Some(bytes) = self.claim(name, stage, lost)? {
                        return Ok(Some(Spooled { load: name.load, bytes, name }));
                    }
                }
                None => return Ok(None),
            }
        }
    }

    fn may_replay(&mut self) -> io::Result<bool> {
        let path = self.folder.lock_path();
        let held = match self.lock.acquire(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.look()?;
                self.lock.acquire(&path)?
            }
            held => held?,
        };
        match &held {
            Held::Unsupported(error) => self.troubles.report(Trouble::Lock, error),
            Held::Here | Held::Elsewhere => self.troubles.over(Trouble::Lock),
        }
        Ok(matches!(held, Held::Here))
    }

    /// Takes an envelope, if it is whole, so that nobody removes it to make room.
    fn claim(&mut self, name: Name, stage: Stage, lost: &mut Load) -> io::Result<Option<Vec<u8>>> {
        let content = match self.folder.read(&name, stage) {
            Ok(content) => content,
            Err(error) => {
                self.troubles.report(Trouble::Read, &error);
                self.index.give_up(name);
                return Ok(None);
            }
        };
        self.troubles.over(Trouble::Read);
        match content {
            // A file that cannot be renamed cannot be removed either: it would be sent again and again.
            Content::Whole(bytes) if self.folder.change(&name, stage, Stage::Sending)? => {
                self.troubles.over(Trouble::Change);
                self.troubles.over(Trouble::Damaged);
                self.index.set(name, Stage::Sending);
                self.claimed.insert(name);
                Ok(Some(bytes))
            }
            Content::Whole(_) | Content::Foreign => {
                self.index.remove(&name);
                Ok(None)
            }
            Content::Damaged => {
                self.troubles.report(Trouble::Damaged, &name);
                self.discard(name, stage, lost);
                Ok(None)
            }
        }
    }

    fn clear_done(&mut self) -> io::Result<()> {
        while let Some(name) = self.done.first().copied() {
            self.folder.remove(&name, Stage::Sending)?;
            self.troubles.over(Trouble::Change);
            self.done.remove(&name);
            self.index.remove(&name);
        }
        Ok(())
    }

    /// Lets another process replay when we have nothing in hand.
    fn retire(&mut self, is_idle: bool) {
        if is_idle && self.claimed.is_empty() && self.done.is_empty() {
            self.lock.release();
        }
    }
}
