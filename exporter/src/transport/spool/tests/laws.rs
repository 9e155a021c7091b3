//! For any sequence of calls, every record is handed out once or counted as lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use proptest::{collection::vec, prelude::*};

use super::{file_system::FileSystem, *};

/// What may be done to one of three spools that share a directory.
#[derive(Clone, Debug)]
enum Step {
    Store(Vec<usize>),
    Take(usize),
    /// All records that are out and whose number has a bit of this mask.
    Remove(u64),
    PutBack(u64),
    /// The process dies, perhaps while it writes a record.
    Crash(usize),
    Wait(u64),
    /// The wall clock jumps by hours.
    Jump(i64),
}

const SPOOLS: usize = 3;
const LIMIT: u64 = 4000;
const AGE: u64 = 1600;
/// As many records as have a bit of their own in the counts.
const RECORDS: u32 = 54;

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        6 => vec(3..120_usize, 1..5).prop_map(Step::Store),
        6 => (1..8_usize).prop_map(Step::Take),
        4 => any::<u64>().prop_map(Step::Remove),
        2 => any::<u64>().prop_map(Step::PutBack),
        1 => (0..60_usize).prop_map(Step::Crash),
        1 => (0..300_u64).prop_map(Step::Wait),
        1 => (-100..100_i64).prop_map(Step::Jump),
    ];
    (0..SPOOLS, step)
}

fn open(dir: &Path, now: Now) -> Spool {
    let options = SpoolOptions { max_bytes: LIMIT, max_age: Duration::from_secs(AGE), ..options(dir) };
    let mut spool = Spool::open(options, now);
    // Thousands of them would wait for the disk.
    spool.folder.disk = FileSystem { sync: |_| Ok(()), sync_directory: |_| Ok(()), ..FileSystem::default() };
    spool
}

/// The records that counts are the sum of.
fn ids_in(counts: Counts) -> BTreeSet<u32> {
    let ids: BTreeSet<_> = (0..64).filter(|id| counts.spans & (1 << id) != 0).collect();
    assert_eq!(counts.transactions, ids.len() as u64, "counted twice");
    ids
}

#[derive(Default)]
struct Model {
    stored: u32,
    seconds: u64,
    hours: i64,
    /// Those that wait, and the spool that stored each, if it lives.
    waiting: BTreeMap<u32, Option<usize>>,
    out: [BTreeMap<u32, Out>; SPOOLS],
}

/// One that was handed out.
struct Out {
    handle: RecordId,
    owner: Option<usize>,
}

impl Model {
    fn now(&self) -> Now {
        let hours = Duration::from_secs(self.hours.unsigned_abs() * 3600);
        let now = at(self.seconds);
        Now { wall: if self.hours < 0 { now.wall - hours } else { now.wall + hours }, ..now }
    }

    fn lose(&mut self, lost: Lost, which: usize) {
        for (counts, is_own) in [(lost.own, true), (lost.foreign, false)] {
            for id in ids_in(counts) {
                let owner = self.waiting.remove(&id).expect("only what waits can be lost");
                assert_eq!(owner == Some(which), is_own, "{id}");
            }
        }
    }

    fn hand_out(&mut self, records: &[Spooled], which: usize) {
        for record in records {
            let id = check(record);
            let owner = self.waiting.remove(&id).expect("only what waits can be taken");
            assert_eq!(record.is_own, owner == Some(which));
            self.out[which].insert(id, Out { handle: record.id, owner });
        }
    }

    /// Those that are out at a spool and in the mask. They are not out any more.
    fn pick(&mut self, which: usize, mask: u64) -> BTreeMap<u32, Out> {
        let (picked, left) = mem::take(&mut self.out[which]).into_iter().partition(|(id, _)| mask & (1 << id) != 0);
        self.out[which] = left;
        picked
    }

    /// A spool has died: what it had out waits again, and what it stored belongs to no spool.
    fn crash(&mut self, which: usize) {
        let out = mem::take(&mut self.out[which]);
        self.waiting.extend(out.into_iter().map(|(id, out)| (id, out.owner)));
        let out = self.out.iter_mut().flat_map(BTreeMap::values_mut).map(|out| &mut out.owner);
        out.chain(self.waiting.values_mut()).filter(|owner| **owner == Some(which)).for_each(|owner| *owner = None);
    }
}

/// The file that a spool was writing when it died, with half a record at its end.
fn tear(file: &Path, len: usize) {
    let head = record::Head::new(load(60), [b"torn", &[0; 20]], 0).unwrap().encode();
    let bytes = [&head[..], b"torn", &[0; 20]].concat();
    fs::OpenOptions::new().append(true).open(file).unwrap().write_all(&bytes[..len.min(bytes.len() - 1)]).unwrap();
}

