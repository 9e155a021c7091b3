//! Envelopes that wait for their request.
//!
//! Each category has a lane of its own. In a single queue, a category whose requests hang would hold up the others.
//! Within a lane envelopes leave in order; one that failed waits for the end of its pause while the others leave.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    mem,
    time::Duration,
};

use web_time::Instant;

use super::{rate_limit::Category, spool::RecordId};
use crate::packing::Envelope;

/// An envelope that waits.
#[derive(Debug)]
pub(super) struct Queued {
    /// The number of its trace. A flush waits for it. `None` for a report and for an envelope from the disk.
    pub(super) number: Option<u64>,
    pub(super) envelope: Envelope,
    /// When it was queued. In an outage it goes to the disk some seconds later.
    pub(super) since: Instant,
    /// Requests without an answer while other envelopes got answers. After a few of these the envelope is dropped:
    /// something on the way rejects this one.
    pub(super) tries: u32,
    /// All requests without an answer. They determine the length of the next pause.
    pub(super) failures: u32,
    /// The link's era in which it failed last. Without it, one envelope that fails repeatedly would make the server
    /// count as away.
    pub(super) blamed_in: Option<u64>,
    /// Its record, if it came from the disk: it must be removed there after delivery, and must not be stored again.
    pub(super) record: Option<RecordId>,
    /// Whether this process put it there. Then it counts as kept on disk until it leaves.
    pub(super) is_own: bool,
}

impl Queued {
    pub(super) const fn new(number: Option<u64>, envelope: Envelope, now: Instant) -> Self {
        Self { number, envelope, since: now, tries: 0, failures: 0, blamed_in: None, record: None, is_own: false }
    }

    fn size(&self) -> usize {
        // Its places in the queue and in flight, with their spare room, and what the allocator keeps beside two buffers.
        self.envelope.size() + 2 * size_of::<Self>() + 128
    }
}

/// When an envelope leaves, and whether it is the one that asks if the server is back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) now: Instant,
    pub(super) is_asking: bool,
}

/// What waits, in one lane for each category.
#[derive(Debug)]
pub(super) struct Queue {
    lanes: BTreeMap<Category, Lane>,
    /// Of all lanes, for the limit. It is kept up to date, because the sum over all envelopes would be too slow.
    bytes: usize,
    len: usize,
    /// How many envelopes that are not on disk came in at each instant. Looking for the oldest of a long queue would
    /// take long, and the worker asks before each pause.
    since: BTreeMap<Instant, usize>,
    /// Makes the keys of pauses that end at the same instant differ. Without it one envelope would replace the other.
    next_pause: u64,
}

#[derive(Debug, Default)]
struct Lane {
    /// In the order in which they leave.
    fresh: VecDeque<Queued>,
    /// Envelopes that failed, by the end of their pause. At the front of `fresh` they would hold up all others.
    paused: BTreeMap<(Instant, u64), Queued>,
}

impl Lane {
    /// When its next envelope came in, if one may leave now.
    fn next_since(&self, turn: Turn) -> Option<Instant> {
        let paused = self.paused.first_key_value().filter(|((until, _), _)| *until <= turn.now);
        let paused = paused.map(|(_, queued)| queued).filter(|_| self.is_next_paused(turn));
        paused.or_else(|| self.fresh.front()).map(|queued| queued.since)
    }

    fn pop(&mut self, turn: Turn) -> Option<Queued> {
        let is_paused = self.is_next_paused(turn);
        match self.paused.first_entry().filter(|entry| is_paused && entry.key().0 <= turn.now) {
            Some(entry) => Some(entry.remove()),
            None => self.fresh.pop_front(),
        }
    }

