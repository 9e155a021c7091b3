//! What is wrong with the spool is told once, and again only after it had worked in between.

use std::{collections::BTreeSet, fmt};

use opentelemetry::otel_warn;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The directory cannot be listed or made, or has vanished.
    List,
    /// An envelope cannot be written.
    Write,
    /// A file cannot be read.
    Read,
    /// A file cannot be claimed, put back or removed after it was sent, or the lock's file not be opened.
    Change,
    /// A file cannot be removed that is too old, too much or damaged.
    Remove,
    /// The file system has no locks, so nothing is replayed.
    Lock,
    /// A file's bytes are not those that were written.
    Damaged,
    /// Something lies in the directory that is not ours.
    Foreign,
}

impl Trouble {
    /// These come together: a read-only directory is one trouble, however many things cannot be done in it.
    const ACCESS: [Self; 5] = [Self::List, Self::Write, Self::Read, Self::Change, Self::Remove];

    const fn as_str(self) -> &'static str {
        match self {
            Self::List => "the directory cannot be used",
            Self::Write => "an envelope cannot be kept",
            Self::Read => "a kept envelope cannot be read",
            Self::Change => "a kept envelope cannot be sent",
            Self::Remove => "a kept envelope cannot be removed",
            Self::Lock => "the file system has no locks, nothing that was kept will be sent",
            Self::Damaged => "a kept envelope is damaged and was removed",
            Self::Foreign => "something lies in the directory that is not ours",
        }
    }
}

/// What is wrong at present.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    present: BTreeSet<Trouble>,
    #[cfg(test)]
    pub(super) told: Vec<Trouble>,
}

impl Troubles {
    /// Tells of it, unless it is known.
    pub(super) fn report(&mut self, trouble: Trouble, detail: &dyn fmt::Display) {
        let same = if Trouble::ACCESS.contains(&trouble) { &Trouble::ACCESS[..] } else { &[trouble] };
        let known = same.iter().any(|same| self.present.contains(same));
        self.present.insert(trouble);
        if known {
            return;
        }
        otel_warn!(name: "SentryExporter.Spool", trouble = trouble.as_str(), message = detail.to_string());
        #[cfg(test)]
        self.told.push(trouble);
    }

    /// It works again.
    pub(super) fn over(&mut self, trouble: Trouble) {
        self.present.remove(&trouble);
    }
}
