//! What lies in the directory, as far as we know without looking.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use super::{
    Limits,
    name::{Name, Stage},
};

/// A process looks at the directory again before it has stored more than one part in so many of what may lie in it, and
/// so each of several processes may go that much over the limits, for a while.
const SLACK: u64 = 16;

/// A memory of the directory.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: BTreeMap<Name, Stage>,
    /// They take room, but can be neither read nor removed. Out of the others' way, until we look again.
    given_up: BTreeSet<Name>,
    /// Of both.
    bytes: u64,
    /// What we stored since the last look; `None` before the first.
    unseen: Option<Unseen>,
}

#[derive(Debug, Default)]
struct Unseen {
    files: u64,
    bytes: u64,
}

impl Index {
    pub(super) fn listed(&mut self, files: Vec<(Name, Stage)>) {
        *self = Self { unseen: Some(Unseen::default()), ..Self::default() };
        files.into_iter().for_each(|(name, stage)| self.set(name, stage));
    }

    /// Forgets everything, as the directory cannot be listed.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether it was ever known what lies in the directory.
    pub(super) fn is_known(&self) -> bool {
        self.unseen.is_some()
    }

    /// Whether we have stored so much, with this one, that we must know what other processes did.
    pub(super) fn is_stale(&self, name: &Name, limits: &Limits) -> bool {
        self.unseen.as_ref().is_none_or(|unseen| {
            let (files, bytes) = (unseen.files + 1, unseen.bytes.saturating_add(name.size));
            files.saturating_mul(SLACK) > limits.files as u64 || bytes.saturating_mul(SLACK) > limits.bytes
        })
    }

    pub(super) fn stored(&mut self, name: Name) {
        self.set(name, Stage::Waiting);
        if let Some(unseen) = &mut self.unseen {
            unseen.files += 1;
            unseen.bytes = unseen.bytes.saturating_add(name.size);
        }
    }

    pub(super) fn set(&mut self, name: Name, stage: Stage) {
        if self.files.insert(name, stage).is_none() {
            self.bytes = self.bytes.saturating_add(name.size);
        }
    }

    pub(super) fn remove(&mut self, name: &Name) {
        if self.files.remove(name).is_some() || self.given_up.remove(name) {
            self.bytes = self.bytes.saturating_sub(name.size);
        }
    }

    pub(super) fn give_up(&mut self, name: Name) {
        if self.files.remove(&name).is_some() {
            self.given_up.insert(name);
        }
    }

    pub(super) fn gave_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    /// Whether this one more keeps the limits.
    pub(super) fn has_room(&self, name: &Name, limits: &Limits) -> bool {
        self.files.len() + self.given_up.len() < limits.files && self.bytes.saturating_add(name.size) <= limits.bytes
    }

    /// All of them that can be dealt with, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Name, Stage)> {
        self.files.iter().map(|(name, stage)| (*name, *stage))
    }

    /// Those that nobody is sending and whose time is over.
    pub(super) fn expired(&self, limits: &Limits, now: SystemTime) -> Vec<(Name, Stage)> {
        self.iter().filter(|(name, stage)| *stage != Stage::Sending && limits.exclude(name, *stage, now)).collect()
    }
}
