//! The calls on open files. Tests replace them, because a real disk does not fail on demand.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::file_lock::{TryLockError, try_lock};

/// How open files are used.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileSystem {
    /// Takes the exclusive lock, and returns an error if another file handle holds it.
    pub(super) lock: fn(&File) -> Result<(), TryLockError>,
    /// Appends bytes from an offset on to a vector; fewer than asked for at the end of the file.
    pub(super) read: fn(&File, u64, usize, &mut Vec<u8>) -> io::Result<()>,
    /// Writes bytes at an offset, perhaps only the first of them. Returns how many.
    pub(super) write: fn(&File, u64, &[u8]) -> io::Result<usize>,
    /// Makes the content of a file durable.
    pub(super) sync: fn(&File) -> io::Result<()>,
    /// Makes the names in a directory durable. `sync` need not do this for a new file.
    pub(super) sync_directory: fn(&Path) -> io::Result<()>,
    pub(super) truncate: fn(&File, u64) -> io::Result<()>,
}

impl Default for FileSystem {
    fn default() -> Self {
        Self { lock: try_lock, read, write, sync: File::sync_data, sync_directory, truncate: File::set_len }
    }
}

impl FileSystem {
    /// Writes all of the bytes. Also returns how many were written before an error.
    pub(super) fn write_all(&self, file: &File, offset: u64, bytes: &[u8]) -> (u64, Option<io::Error>) {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match (self.write)(file, offset.saturating_add(written as u64), rest) {
                Ok(0) => return (written as u64, Some(io::ErrorKind::WriteZero.into())),
                Ok(len) => written += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written as u64, Some(error)),
            }
        }
        (written as u64, None)
    }
}

fn read(mut file: &File, offset: u64, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    bytes.reserve(len);
    file.take(len as u64).read_to_end(bytes)?;
    Ok(())
}

/// Writes with a single system call, because it is called for each record that is done.
#[cfg(unix)]
fn write(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn write(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    io::Write::write(&mut file, bytes)
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // Some network file systems cannot sync a directory, and write names at once anyway.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// On other systems a directory cannot be opened as a file. The journal of the file system protects names there.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
