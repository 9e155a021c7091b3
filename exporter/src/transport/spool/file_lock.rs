//! The exclusive lock of a file, which a system may not have.

#[cfg(not(target_family = "wasm"))]
mod system {
    use std::fs::File;

    pub(in super::super) use fs4::TryLockError;

    pub(in super::super) fn try_lock(file: &File) -> Result<(), TryLockError> {
        fs4::FileExt::try_lock(file)
    }

    pub(in super::super) fn unlock(file: &File) {
        // The lock ends with the file anyway.
        let _ = fs4::FileExt::unlock(file);
    }
}

#[cfg(target_family = "wasm")]
mod system {
    use std::{fs::File, io};

    /// Why a file could not be locked.
    #[derive(Debug)]
    pub(in super::super) enum TryLockError {
        #[expect(dead_code, reason = "without locks, none is held")]
        WouldBlock,
        Error(io::Error),
    }

    pub(in super::super) fn try_lock(_: &File) -> Result<(), TryLockError> {
        Err(TryLockError::Error(io::ErrorKind::Unsupported.into()))
    }

    pub(in super::super) const fn unlock(_: &File) {}
}

pub(super) use self::system::{TryLockError, try_lock, unlock};
