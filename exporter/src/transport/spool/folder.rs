//! The directory: every call on the file system but the lock's.
//!
//! Nothing is flushed to the platter (`fsync`): a killed process loses nothing without it, and what a power failure
//! leaves torn is found out by its size and checksum. Thousands of envelopes at a shutdown have no time for more.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::name::{Name, Stage};

/// Envelopes tell of users, and are for our own eyes.
#[cfg(unix)]
pub(super) const FILE_MODE: u32 = 0o600;
#[cfg(unix)]
const FOLDER_MODE: u32 = 0o700;

/// A directory with envelopes in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Opens a new file; tests have a full disk here.
    pub(super) create: fn(&Path) -> io::Result<File>,
}

/// What lies in it.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) ours: Vec<(Name, Stage)>,
    /// One that is not ours, if there is any.
    pub(super) foreign: Option<PathBuf>,
}

/// What was found under a name.
#[derive(Debug)]
pub(super) enum Content {
    Whole(Vec<u8>),
    Damaged,
    /// No file of ours, or none at all.
    Foreign,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, create }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.path.join(LOCK)
    }

    pub(super) fn make(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, FOLDER_MODE);
        builder.create(&self.path)
    }

    pub(super) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            // A link is no file here, wherever it leads.
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            match name.to_str().filter(|_| is_file).and_then(Name::parse) {
                Some(ours) => listing.ours.push(ours),
                None if name == LOCK => {}
                None => listing.foreign = Some(entry.path()),
            }
        }
        Ok(listing)
    }

    /// Writes an envelope. Its name appears when all of it is written, and not before.
    pub(super) fn write(&self, name: &Name, parts: &[&[u8]]) -> io::Result<()> {
        let part = self.file(name, Stage::Part);
        let written = (self.create)(&part)
            .and_then(|mut file| parts.iter().try_for_each(|bytes| file.write_all(bytes)))
            .and_then(|()| fs::rename(&part, self.file(name, Stage::Waiting)));
        if written.is_err() {
            // There may be none; and one that stays is removed when it is old.
            let _ = fs::remove_file(&part);
        }
        written
    }

    /// Reads an envelope, and never more than its name says.
    pub(super) fn read(&self, name: &Name, stage: Stage) -> io::Result<Content> {
        let path = self.file(name, stage);
        match fs::symlink_metadata(&path) {
            // Opening a pipe might take for ever, and a link leads elsewhere.
            Ok(metadata) if !metadata.is_file() => return Ok(Content::Foreign),
            Ok(metadata) if metadata.len() != name.size => return Ok(Content::Damaged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Foreign),
            found => found?,
        };
        let mut bytes = Vec::with_capacity(usize::try_from(name.size).unwrap_or_default());
        File::open(&path)?.take(name.size).read_to_end(&mut bytes)?;
        Ok(if name.fits(&bytes) { Content::Whole(bytes) } else { Content::Damaged })
    }

    /// Renames an envelope from one stage to another; false if it is gone.
    pub(super) fn change(&self, name: &Name, from: Stage, to: Stage) -> io::Result<bool> {
        unless_gone(fs::rename(self.file(name, from), self.file(name, to)))
    }

    /// Removes an envelope; false if it is gone.
    pub(super) fn remove(&self, name: &Name, stage: Stage) -> io::Result<bool> {
        unless_gone(fs::remove_file(self.file(name, stage)))
    }

    fn file(&self, name: &Name, stage: Stage) -> PathBuf {
        self.path.join(name.file_name(stage))
    }
}

/// Opens a file that was not there, not even as a link.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    options.open(path)
}

fn unless_gone(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    }
}

/// The file that whoever replays has locked. It stays: to remove it would let two processes hold two locks.
const LOCK: &str = "lock";
