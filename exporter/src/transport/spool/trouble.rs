//! Each kind of trouble is reported once, and again only after the spool has worked in between.

use std::{collections::BTreeSet, fmt};

use opentelemetry::otel_warn;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The directory cannot be listed or made, or has vanished.
    List,
    /// Envelopes cannot be written.
    Write,
    /// A segment cannot be opened, read, marked or removed.
    Segment,
    /// The file system has no locks.
    Lock,
    /// The bytes of a record differ from those that were written.
    Damaged,
    /// The directory contains something that is not ours.
    Foreign,
}

impl Trouble {
    /// These come together: a read-only directory is one trouble, however many operations fail in it.
    const ACCESS: [Self; 3] = [Self::List, Self::Write, Self::Segment];

    const fn as_str(self) -> &'static str {
        match self {
            Self::List => "the directory cannot be used",
            Self::Write => "envelopes cannot be kept",
            Self::Segment => "a file with kept envelopes cannot be read, changed or removed",
            Self::Lock => "the file system has no locks, so each process sends only what it stored itself",
            Self::Damaged => "a kept envelope is damaged and was skipped",
            Self::Foreign => "the directory contains a file that is not ours",
        }
    }
}

/// What is wrong at present.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    present: BTreeSet<Trouble>,
    #[cfg(test)]
    pub(super) reported: Vec<Trouble>,
}

impl Troubles {
    /// Logs it, unless it was logged before and is not over yet.
    pub(super) fn report(&mut self, trouble: Trouble, detail: &dyn fmt::Display) {
        let same = if Trouble::ACCESS.contains(&trouble) { &Trouble::ACCESS[..] } else { &[trouble] };
        let is_known = same.iter().any(|same| self.present.contains(same));
        self.present.insert(trouble);
        if is_known {
            return;
        }
        otel_warn!(name: "SentryExporter.Spool", trouble = trouble.as_str(), message = detail.to_string());
        #[cfg(test)]
        self.reported.push(trouble);
    }

    /// It works again.
    pub(super) fn over(&mut self, trouble: Trouble) {
        self.present.remove(&trouble);
    }

    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.present.contains(&trouble)
    }
}
