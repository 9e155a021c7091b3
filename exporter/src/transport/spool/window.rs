//! The part of a segment that was read last. The whole spool has one window, so its memory is bounded.

use std::{fs::File, io};

use super::{file_system::FileSystem, name::Name};

/// A part of a file in memory.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) disk: FileSystem,
    name: Option<Name>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Bytes of a file at an offset; fewer than asked for at the end of the file.
    pub(super) fn get(&mut self, name: Name, file: &File, offset: u64, len: usize) -> io::Result<&[u8]> {
        if self.range(name, offset, len).is_none() {
            // The window is cleared first: after a failed read it could contain bytes of two places.
            self.forget();
            (self.disk.read)(file, offset, len.max(SIZE), &mut self.bytes)?;
            (self.name, self.start) = (Some(name), offset);
        }
        Ok(self.range(name, offset, len).unwrap_or(&self.bytes))
    }

    /// Clears the window, because the file may have changed.
    pub(super) fn forget(&mut self) {
        self.name = None;
        self.bytes.clear();
    }

    /// These bytes, if all of them are in memory.
    fn range(&self, name: Name, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?).filter(|_| self.name == Some(name))
    }
}

/// The size of the window: one read for a hundred records of 2 KB.
pub(super) const SIZE: usize = 256 * 1024;
