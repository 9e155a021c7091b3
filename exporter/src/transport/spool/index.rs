//! The segments in the directory, as this process knows them.

use std::{collections::BTreeMap, mem, time::Duration};

use web_time::Instant;

use super::{folder::Listing, name::Name};
use crate::account::Counts;

/// All known segments, by name and so by age.
#[derive(Debug)]
pub(super) struct Index {
    segments: BTreeMap<Name, Segment>,
    /// The room that all segments take, for the limit. It includes segments that are not known one by one.
    pub(super) bytes: u64,
    /// The least room that a segment takes. Without it the limit in bytes would allow millions of tiny files.
    block: u64,
    /// When the directory was listed last; `None` before the first time. A segment that appears later cannot be older
    /// than the listing before.
    listed: Option<Instant>,
}

/// One segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) len: u64,
    /// How old it was when this process first saw it. Later ages are measured from here by the monotonic clock.
    age: Duration,
    seen: Instant,
    /// The sum over its records, without those that were counted as lost, if this spool wrote it. It allows to count
    /// exactly, even if the file is damaged later.
    pub(super) own: Option<Counts>,
    state: State,
    /// The latest attempt to use it failed. It stays set until an attempt succeeds, because only then the trouble is
    /// over.
    is_troubled: bool,
}

/// What can be done with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may contain records that wait.
    Ready,
    /// Another spool has locked it, or it cannot be used. The next listing makes it [`Ready`](Self::Ready) again.
    Skipped,
    /// It has a valid name but is not a segment. It is never touched and does not count against the limit.
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

    /// Takes in a listing. Segments that this spool has open stay, even if another program has removed their files.
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
                // The length of our own segment is known: bytes after our records were never reported as kept.
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

    /// Whether there is room for this many bytes more.
    pub(super) fn has_room(&self, bytes: u64, max_bytes: u64) -> bool {
        self.bytes.saturating_add(bytes.max(self.block)) <= max_bytes
    }

    /// Adds a segment that this spool has just begun.
    pub(super) fn begin(&mut self, name: Name, now: Instant) {
        self.set(name, Segment { own: Some(Counts::default()), ..Segment::new(0, Duration::ZERO, now) });
    }

    /// The segment that this spool writes has grown.
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

    /// The file is not a segment, and is never touched again.
    pub(super) fn set_foreign(&mut self, name: &Name) {
        if let Some(segment) = self.segments.get(name).copied() {
            self.set(*name, Segment { state: State::Foreign, own: None, ..segment });
        }
    }

    /// The segment cannot be used. It is skipped until the next listing.
    pub(super) fn fails(&mut self, name: &Name) {
        if let Some(segment) = self.segments.get_mut(name) {
            (segment.is_troubled, segment.state) = (true, State::Skipped);
        }
    }

    /// The segment can be used again.
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

    /// The segments that can be used, the oldest first.
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

    /// Forgets the newest segments if there are too many. Their room stays counted, and a later listing finds them
    /// again.
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

/// The usual block size of a file system.
const BLOCK: u64 = 4096;

/// The most segments that are known one by one, which take 8 MB of memory. The default limit in bytes allows four times
/// as many files of one block each, but only after as many crashes.
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
