//! Why an envelope could not be kept.

use std::{error, fmt, io};

/// Why an envelope was not kept.
#[derive(Debug)]
pub(crate) enum SpoolError {
    /// It alone is larger than all may be together.
    TooLarge,
    /// Everything that could make room is being sent, or cannot be removed.
    NoRoom,
    /// The disk is full, the directory read-only, and so on.
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
            Self::TooLarge => "the envelope is larger than all that may be kept",
            Self::NoRoom => "nothing can be removed to make room for the envelope",
            Self::Io(_) => "the envelope could not be written",
        })
    }
}

impl error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::TooLarge | Self::NoRoom => None,
        }
    }
}