    /// Whether one whose pause is over goes before the others: pauses grow, so it never takes their place for long. But
    /// what failed on its own does not ask whether the server is back.
    fn is_next_paused(&self, turn: Turn) -> bool {
        !turn.is_asking || self.fresh.is_empty()
    }
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { lanes: BTreeMap::new(), bytes: 0, len: 0, since: BTreeMap::new(), next_pause: 0 }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an envelope at the end of its lane.
    pub(super) fn push(&mut self, queued: Queued) {
        self.add(&queued);
        self.lane(&queued).fresh.push_back(queued);
    }

    /// Returns an envelope to the front of its lane, to be sent again at once.
    pub(super) fn push_front(&mut self, queued: Queued) {
        self.add(&queued);
        self.lane(&queued).fresh.push_front(queued);
    }

    /// Adds an envelope that waits until this time, while others leave.
    pub(super) fn pause(&mut self, queued: Queued, until: Instant) {
        self.add(&queued);
        self.next_pause += 1;
        let key = (until, self.next_pause);
        self.lane(&queued).paused.insert(key, queued);
    }

    /// The next envelope of a lane that has room for a request: among the lanes the one that waited longest.
    pub(super) fn pop(&mut self, turn: Turn, has_room: impl Fn(Category) -> bool) -> Option<Queued> {
        let lanes = self.lanes.iter_mut().filter(|(category, _)| has_room(**category));
        let (_, lane) =
            lanes.filter_map(|(_, lane)| Some((lane.next_since(turn)?, lane))).min_by_key(|(since, _)| *since)?;
        let queued = lane.pop(turn)?;
        self.subtract(&queued);
        Some(queued)
    }

    /// When the next pause ends.
    pub(super) fn next_pause_ends(&self) -> Option<Instant> {
        self.lanes.values().filter_map(|lane| Some(lane.paused.first_key_value()?.0.0)).min()
    }

    /// Ends all pauses. What is at fault itself goes behind the others.
    pub(super) fn end_pauses(&mut self) {
        for lane in self.lanes.values_mut() {
            let mut paused: Vec<_> = mem::take(&mut lane.paused).into_values().collect();
            paused.append(&mut lane.fresh.drain(..).collect());
            paused.sort_by_key(|queued| (queued.tries, queued.since));
            lane.fresh = paused.into();
        }
    }