/// Stores records of these lengths, as far as there are bits for them.
fn store_each(spool: &mut Spool, lens: &[usize], first: u32, now: Now) -> Stored {
    let bodies: Vec<_> = lens.iter().zip(first..RECORDS).map(|(len, id)| (id, body(id, *len))).collect();
    let records: Vec<_> =
        bodies.iter().map(|(id, body)| Record { counts: load(*id), parts: [&body[..1], &body[1..]] }).collect();
    let stored = spool.store(&records, now);
    assert_eq!(stored.error.is_none(), stored.kept == records.len());
    assert!(matches!(stored.error, None | Some(SpoolError::NoRoom)), "{:?}", stored.error);
    stored
}

fn run(steps: Vec<(usize, Step)>) {
    let dir = temp();
    let mut model = Model::default();
    let mut spools = [0; SPOOLS].map(|_| open(dir.path(), model.now()));
    for (which, step) in steps {
        model.seconds += 2;
        let now = model.now();
        let spool = &mut spools[which];
        match step {
            Step::Store(lens) => {
                let stored = store_each(spool, &lens, model.stored, now);
                let first = model.stored;
                model.stored = RECORDS.min(first + lens.len() as u32);
                model.waiting.extend((first..).take(stored.kept).map(|id| (id, Some(which))));
                model.lose(stored.lost, which);
                let sizes = files(dir.path()).into_iter().map(|file| fs::metadata(file).unwrap().len());
                assert!(sizes.sum::<u64>() <= LIMIT + SPOOLS as u64 * LIMIT / 16 + 200);
            }
            Step::Take(count) => {
                let Taken { records, lost, .. } = spool.take(count, usize::MAX, now);
                assert!(records.len() <= count);
                model.lose(lost, which);
                model.hand_out(&records, which);
            }
            Step::Remove(mask) => {
                let picked = model.pick(which, mask);
                spool.remove(&picked.values().map(|out| out.handle).collect::<Vec<_>>());
            }
            Step::PutBack(mask) => {
                let picked = model.pick(which, mask);
                spool.put_back(&picked.values().map(|out| out.handle).collect::<Vec<_>>());
                model.waiting.extend(picked.into_iter().map(|(id, out)| (id, out.owner)));
            }
            Step::Crash(torn) => {
                let writing = spool.writer.as_ref().map(|writer| spool.folder.file(&writer.name));
                *spool = open(dir.path(), now);
                writing.iter().for_each(|file| tear(file, torn));
                model.crash(which);
            }
            Step::Wait(seconds) => model.seconds += seconds,
            Step::Jump(hours) => model.hours += hours,
        }
    }
    finish(dir.path(), spools, model);
}

/// Everything that was not removed and not lost is handed out in the end.
fn finish(dir: &Path, spools: [Spool; SPOOLS], mut model: Model) {
    for which in 0..SPOOLS {
        model.crash(which);
    }
    drop(spools);
    model.seconds += 2;
    // With a clock that is right, so that nothing is older than it is.
    model.hours = 0;
    let mut spool = open(dir, model.now());
    let (rest, lost) = drain(&mut spool, model.now());
    model.lose(lost, 0);
    rest.into_iter().for_each(|id| assert!(model.waiting.remove(&id).is_some(), "handed out twice"));
    assert!(model.waiting.is_empty(), "{:?} never came", model.waiting);
    assert!(files(dir).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn every_record_is_handed_out_once_or_counted_as_lost(steps in vec(step(), 1..80)) {
        run(steps);
    }

    #[test]
    fn what_a_spool_stored_is_counted_exactly_whatever_the_disk_makes_of_it(
        lens in vec(3..200_usize, 1..40), flips in vec((any::<prop::sample::Index>(), 0..8_u8), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let dir = temp();
        let mut spool = Spool::open(SpoolOptions { max_bytes: 1 << 20, ..options(dir.path()) }, at(0));
        spool.folder.disk = FileSystem { sync: |_| Ok(()), sync_directory: |_| Ok(()), ..FileSystem::default() };
        let ids = 0..lens.len() as u32;
        ids.clone().zip(&lens).for_each(|(id, len)| assert_eq!(keep(&mut spool, id, *len, at(0)), NOTHING));
        let file = only_file(dir.path());
        let mut bytes = fs::read(&file).unwrap();
        for (index, bit) in flips {
            let index = index.index(bytes.len() - record::HEADER.len()) + record::HEADER.len();
            bytes[index] ^= 1_u8 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() - record::HEADER.len()) + record::HEADER.len());
        }
        fs::write(&file, bytes).unwrap();
        let (all, lost) = drain(&mut spool, at(0));
        prop_assert_eq!(lost, own(ids.filter(|id| !all.contains(id))));
        prop_assert!(files(dir.path()).is_empty());
    }
}
