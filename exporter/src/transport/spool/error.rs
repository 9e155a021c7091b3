//! Why a record was not kept.

use std::{error, fmt, io};

/// Why a record was not kept.
#[derive(Debug)]
pub(crate) enum SpoolError {
    /// The record alone is larger than the limit for the whole directory.
    TooLarge,
    /// No segment can make room: all are locked or cannot be removed.
    NoRoom,
    /// The spool was closed.
    Closed,
    /// An I/O error: the disk is full, the directory is read-only, or another.
    Io(io::Error),
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the envelope is larger than the limit of the spool",
            Self::NoRoom => "no segment can be removed to make room for the envelope",
            Self::Closed => "the spool is closed",
            Self::Io(_) => "the envelope could not be written",
        })
    }
}

impl error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::TooLarge | Self::NoRoom | Self::Closed => None,
        }
    }
}
