//! Check-ins that wait to be packed, and ends of jobs that wait for their start.

use std::collections::{HashMap, VecDeque};

use crate::convert::CheckIn;

/// The most check-ins that wait here. While the queue is full nothing is packed, and jobs go on. It is ten times what waits
/// in the intake, because the ends of jobs come with the spans of a whole pick-up.
pub(super) const MAX_WAITING: usize = 10_000;

/// The number of a check-in, by which a flush waits for it.
type Number = u64;

/// What orders the check-ins of a job. Requests are in flight side by side, and an end that overtakes its start would be a
/// second job for Sentry.
///
/// A service can have thousands of jobs that run, so nothing here looks at all of them.
#[derive(Debug, Default)]
pub(super) struct CheckIns {
    /// Those that leave next. They overtake the traces, which can be many and slow: Sentry must hear of a start soon.
    ready: VecDeque<(Number, CheckIn)>,
    /// Whether one was packed last. Then it is the traces' turn: otherwise a slug on a span of each request would keep all
    /// traces from leaving.
    had_turn: bool,
    /// Starts that have not left, by job. They are above or in the queue, which bounds them.
    starts: HashMap<[u8; 16], Number>,
    /// The same by number: what leaves is known by its number.
    jobs: HashMap<Number, [u8; 16]>,
    /// Ends whose start has not left, by job.
    held: HashMap<[u8; 16], Vec<(Number, CheckIn)>>,
    /// The number of ends in `held`.
    held_count: usize,
}

impl CheckIns {
    /// Adds a check-in; an end waits until its start has left. Returns whether there was room for it.
    pub(super) fn add(&mut self, number: Number, check_in: CheckIn) -> bool {
        if self.ready.len() + self.held_count >= MAX_WAITING {
            return false;
        }
        let job = check_in.id();
        if check_in.is_start() {
            self.starts.insert(job, number);
            self.jobs.insert(number, job);
        } else if self.starts.contains_key(&job) {
            self.held.entry(job).or_default().push((number, check_in));
            self.held_count += 1;
            return true;
        }
        self.ready.push_back((number, check_in));
        true
    }

    /// Whether one can be packed.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next one to pack; `None` also if something else waits and it is its turn.
    pub(super) fn next(&mut self, others_wait: bool) -> Option<(Number, CheckIn)> {
        self.had_turn = !(self.had_turn && others_wait);
        if self.had_turn { self.ready.pop_front() } else { None }
    }

    /// Notes that all with this number has left. If it was a start, its end may follow.
    pub(super) fn left(&mut self, number: Number) {
        let Some(job) = self.jobs.remove(&number) else { return };
        // A broken generator of ids can give two jobs the same one.
        if self.starts.get(&job) == Some(&number) {
            self.starts.remove(&job);
            let held = self.held.remove(&job).unwrap_or_default();
            self.held_count -= held.len();
            self.ready.extend(held);
        }
    }

    /// Lets all ends go on, whether their start has left or not.
    pub(super) fn release(&mut self) {
        self.starts.clear();
        self.jobs.clear();
        self.held_count = 0;
        self.ready.extend(self.held.drain().flat_map(|(_, held)| held));
    }

    /// Removes all, and returns their number.
    pub(super) fn drain(&mut self) -> usize {
        self.release();
        self.ready.drain(..).count()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;
    use opentelemetry_sentry_semantics::Attributes;
    use proptest::prelude::*;

    use super::*;
    use crate::trace::fixtures;

    /// A check-in of a job with this number.
    fn check_in(job: u64, is_start: bool) -> CheckIn {
        let mut span = fixtures::span(job, 0);
        span.data_mut().attributes = vec![KeyValue::new("sentry.monitor.slug", "nightly")];
        let check_in = match is_start {
            true => CheckIn::started(&span),
            false => CheckIn::ended(&span, Attributes::unindexed(&span.attributes)),
        };
        check_in.expect("a job").expect("a valid slug")
    }

    #[test]
    fn above_the_limit_check_ins_are_refused_and_what_left_makes_room() {
        let mut all = CheckIns::default();
        let last = MAX_WAITING as u64;
        assert!((0..last).all(|number| all.add(number, check_in(number / 2 + 1, number % 2 == 0))));
        assert!(!all.add(last, check_in(last, true)) && !all.add(last, check_in(1, false)));
        let (number, start) = all.next(false).expect("the first start");
        assert!(start.is_start() && all.add(last, check_in(last, true)));
        all.left(number);
        assert_eq!((all.drain(), all.held.len()), (MAX_WAITING, 0));
        assert!(
            all.add(last, check_in(1, false)) && all.next(false).is_some(),
            "an end whose start is gone waits for nothing"
        );
    }

    #[test]
    fn check_ins_and_what_else_waits_take_turns() {
        let mut all = CheckIns::default();
        (0..4).for_each(|number| assert!(all.add(number, check_in(number + 1, true))));
        let turns = [true, true, true, false, false].map(|others_wait| all.next(others_wait).map(|(number, _)| number));
        assert_eq!(turns, [Some(0), None, Some(1), Some(2), Some(3)]);
    }

    proptest! {
        /// Whatever happens in whatever order: an end leaves after its start has left, and all that was added leaves.
        #[test]
        fn no_end_leaves_before_its_start_and_nothing_is_lost(steps in prop::collection::vec((0..5_u8, any::<usize>()), 1..80)) {
            let (mut all, mut out, mut added, mut left) = (CheckIns::default(), Vec::new(), 0, Vec::new());
            // The numbers of the starts; a job is its place here.
            let mut starts: Vec<Number> = Vec::new();
            let id = |job: usize| job as u64 + 1;
            for (step, any) in steps {
                match step {
                    0 => starts.push(added),
                    1 if starts.is_empty() => continue,
                    2 | 3 => out.extend(all.next(false)),
                    4 if !out.is_empty() => {
                        let (number, _) = out.remove(any % out.len());
                        all.left(number);
                        left.push(number);
                    }
                    _ => {}
                }
                if step < 2 {
                    let job = if step == 0 { starts.len() - 1 } else { any % starts.len() };
                    prop_assert!(all.add(added, check_in(id(job), step == 0)));
                    added += 1;
                }
                for (_, end) in out.iter().filter(|(_, check_in)| !check_in.is_start()) {
                    let start = (0..starts.len()).find(|job| check_in(id(*job), true).id() == end.id());
                    prop_assert!(start.is_some_and(|job| left.contains(&starts[job])), "{end:?} is early");
                }
                prop_assert_eq!(all.held.values().map(Vec::len).sum::<usize>(), all.held_count);
                prop_assert_eq!(all.starts.len(), all.jobs.len());
            }
            prop_assert_eq!(all.drain() + out.len() + left.len(), added as usize);
        }
    }
}
