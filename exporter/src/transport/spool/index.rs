//! The segments that lie in the directory, as far as this process knows.

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use super::{folder::Listing, name::Name};
use crate::account::Counts;

/// What is known of each segment.
#[derive(Debug)]
pub(super) struct Index {
    segments: BTreeMap<Name, Segment>,
    /// The room that they take.
    pub(super) bytes: u64,
    /// The room that a segment takes at least, so that the limit in bytes also limits the number of files.
    block: u64,
    /// When the directory was listed last; `None` before the first time.
    listed: Option<Instant>,
}

/// What is known of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) len: u64,
    /// How old it was when this process saw it first.
    age: Duration,
    seen: Instant,
    /// The sum over its records if this spool wrote it, less what was counted as lost.
    pub(super) own: Option<Counts>,
    state: State,
    /// The latest attempt to use it failed. Remembered until one succeeds, because the trouble is over only then.
    is_troubled: bool,
}

/// What can be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may contain something that waits.
    Ready,
    /// Another spool has locked it, or it cannot be used. The next listing makes it ready again.
    Skipped,
    /// Its content is not ours, although its name is. It is left alone and takes no room.
    Foreign,
}

impl Segment {
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.age.saturating_add(now.saturating_duration_since(self.seen))
    }
}

impl Index {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { segments: BTreeMap::new(), bytes: 0, block: BLOCK.min(max_bytes / 16), listed: None }
    }

    /// Takes over a listing. Segments that this spool holds stay, even if their files were removed meanwhile.
    ///
    /// `wall_age` is a segment's age on the wall clock. It counts only for what the first listing finds: a segment that
    /// appeared later is not older than the listing before, however far the clock has jumped in between.
    pub(super) fn listed(
        &mut self,
        listing: &Listing,
        now: Instant,
        is_held: impl Fn(&Name) -> bool,
        wall_age: impl Fn(&Name) -> Duration,
    ) {
        let limit = self.listed.map_or(Duration::MAX, |listed| now.saturating_duration_since(listed));
        let mut known = mem::take(&mut self.segments);
        self.bytes = 0;
        for (name, len) in &listing.segments {
            let segment = match known.remove(name) {
                // What lies behind the records that we wrote was never reported as kept.
                Some(own) if own.own.is_some() => Segment { state: State::Ready, ..own },
                Some(foreign) if foreign.state == State::Foreign => foreign,
                Some(segment) => Segment { len: *len, state: State::Ready, ..segment },
                None => Segment::new(*len, wall_age(name).min(limit), now),
            };
            self.set(*name, segment);
            self.bound();
        }
        let held = known.into_iter().filter(|(name, _)| is_held(name));
        held.for_each(|(name, segment)| self.set(name, Segment { state: State::Ready, ..segment }));
        self.listed = Some(now);
    }

    /// When the directory was listed last.
    pub(super) fn latest_listing(&self) -> Option<Instant> {
        self.listed
    }

    /// Whether this many bytes more keep the limit.
    pub(super) fn has_room(&self, bytes: u64, max_bytes: u64) -> bool {
        self.bytes.saturating_add(bytes.max(self.block)) <= max_bytes
    }

    /// A segment that we have just begun.
    pub(super) fn begin(&mut self, name: Name, now: Instant) {
        self.set(name, Segment { own: Some(Counts::default()), ..Segment::new(0, Duration::ZERO, now) });
    }

    /// A segment that we write has grown.
    pub(super) fn grow(&mut self, name: &Name, len: u64, counts: Counts) {
        if let Some(mut segment) = self.segments.get(name).copied() {
            segment.len = len;
            if let Some(own) = &mut segment.own {
                *own += counts;
            }
            self.set(*name, segment);
        }
    }

    pub(super) fn remove(&mut self, name: &Name) {
        if let Some(segment) = self.segments.remove(name) {
            self.bytes = self.bytes.saturating_sub(self.room(&segment));
        }
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Segment> {
        self.segments.get(name)
    }

    /// Some of its records were counted as lost.
    pub(super) fn set_own(&mut self, name: &Name, counts: Counts) {
        if let Some(segment) = self.segments.get_mut(name) {
            segment.own = Some(counts);
        }
    }

    pub(super) fn skip(&mut self, name: &Name) {
        if let Some(segment) = self.segments.get_mut(name) {
            segment.state = State::Skipped;
        }
    }

    /// Leaves it alone from now on.
    pub(super) fn set_foreign(&mut self, name: &Name) {
        if let Some(segment) = self.segments.get(name).copied() {
            self.set(*name, Segment { state: State::Foreign, own: None, ..segment });
        }
    }

    /// It cannot be used. It stays in trouble until it can be, and is skipped until the next listing.
    pub(super) fn fails(&mut self, name: &Name) {
        if let Some(segment) = self.segments.get_mut(name) {
            (segment.is_troubled, segment.state) = (true, State::Skipped);
        }
    }

    /// It can be used again.
    pub(super) fn works(&mut self, name: &Name) {
        if let Some(segment) = self.segments.get_mut(name).filter(|segment| segment.is_troubled) {
            (segment.is_troubled, segment.state) = (false, State::Ready);
        }
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.segments.values().any(|segment| segment.is_troubled)
    }

    pub(super) fn has_foreign(&self) -> bool {
        self.segments.values().any(|segment| segment.state == State::Foreign)
    }

    /// Those that can be used, the oldest first.
    pub(super) fn ready(&self) -> impl Iterator<Item = (&Name, &Segment)> {
        self.segments.iter().filter(|(_, segment)| segment.state == State::Ready)
    }

    fn set(&mut self, name: Name, segment: Segment) {
        let after = self.room(&segment);
        let before = self.segments.insert(name, segment).map_or(0, |before| self.room(&before));
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
    }

    fn room(&self, segment: &Segment) -> u64 {
        if segment.state == State::Foreign { 0 } else { segment.len.max(self.block) }
    }

    /// Forgets the newest of too many. Their room stays counted, and a later listing finds them again.
    fn bound(&mut self) {
        if self.segments.len() > MAX_SEGMENTS {
            self.segments.pop_last();
        }
    }
}

impl Segment {
    fn new(len: u64, age: Duration, seen: Instant) -> Self {
        Self { len, age, seen, own: None, state: State::Ready, is_troubled: false }
    }
}

/// A usual block of a file system.
const BLOCK: u64 = 4096;

/// The default limit in bytes holds 262,144 files of one block each, from as many crashes. To know a quarter of them
/// takes 8 MB of memory and is enough to go on with.
const MAX_SEGMENTS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_segments_are_not_all_known_but_all_counted() {
        let count = MAX_SEGMENTS as u64 + 1000;
        let segments = (0..count).rev().map(|time| (Name { time, writer: 0, number: 0 }, 1)).collect();
        let mut index = Index::new(u64::MAX);
        let listing = Listing { segments, foreign: None };
        index.listed(&listing, Instant::now(), |_| false, |_| Duration::ZERO);
        assert_eq!((index.ready().count(), index.bytes), (MAX_SEGMENTS, count * BLOCK));
        let newest = index.ready().map(|(name, _)| name.time).max();
        assert_eq!(newest, Some(MAX_SEGMENTS as u64 - 1), "the oldest are known");
    }
}
