//! Which segments exist, and which must be removed? Those that are too old, and the oldest if there is no room.

use std::{io, time::Duration};

use super::{
    Lost, Spool, SpoolError,
    lock::{Attempt, Locked},
    minus,
    name::{Name, nanos},
    reader::Reader,
    trouble::Trouble,
};
use crate::account::Now;

impl Spool {
    /// Lists the directory, and makes it if it is missing.
    pub(super) fn list(&mut self, now: Now) -> io::Result<()> {
        let listing = self.folder.list().or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            if self.index.latest_listing().is_some() {
                self.troubles.report(Trouble::List, &self.folder.path().display());
            }
            self.folder.make().and_then(|()| self.folder.list())
        });
        let listing = listing.inspect_err(|error| self.troubles.report(Trouble::List, error))?;
        self.troubles.over(Trouble::List);
        let since = now.instant.saturating_duration_since(self.opened.instant);
        // The current wall clock may have jumped since the start, so this one is computed.
        let wall = self.opened.wall.checked_add(since).unwrap_or(self.opened.wall);
        let age = |name: &Name| Duration::from_nanos(nanos(wall).saturating_sub(name.time));
        let writer = self.writer.as_ref().map(|writer| writer.name);
        let is_held = |name: &Name| self.readers.contains_key(name) || writer.as_ref() == Some(name);
        self.index.listed(&listing, now.instant, is_held, age);
        match &listing.foreign {
            Some(path) => self.troubles.report(Trouble::Foreign, &path.display()),
            None if self.index.has_foreign() => {}
            None => self.troubles.over(Trouble::Foreign),
        }
        Ok(())
    }

    /// Lists the directory, and removes what is too old.
    pub(super) fn refresh(&mut self, now: Now, lost: &mut Lost) -> io::Result<()> {
        self.list(now)?;
        let limit = self.max_age.saturating_add(self.max_span());
        let is_old = |name: &Name, age| age > limit && self.is_removable(name);
        let old: Vec<_> =
            self.index.ready().filter(|(name, it)| is_old(name, it.age(now.instant))).map(|(name, _)| *name).collect();
        // `without_lock`: no spool appends to a segment of this age or hands out its records, so no lock is needed.
        old.iter().for_each(|name| self.discard(name, true, lost));
        Ok(())
    }

    /// Removes the oldest segments until there is room for this many bytes more.
    pub(super) fn make_room(&mut self, bytes: u64, now: Now, lost: &mut Lost) -> Result<(), SpoolError> {
        let mut is_listed = false;
        while !self.index.has_room(bytes, self.max_bytes) {
            let oldest = self.index.ready().map(|(name, _)| *name).find(|name| self.is_removable(name));
            match oldest {
                // Afterwards it is removed or skipped, so the loop ends.
                Some(name) => {
                    let is_own = self.is_own(&name);
                    self.discard(&name, is_own, lost);
                }
                // Other processes may have removed or released some.
                None if !is_listed => {
                    self.list(now)?;
                    is_listed = true;
                }
                None => return Err(SpoolError::NoRoom),
            }
        }
        Ok(())
    }

    /// Opens and locks a segment. If that cannot be done, the segment is skipped until the next listing.
    ///
    /// On a file system without locks, two processes that read the same segment would send each record twice. So each
    /// process reads only its own segments there (`without_lock`), and those of a dead process stay until they are too
    /// old.
    pub(super) fn lock(&mut self, name: &Name, without_lock: bool) -> Option<Reader> {
        self.window.forget();
        let file = match self.folder.open(name) {
            Ok(Attempt::Locked(file)) => {
                self.troubles.over(Trouble::Lock);
                file
            }
            Ok(Attempt::Gone) => {
                self.index.remove(name);
                return None;
            }
            Ok(Attempt::Busy) => {
                self.index.skip(name);
                return None;
            }
            Ok(Attempt::Unsupported(file, error)) => {
                self.troubles.report(Trouble::Lock, &error);
                if !without_lock {
                    self.index.skip(name);
                    return None;
                }
                Locked::without_lock(file)
            }
            Err(error) => {
                self.fail(name, &error);
                return None;
            }
        };
        self.check(name, file).inspect_err(|error| self.fail(name, error)).ok().flatten()
    }

    /// The segment cannot be used now.
    pub(super) fn fail(&mut self, name: &Name, error: &io::Error) {
        self.troubles.report(Trouble::Segment, error);
        self.index.fails(name);
    }

    /// Ends the trouble with segments when none has any. A single success proves nothing about the others.
    pub(super) fn settle(&mut self) {
        if self.troubles.has(Trouble::Segment) && !self.index.is_troubled() {
            self.troubles.over(Trouble::Segment);
        }
    }

    /// Counts everything in a segment that is not done as lost.
    pub(super) fn lose_waiting(&mut self, name: &Name, reader: Reader, lost: &mut Lost) {
        let (tally, error) = reader.tally(&mut self.window);
        if let Some(error) = error {
            self.troubles.report(Trouble::Segment, &error);
        }
        // The spool knows exactly what it stored, even if the file is damaged.
        let own = self.index.get(name).and_then(|segment| segment.own);
        let counts = own.map_or(tally.waiting, |own| minus(own, tally.done));
        self.lose(name, counts, lost);
    }

    /// `None` if the file is not a segment.
    fn check(&mut self, name: &Name, file: Locked) -> io::Result<Option<Reader>> {
        let own = self.index.get(name).filter(|segment| segment.own.is_some());
        let end = match own {
            Some(segment) => segment.len,
            None => file.file().metadata()?.len(),
        };
        let reader = Reader::new(*name, file, end);
        if reader.is_ours(&mut self.window)? {
            return Ok(Some(reader));
        }
        self.troubles.report(Trouble::Foreign, name);
        self.index.set_foreign(name);
        Ok(None)
    }

    /// Whether no record of the segment is out.
    fn is_removable(&self, name: &Name) -> bool {
        self.readers.get(name).is_none_or(|reader| !reader.is_out())
    }

    /// Removes a segment and counts what was in it, unless another process has it locked.
    fn discard(&mut self, name: &Name, without_lock: bool, lost: &mut Lost) {
        if self.writer.as_ref().is_some_and(|writer| writer.name == *name) {
            self.retire_writer();
        }
        let Some(reader) = self.readers.remove(name).or_else(|| self.lock(name, without_lock)) else { return };
        // It is removed first and then counted, because a segment that cannot be removed is not lost. The open file can
        // still be read.
        match self.folder.remove(name) {
            Ok(_) => {
                self.lose_waiting(name, reader, lost);
                self.index.remove(name);
            }
            Err(error) => self.fail(name, &error),
        }
    }
}
