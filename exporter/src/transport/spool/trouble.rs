//! Logs each kind of trouble once, and again only after the spool has worked in between.

use std::{collections::BTreeSet, fmt};

use opentelemetry::otel_warn;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The directory cannot be listed or created, or was removed.
    List,
    /// Envelopes cannot be written.
    Write,
    /// A segment cannot be opened, read, marked or removed.
    Segment,
    /// The file system has no locks.
    Lock,
    /// The bytes of a record differ from those that were written.
    Damaged,
    /// The directory contains a file that is not a segment.
    Foreign,
}

impl Trouble {
    /// These occur together. A read-only directory is logged once, although several operations fail.
    const ACCESS: [Self; 3] = [Self::List, Self::Write, Self::Segment];

    const fn as_str(self) -> &'static str {
        match self {
            Self::List => "the directory cannot be used",
            Self::Write => "envelopes cannot be kept",
            Self::Segment => "a file with kept envelopes cannot be read, changed or removed",
            Self::Lock => "the file system has no locks, so each process sends only what it stored itself",
            Self::Damaged => "a kept envelope is damaged and was skipped",
            Self::Foreign => "the directory contains a file of another program",
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
    /// Logs a trouble, unless it was logged before and is not over yet.
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

    /// The trouble is over.
    pub(super) fn over(&mut self, trouble: Trouble) {
        self.present.remove(&trouble);
    }

    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.present.contains(&trouble)
    }
}
