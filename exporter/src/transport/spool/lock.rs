//! Which process owns a segment? The one that holds the lock on its file.
//!
//! The lock is advisory. It belongs to the open file and not to the process, so two spools in one process exclude each
//! other like two processes, and a crash releases it.

use std::{
    fs::{self, File, Metadata},
    io,
    path::Path,
    process,
};

use super::{
    file_lock::{TryLockError, unlock},
    file_system::FileSystem,
};

/// The result of an attempt to lock a file.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The file is ours.
    Locked(Locked),
    /// Another spool holds the lock.
    Busy,
    /// The file was removed or replaced.
    Gone,
    /// The file system has no locks.
    Unsupported(File, io::Error),
}

/// A file that is locked as long as this value lives.
#[derive(Debug)]
pub(super) struct Locked {
    file: File,
    /// The process that took the lock; `None` if there is no lock. A forked child must not release its parent's lock.
    holder: Option<u32>,
}

impl Locked {
    /// Locks a file that was opened at this path, unless another handle has locked it.
    pub(super) fn attempt(file: File, path: &Path, disk: &FileSystem) -> Attempt {
        match (disk.lock)(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Attempt::Busy,
            Err(TryLockError::Error(error)) => return Attempt::Unsupported(file, error),
        }
        let locked = Self { file, holder: Some(process::id()) };
        // Another spool may have removed the file between the open and the lock. It has then counted the content.
        if locked.is_at(path).unwrap_or(false) { Attempt::Locked(locked) } else { Attempt::Gone }
    }

    /// For a file system that has no locks.
    pub(super) fn without_lock(file: File) -> Self {
        Self { file, holder: None }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the path still leads to this file.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(there) => Ok(is_same(&self.file.metadata()?, &there)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // A forked child shares the open file. If it still runs, closing the file here would not release the lock, so
        // it is unlocked explicitly. The child itself must not unlock a file that its parent still uses.
        if self.holder == Some(process::id()) {
            unlock(&self.file);
        }
    }
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// A name is never used twice, so a file with this name is the same file.
#[cfg(not(unix))]
fn is_same(_: &Metadata, there: &Metadata) -> bool {
    there.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(path: &Path) -> Attempt {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        Locked::attempt(file, path, &FileSystem::default())
    }

    fn lock(path: &Path) -> Locked {
        let Attempt::Locked(locked) = attempt(path) else { panic!("it is locked") };
        locked
    }

    #[test]
    fn a_forked_child_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let ours = lock(&path);
        assert!(matches!(attempt(&path), Attempt::Busy));
        let _in_the_child = ours.file.try_clone().unwrap();
        drop(ours);
        lock(&path);
    }

    #[test]
    fn a_child_does_not_release_the_lock_of_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let ours = lock(&path);
        let in_the_child = Locked { file: ours.file.try_clone().unwrap(), holder: Some(process::id().wrapping_add(1)) };
        drop(in_the_child);
        assert!(matches!(attempt(&path), Attempt::Busy));
    }

    #[test]
    fn a_file_that_was_removed_is_not_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create_new(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(Locked::attempt(file, &path, &FileSystem::default()), Attempt::Gone));
    }
}
