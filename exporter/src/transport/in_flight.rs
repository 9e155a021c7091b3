//! The requests that the driver has sent and that have no answer yet.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use web_time::Instant;

use super::{checkup::Asker, queue::Queued, rate_limit::Category};
use crate::account::Report;

/// The most envelopes that wait for an answer at the same time.
pub(super) const MAX_IN_FLIGHT: usize = 64;

/// The same for one category. If all requests of one category hang, the others still have eight.
const MAX_PER_CATEGORY: usize = 56;

/// A request hangs if it gets no answer for this time, while others get one.
const HANGS_AFTER: Duration = Duration::from_secs(5);

/// The most requests that hang beside [`MAX_IN_FLIGHT`].
const MAX_HANGING: usize = 192;

/// A request in flight.
#[derive(Debug)]
pub(super) enum Flight {
    Envelope(Box<Sent>),
    /// A copy for Spotlight.
    Copy,
    /// A caller's question whether the server accepts the DSN.
    Check(Asker),
}

/// An envelope that waits for its answer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) queued: Queued,
    /// The losses that it reports. If it does not arrive, the next envelope reports them.
    pub(super) report: Option<Report>,
    /// Only an answer to zstd can mean that the server does not accept zstd.
    pub(super) encoding: Option<&'static str>,
    /// It was sent to try a server that counted as away. Its failure makes the pause longer.
    pub(super) in_pause: bool,
    /// It had no answer for long while others had one. It takes no room of its category any more.
    pub(super) hangs: bool,
}

impl Sent {
    pub(super) const fn new(
        queued: Queued,
        report: Option<Report>,
        encoding: Option<&'static str>,
        in_pause: bool,
    ) -> Self {
        Self { queued, report, encoding, in_pause, hangs: false }
    }

    const fn category(&self) -> Category {
        Category::of(self.queued.envelope.counts)
    }
}

/// All requests in flight, by number.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// An envelope stays here until its answer comes, so that it can be sent again or kept on disk.
    flights: HashMap<u64, Flight>,
    /// Envelopes by the time at which they were sent. Some have been answered already.
    sent: VecDeque<(Instant, u64)>,
    /// How many envelopes of each category take room. Checks and copies for Spotlight are not counted: they must not
    /// take the place of envelopes.
    out: BTreeMap<Category, usize>,
    /// How many envelopes hang. If they took room, a few envelopes that never get an answer would stop all others.
    hanging: usize,
    next: u64,
}

impl InFlight {
    /// Adds a request. Returns its number.
    pub(super) fn add(&mut self, flight: Flight, now: Instant) -> u64 {
        let id = self.next;
        self.next += 1;
        if let Flight::Envelope(sent) = &flight {
            *self.out.entry(sent.category()).or_default() += 1;
            self.sent.push_back((now, id));
        }
        self.flights.insert(id, flight);
        id
    }

    /// Removes a request that was answered.
    pub(super) fn remove(&mut self, id: u64) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        if let Flight::Envelope(sent) = &flight {
            if sent.hangs {
                self.hanging -= 1;
            } else {
                self.leave_room(sent.category());
            }
        }
        // Otherwise it would grow behind one request that hangs.
        if self.sent.len() > 2 * self.flights.len() + MAX_IN_FLIGHT {
            self.sent.retain(|(_, id)| self.flights.contains_key(id));
        }
        Some(flight)
    }

    /// Removes all envelopes.
    pub(super) fn take_envelopes(&mut self) -> Vec<Sent> {
        self.out.clear();
        self.sent.clear();
        self.hanging = 0;
        let ids = self.flights.iter().filter(|(_, flight)| matches!(flight, Flight::Envelope(_)));
        let ids: Vec<_> = ids.map(|(id, _)| *id).collect();
        let taken = ids.iter().filter_map(|id| self.flights.remove(id));
        let sent = |flight| if let Flight::Envelope(sent) = flight { Some(*sent) } else { None };
        taken.filter_map(sent).collect()
    }

    /// Lets envelopes that hang take no room. To be called when another one was answered: the server works.
    pub(super) fn note_hanging(&mut self, now: Instant) {
        while let Some((at, id)) = self.sent.front().copied() {
            if at + HANGS_AFTER > now || self.hanging >= MAX_HANGING {
                return;
            }
            self.sent.pop_front();
            if let Some(Flight::Envelope(sent)) = self.flights.get_mut(&id) {
                sent.hangs = true;
                let category = sent.category();
                self.hanging += 1;
                self.leave_room(category);
            }
        }
    }

    fn leave_room(&mut self, category: Category) {
        if let Some(out) = self.out.get_mut(&category) {
            *out -= 1;
        }
    }

    /// Whether a category may have one more request in flight.
    pub(super) fn has_room(&self, category: Category) -> bool {
        self.out.get(&category).is_none_or(|out| *out < MAX_PER_CATEGORY)
    }

    /// How many envelopes take room.
    pub(super) fn taking_room(&self) -> usize {
        self.out.values().sum()
    }

    /// How many envelopes have no answer yet.
    pub(super) fn envelopes(&self) -> usize {
        self.taking_room() + self.hanging
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{account::Counts, packing::Envelope};

    fn send(in_flight: &mut InFlight, now: Instant) -> u64 {
        let envelope = Envelope { counts: Counts::transaction(1), ..Envelope::empty() };
        let queued = Queued::new(Some(1), envelope, now);
        in_flight.add(Flight::Envelope(Box::new(Sent::new(queued, None, None, false))), now)
    }

    #[test]
    fn what_hangs_takes_no_room_while_others_are_answered() {
        let (mut in_flight, start) = (InFlight::default(), Instant::now());
        let hanging: Vec<_> = (0..MAX_PER_CATEGORY).map(|_| send(&mut in_flight, start)).collect();
        assert!(!in_flight.has_room(Category::Transaction) && in_flight.has_room(Category::Error));
        let later = start + HANGS_AFTER;
        in_flight.note_hanging(later - Duration::from_millis(1));
        assert!(!in_flight.has_room(Category::Transaction));
        in_flight.note_hanging(later);
        assert!(in_flight.has_room(Category::Transaction));
        assert_eq!((in_flight.taking_room(), in_flight.envelopes()), (0, MAX_PER_CATEGORY));
        for id in hanging {
            assert!(in_flight.remove(id).is_some() && in_flight.remove(id).is_none());
        }
        assert_eq!((in_flight.taking_room(), in_flight.envelopes()), (0, 0));
    }

    #[test]
    fn what_hangs_is_bounded() {
        let (mut in_flight, mut now) = (InFlight::default(), Instant::now());
        for _ in 0..10 {
            while in_flight.has_room(Category::Transaction) {
                send(&mut in_flight, now);
            }
            now += HANGS_AFTER;
            in_flight.note_hanging(now);
        }
        assert_eq!(in_flight.envelopes(), MAX_HANGING + MAX_PER_CATEGORY);
        assert_eq!(in_flight.take_envelopes().len(), MAX_HANGING + MAX_PER_CATEGORY);
        assert_eq!((in_flight.envelopes(), in_flight.taking_room()), (0, 0));
    }

    #[test]
    fn one_that_hangs_keeps_no_list_of_those_that_were_answered() {
        let (mut in_flight, now) = (InFlight::default(), Instant::now());
        send(&mut in_flight, now);
        for _ in 0..10_000 {
            let id = send(&mut in_flight, now);
            in_flight.remove(id);
        }
        assert!(in_flight.sent.len() <= 3 * MAX_IN_FLIGHT);
    }
}
