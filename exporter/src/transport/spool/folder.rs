//! The directory: lists, creates, opens and removes files.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::{
    file_system::FileSystem,
    lock::{Attempt, Locked},
    name::Name,
};

/// A directory with segments in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) disk: FileSystem,
}

/// What the directory contains.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The length of each segment.
    pub(super) segments: Vec<(Name, u64)>,
    /// A file that is not a segment, if there is one.
    pub(super) foreign: Option<PathBuf>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, disk: FileSystem::default() }
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
        // This fails if the parent belongs to another user. A power failure may then lose the new directory.
        let _ = self.path.parent().map(self.disk.sync_directory);
        Ok(())
    }

    pub(super) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            match name.to_str().and_then(Name::parse) {
                Some(name) => match entry.metadata() {
                    // `metadata` does not follow links, so a link is not a file here.
                    Ok(metadata) if metadata.is_file() => listing.segments.push((name, metadata.len())),
                    // Another process has just removed it.
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
        Ok(Locked::attempt(options.open(&path)?, &path, &self.disk))
    }

    /// Opens a segment and locks it.
    pub(super) fn open(&self, name: &Name) -> io::Result<Attempt> {
        let path = self.file(name);
        let file = match fs::symlink_metadata(&path) {
            // Opening a pipe may block forever, and a link leads out of the directory.
            Ok(metadata) if !metadata.is_file() => return Ok(Attempt::Gone),
            Ok(_) => File::options().read(true).write(true).open(&path),
            Err(error) => Err(error),
        };
        match file {
            Ok(file) => Ok(Locked::attempt(file, &path, &self.disk)),
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
        (self.disk.sync_directory)(&self.path)
    }
}

/// Envelopes contain data of users: only the owner may read them.
#[cfg(unix)]
const FILE_MODE: u32 = 0o600;
#[cfg(unix)]
const FOLDER_MODE: u32 = 0o700;