    /// When the oldest envelope was queued that is not on disk.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.since.first_key_value().map(|(since, _)| *since)
    }

    /// Removes envelopes that are not on disk and were queued before this time, about `max_bytes` of them at most.
    pub(super) fn take_older(&mut self, than: Instant, max_bytes: usize) -> Vec<Queued> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        let mut is_old = |queued: &Queued| {
            let takes = queued.record.is_none() && queued.since <= than && bytes < max_bytes;
            bytes += if takes { queued.size() } else { 0 };
            takes
        };
        for lane in self.lanes.values_mut() {
            let (old, fresh): (Vec<_>, Vec<_>) = lane.fresh.drain(..).partition(&mut is_old);
            lane.fresh = fresh.into();
            taken.extend(old);
            let keys: Vec<_> = lane.paused.iter().filter(|(_, queued)| is_old(queued)).map(|(key, _)| *key).collect();
            taken.extend(keys.iter().filter_map(|key| lane.paused.remove(key)));
        }
        taken.iter().for_each(|queued| self.subtract(queued));
        taken
    }

    /// Removes everything.
    pub(super) fn drain(&mut self) -> Vec<Queued> {
        let lanes = mem::take(&mut self.lanes).into_values();
        (self.bytes, self.len) = (0, 0);
        self.since.clear();
        lanes.flat_map(|lane| lane.fresh.into_iter().chain(lane.paused.into_values())).collect()
    }

    fn lane(&mut self, queued: &Queued) -> &mut Lane {
        self.lanes.entry(Category::of(queued.envelope.counts)).or_default()
    }

    fn add(&mut self, queued: &Queued) {
        self.bytes += queued.size();
        self.len += 1;
        if queued.record.is_none() {
            *self.since.entry(queued.since).or_default() += 1;
        }
    }

    fn subtract(&mut self, queued: &Queued) {
        self.bytes -= queued.size();
        self.len -= 1;
        if let Entry::Occupied(mut count) = self.since.entry(queued.since) {
            if queued.record.is_none() {
                *count.get_mut() -= 1;
            }
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// How long an envelope waits after a failure: a second at first, then twice as long each time. `jitter`, from 0 to 1,
/// shortens it by up to half.
pub(super) fn pause_after(failures: u32, jitter: f64) -> Duration {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);
    let length = FIRST.saturating_mul(1 << failures.min(6)).min(LONGEST);
    length.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Counts;

    fn queued(number: u64, counts: Counts, since: Instant) -> Queued {
        Queued::new(Some(number), Envelope { counts, ..Envelope::empty() }, since)
    }

    const fn turn(now: Instant) -> Turn {
        Turn { now, is_asking: false }
    }

    fn numbers(queue: &mut Queue, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop(turn(now), |_| true)).filter_map(|queued| queued.number).collect()
    }

    const TRANSACTION: Counts = Counts::transaction(1);

    #[test]
    fn envelopes_leave_in_order_and_one_that_failed_waits_beside_the_others() {
        let (mut queue, now) = (Queue::new(), Instant::now());
        let second = Duration::from_secs(1);
        (1..=3).for_each(|number| queue.push(queued(number, TRANSACTION, now)));
        let failed = queue.pop(turn(now), |_| true).unwrap();
        queue.pause(failed, now + second);
        assert_eq!(queue.next_pause_ends(), Some(now + second));
        assert_eq!(numbers(&mut queue, now), [2, 3]);
        queue.push(queued(4, TRANSACTION, now));
        assert_eq!(numbers(&mut queue, now + second), [1, 4], "when its pause is over it goes first");
        assert_eq!((queue.bytes(), queue.len(), queue.next_pause_ends()), (0, 0, None));
    }

    #[test]
    fn a_lane_without_room_holds_up_no_other() {
        let (mut queue, now) = (Queue::new(), Instant::now());
        queue.push(queued(1, TRANSACTION, now));
        queue.push(queued(2, Counts::ERROR, now + Duration::from_secs(1)));
        let popped = queue.pop(turn(now), |category| category != Category::Transaction);
        assert_eq!(popped.and_then(|queued| queued.number), Some(2));
        assert!(queue.pop(turn(now), |category| category != Category::Transaction).is_none());
        assert_eq!(numbers(&mut queue, now), [1]);
    }

    #[test]
    fn pauses_end_when_a_flush_waits() {
        let (mut queue, now) = (Queue::new(), Instant::now());
        queue.pause(queued(1, TRANSACTION, now), now + Duration::from_secs(60));
        queue.push(queued(2, TRANSACTION, now + Duration::from_secs(1)));
        queue.end_pauses();
        assert_eq!(numbers(&mut queue, now), [1, 2]);
    }

    #[test]
    fn what_waited_long_is_taken_out_in_bounded_portions() {
        let (mut queue, now) = (Queue::new(), Instant::now());
        let second = Duration::from_secs(1);
        (1..=4).for_each(|number| queue.push(queued(number, TRANSACTION, now)));
        queue.pause(queued(5, TRANSACTION, now), now + second);
        queue.push(queued(6, TRANSACTION, now + second));
        let one = queue.bytes() / 6;
        assert_eq!(queue.oldest(), Some(now));
        let taken: Vec<_> = queue.take_older(now, 2 * one).into_iter().filter_map(|queued| queued.number).collect();
        assert_eq!(taken, [1, 2]);
        assert_eq!(queue.take_older(now, usize::MAX).len(), 3);
        assert_eq!((queue.len(), queue.bytes(), queue.oldest()), (1, one, Some(now + second)));
        assert_eq!(queue.drain().len(), 1);
        assert!(queue.is_empty() && queue.bytes() == 0);
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds: Vec<_> = (0..8).map(|failures| pause_after(failures, 1.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause_after(0, 0.0), Duration::from_millis(500));
    }
}
