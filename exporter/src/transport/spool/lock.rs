//! Who may replay? Whoever holds the lock on a file in the directory.
//!
//! The lock is advisory and goes with the process: a crash releases it.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    path::Path,
};

use fs4::{FileExt, TryLockError};

/// The right to replay, or the wish for it.
#[derive(Debug, Default)]
pub(super) struct ReplayLock(Option<File>);

/// Who has the right.
#[derive(Debug)]
pub(super) enum Held {
    /// We.
    Here,
    /// Another process.
    Elsewhere,
    /// Nobody can have it: the file system has no locks.
    Unsupported(io::Error),
}

impl ReplayLock {
    /// Takes the lock, unless it is taken.
    ///
    /// # Errors
    ///
    /// If the file cannot be made or opened.
    pub(super) fn acquire(&mut self, path: &Path) -> io::Result<Held> {
        if let Some(file) = &self.0 {
            if is_at(file, path) {
                return Ok(Held::Here);
            }
            // The directory was removed: somebody else may hold the lock of its successor.
            self.release();
        }
        let file = open(path)?;
        match FileExt::try_lock(&file) {
            Ok(()) => {
                self.0 = Some(file);
                Ok(Held::Here)
            }
            Err(TryLockError::WouldBlock) => Ok(Held::Elsewhere),
            Err(TryLockError::Error(error)) => Ok(Held::Unsupported(error)),
        }
    }

    pub(super) fn release(&mut self) {
        if let Some(file) = self.0.take() {
            // To close it is not enough: a process that was forked off meanwhile has it open, too.
            let _ = FileExt::unlock(&file);
        }
    }
}

impl Drop for ReplayLock {
    fn drop(&mut self) {
        self.release();
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, super::folder::FILE_MODE);
    options.open(path)
}

/// Whether this file is what the path leads to.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => is_same(&open, &there),
        _ => false,
    }
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Elsewhere a directory with an open file in it cannot be removed.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forked_off_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let (mut ours, mut theirs) = (ReplayLock::default(), ReplayLock::default());
        assert!(matches!(ours.acquire(&path).unwrap(), Held::Here));
        assert!(matches!(theirs.acquire(&path).unwrap(), Held::Elsewhere));
        let _forked = ours.0.as_ref().unwrap().try_clone().unwrap();
        ours.release();
        assert!(matches!(theirs.acquire(&path).unwrap(), Held::Here));
        let _forked = theirs.0.as_ref().unwrap().try_clone().unwrap();
        drop(theirs);
        assert!(matches!(ours.acquire(&path).unwrap(), Held::Here));
    }
}
