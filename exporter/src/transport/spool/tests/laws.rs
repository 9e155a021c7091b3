//! Every envelope is handed out once or accounted for as lost, whatever is done in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::*;

/// What may be done to one of two spools that share a directory.
#[derive(Clone, Debug)]
enum Step {
    Store(usize),
    Next,
    Remove(prop::sample::Index),
    PutBack(prop::sample::Index),
    Crash,
    Wait(u64),
}

const LIMITS: Limits = Limits { files: 6, bytes: 300, age: Duration::from_secs(40) };

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        4 => (1..120_usize).prop_map(Step::Store),
        4 => Just(Step::Next),
        2 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => any::<prop::sample::Index>().prop_map(Step::PutBack),
        1 => Just(Step::Crash),
        1 => (0..30_u64).prop_map(Step::Wait),
    ];
    (0..2_usize, step)
}

/// The envelopes whose loads add up to this one.
fn ids(counts: Counts) -> BTreeSet<u32> {
    let ids: BTreeSet<_> = (0..64).filter(|id| counts.spans & (1 << id) != 0).collect();
    assert_eq!(counts.transactions, ids.len() as u64, "counted twice");
    ids
}

#[derive(Default)]
struct Model {
    /// Those that wait, by time.
    waiting: BTreeMap<u64, u32>,
    claimed: [Vec<(u64, u32, Spooled)>; 2],
    /// Those that were claimed before a crash: they make no room.
    left: BTreeSet<u32>,
    stored: u32,
    now: u64,
}

impl Model {
    fn lose(&mut self, lost: Counts) {
        for id in ids(lost) {
            let time = self.waiting.iter().find(|(_, waiting)| **waiting == id).map(|(time, _)| *time);
            self.waiting.remove(&time.expect("only what waits can be lost"));
        }
    }

    fn check_taken(&mut self, spooled: &Spooled) -> (u64, u32) {
        let (time, id) = self.waiting.pop_first().expect("only what waits can be taken");
        assert_eq!(spooled.counts, load(id), "the oldest");
        assert!(spooled.bytes.iter().all(|byte| u32::from(*byte) == id));
        (time, id)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn everything_is_handed_out_once_or_accounted_for(steps in vec(step(), 1..60)) {
        let dir = temp();
        let open = || Spool::open(dir.path().into(), LIMITS);
        let mut spools = [open(), open()];
        let mut model = Model::default();
        for (which, step) in steps {
            model.now += 1;
            let now = at(model.now);
            let spool = &mut spools[which];
            match step {
                Step::Store(size) => {
                    let id = model.stored;
                    model.stored += 1;
                    let (kept, lost) = spool.store(load(id), &[&vec![id as u8; size]], now);
                    model.lose(lost);
                    match kept {
                        Ok(()) => drop(model.waiting.insert(model.now, id)),
                        Err(error) => {
                            prop_assert!(matches!(error, SpoolError::NoRoom));
                            let room = model.waiting.values().find(|id| !model.left.contains(id));
                            prop_assert_eq!(room, None, "it could have made room");
                        }
                    }
                    let files = names(dir.path());
                    let sizes = files.iter().map(|name| fs::metadata(dir.path().join(name)).unwrap().len());
                    prop_assert!(files.len() <= LIMITS.files && sizes.sum::<u64>() <= LIMITS.bytes);
                }
                Step::Next => {
                    let (spooled, lost) = spool.next(now);
                    model.lose(lost);
                    let other_sends = !model.claimed[1 - which].is_empty();
                    match spooled {
                        Some(spooled) => {
                            prop_assert!(!other_sends, "one at a time");
                            let (time, id) = model.check_taken(&spooled);
                            model.claimed[which].push((time, id, spooled));
                        }
                        None if other_sends => {}
                        // The other one may hold the lock as long as it has not found that nothing is left.
                        None => {
                            let (spooled, lost) = spools[1 - which].next(now);
                            model.lose(lost);
                            prop_assert_eq!(spooled.is_some(), !model.waiting.is_empty());
                            if let Some(spooled) = spooled {
                                let (time, id) = model.check_taken(&spooled);
                                model.claimed[1 - which].push((time, id, spooled));
                            }
                        }
                    }
                }
                Step::Remove(index) if !model.claimed[which].is_empty() => {
                    let index = index.index(model.claimed[which].len());
                    spool.remove(model.claimed[which].remove(index).2);
                }
                Step::PutBack(index) if !model.claimed[which].is_empty() => {
                    let index = index.index(model.claimed[which].len());
                    let (time, id, spooled) = model.claimed[which].remove(index);
                    spool.put_back(spooled);
                    model.waiting.insert(time, id);
                }
                Step::Remove(_) | Step::PutBack(_) => {}
                Step::Crash => {
                    for (time, id, _) in std::mem::take(&mut model.claimed[which]) {
                        model.waiting.insert(time, id);
                        model.left.insert(id);
                    }
                    *spool = open();
                }
                Step::Wait(seconds) => model.now += seconds,
            }
        }
        let now = at(model.now);
        for (spool, claimed) in spools.iter_mut().zip(std::mem::take(&mut model.claimed)) {
            claimed.into_iter().for_each(|(_, _, spooled)| spool.remove(spooled));
        }
        drop(spools);
        let (rest, lost) = drain(&mut open(), now);
        model.lose(lost);
        let ids: Vec<_> = rest.iter().map(|bytes| u32::from(bytes[0])).collect();
        prop_assert_eq!(ids, model.waiting.into_values().collect::<Vec<_>>());
        prop_assert!(names(dir.path()).is_empty());
    }
}
