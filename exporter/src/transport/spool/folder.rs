//! The directory and its files: every call on the file system but the locks'.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use fs4::FileExt;

use super::{
    lock::{Attempt, Lock, Locked},
    name::Name,
};

/// A directory with segments in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) disk: Disk,
}

/// The calls that fail in ways that a test cannot provoke on a real disk, so tests replace them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    pub(super) lock: Lock,
    pub(super) write: fn(&File, &[u8]) -> io::Result<usize>,
    pub(super) sync: fn(&File) -> io::Result<()>,
    pub(super) truncate: fn(&File, u64) -> io::Result<()>,
}

/// What the directory contains.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The length of each segment.
    pub(super) segments: Vec<(Name, u64)>,
    /// A file that is not ours, if there is one.
    pub(super) foreign: Option<PathBuf>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, disk: Disk::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, name: &Name) -> PathBuf {
        self.path.join(name.to_string())
    }

    pub(super) fn make(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, FOLDER_MODE);
        builder.create(&self.path)?;
        // Its parent may belong to another user. Then a power failure in the next seconds may lose the new directory.
        let _ = self.path.parent().map(sync_directory);
        Ok(())
    }

    pub(super) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            match name.to_str().and_then(Name::parse) {
                Some(name) => match entry.metadata() {
                    // A link is not a file here, whatever it leads to.
                    Ok(metadata) if metadata.is_file() => listing.segments.push((name, metadata.len())),
                    // Another process has removed it meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Ok(_) | Err(_) => listing.foreign = Some(entry.path()),
                },
                None => listing.foreign = Some(entry.path()),
            }
        }
        Ok(listing)
    }

    /// Opens a new file, and fails if the name exists, even as a link.
    pub(super) fn create(&self, name: &Name) -> io::Result<Attempt> {
        let path = self.file(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
        Ok(Locked::attempt(options.open(&path)?, &path, self.disk.lock))
    }

    /// Opens a segment and locks it.
    pub(super) fn open(&self, name: &Name) -> io::Result<Attempt> {
        let path = self.file(name);
        let file = match fs::symlink_metadata(&path) {
            // To open a pipe might take for ever, and a link leads out of the directory.
            Ok(metadata) if !metadata.is_file() => return Ok(Attempt::Gone),
            Ok(_) => File::options().read(true).write(true).open(&path),
            Err(error) => Err(error),
        };
        match file {
            Ok(file) => Ok(Locked::attempt(file, &path, self.disk.lock)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Attempt::Gone),
            Err(error) => Err(error),
        }
    }

    /// Removes a segment; false if it was not there.
    pub(super) fn remove(&self, name: &Name) -> io::Result<bool> {
        match fs::remove_file(self.file(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the names of new files durable. Without it a power failure may lose a file whose content is durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            lock: FileExt::try_lock,
            write: |mut file, bytes| file.write(bytes),
            sync: File::sync_data,
            truncate: File::set_len,
        }
    }
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // Some network file systems cannot do it for a directory, and write names through.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Elsewhere a directory cannot be opened as a file, and names are in the journal of the file system.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Envelopes contain data of users: only the owner may read them.
#[cfg(unix)]
const FILE_MODE: u32 = 0o600;
#[cfg(unix)]
const FOLDER_MODE: u32 = 0o700;
