mod crash;
mod laws;
mod trouble;

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use tempfile::TempDir;

use super::*;

pub(super) const PLENTY: Limits =
    Limits { files: 1_000_000, bytes: 1 << 40, age: Duration::from_secs(30 * 24 * 60 * 60) };

/// So many seconds after some time.
pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// A counts that can be told from all others, also in a sum.
pub(super) fn load(id: u32) -> Counts {
    Counts { transactions: 1, spans: 1 << id, errors: 0 }
}

pub(super) fn sum(ids: impl IntoIterator<Item = u32>) -> Counts {
    ids.into_iter().map(load).fold(Counts::default(), |mut sum, counts| {
        sum += counts;
        sum
    })
}

pub(super) fn keep(spool: &mut Spool, id: u32, bytes: &[u8], now: SystemTime) -> Counts {
    let (kept, lost) = spool.store(load(id), &[bytes], now);
    kept.unwrap();
    lost
}

/// Stores envelopes of one byte, the id, one a second.
fn fill(spool: &mut Spool, ids: std::ops::Range<u32>) {
    for id in ids {
        keep(spool, id, &[id as u8], at(u64::from(id)));
    }
}

/// Takes out everything that is left.
pub(super) fn drain(spool: &mut Spool, now: SystemTime) -> (Vec<Vec<u8>>, Counts) {
    let (mut all, mut total) = (Vec::new(), Counts::default());
    loop {
        let (spooled, lost) = spool.next(now);
        total += lost;
        let Some(spooled) = spooled else { return (all, total) };
        all.push(spooled.bytes.clone());
        spool.remove(spooled);
    }
}

/// The names in a directory, without the lock's.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name != "lock").collect();
    names.sort();
    names
}

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_oldest_comes_first() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    for (id, second) in [(1, 5), (2, 3), (3, 9), (4, 3)] {
        keep(&mut spool, id, &[id as u8], at(second));
    }
    assert_eq!(drain(&mut spool, at(9)), (vec![vec![2], vec![4], vec![1], vec![3]], Counts::default()));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_file_is_the_envelope_and_nothing_else() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    spool.store(load(1), &[b"{}\n", b"", b"{\"type\":"], at(0)).0.unwrap();
    let [name] = &names(dir.path())[..] else { panic!("one file") };
    assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"{}\n{\"type\":");
    let spooled = spool.next(at(0)).0.unwrap();
    assert_eq!((spooled.counts, &spooled.bytes[..]), (load(1), &b"{}\n{\"type\":"[..]));
}

#[test]
fn an_empty_envelope_is_kept_too() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    spool.store(load(1), &[], at(0)).0.unwrap();
    assert_eq!(drain(&mut spool, at(0)), (vec![vec![]], Counts::default()));
}

#[test]
fn what_is_put_back_comes_first_again_and_what_is_claimed_does_not_come() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    fill(&mut spool, 0..3);
    let first = spool.next(at(9)).0.unwrap();
    let second = spool.next(at(9)).0.unwrap();
    assert_eq!((&first.bytes[..], &second.bytes[..]), (&[0][..], &[1][..]));
    spool.put_back(first);
    assert_eq!(drain(&mut spool, at(9)).0, [vec![0], vec![2]]);
    spool.put_back(second);
    assert_eq!(drain(&mut spool, at(9)).0, [vec![1]]);
}

#[test]
fn the_oldest_make_room_by_number() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), Limits { files: 3, ..PLENTY });
    let lost: Vec<_> = (0..5).map(|id| keep(&mut spool, id, &[id as u8], at(u64::from(id)))).collect();
    assert_eq!(lost, [sum([]), sum([]), sum([]), sum([0]), sum([1])]);
    assert_eq!(drain(&mut spool, at(9)).0, [vec![2], vec![3], vec![4]]);
}

#[test]
fn the_oldest_make_room_by_bytes() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), Limits { bytes: 100, ..PLENTY });
    (0..4).for_each(|id| assert_eq!(keep(&mut spool, id, &[0; 25], at(0)), sum([])));
    assert_eq!(keep(&mut spool, 4, &[1; 26], at(1)), sum([0, 1]));
    assert_eq!(keep(&mut spool, 5, &[2; 100], at(2)), sum([2, 3, 4]));
    assert!(matches!(spool.store(load(6), &[&[3; 101]], at(3)), (Err(SpoolError::TooLarge), Counts { spans: 0, .. })));
    assert_eq!(drain(&mut spool, at(9)).0, [vec![2; 100]]);
}

#[test]
fn the_old_expire_by_storing_and_by_replaying() {
    let dir = temp();
    let limits = Limits { age: Duration::from_secs(10), ..PLENTY };
    let mut spool = Spool::open(dir.path().into(), limits);
    fill(&mut spool, 0..4);
    assert_eq!(keep(&mut spool, 4, &[4], at(10)), sum([]));
    assert_eq!(keep(&mut spool, 5, &[5], at(11)), sum([0]));
    assert_eq!(drain(&mut spool, at(13)), (vec![vec![3], vec![4], vec![5]], sum([1, 2])));
}

#[test]
fn a_claim_that_was_left_expires_too() {
    let dir = temp();
    let limits = Limits { age: Duration::from_secs(10), ..PLENTY };
    let mut spool = Spool::open(dir.path().into(), limits);
    keep(&mut spool, 1, b"1", at(0));
    let _ = spool.next(at(0)).0.unwrap();
    drop(spool);
    let mut spool = Spool::open(dir.path().into(), limits);
    assert_eq!(keep(&mut spool, 2, b"2", at(11)), sum([]));
    assert_eq!(drain(&mut spool, at(11)), (vec![b"2".to_vec()], sum([1])));
}

#[test]
fn a_clock_that_is_set_back_loses_nothing() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), Limits { age: Duration::from_secs(10), ..PLENTY });
    keep(&mut spool, 1, b"1", at(1000));
    keep(&mut spool, 2, b"2", at(0));
    assert_eq!(drain(&mut spool, at(1)), (vec![b"2".to_vec(), b"1".to_vec()], Counts::default()));
}

#[test]
fn what_is_being_sent_makes_no_room() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), Limits { files: 2, ..PLENTY });
    keep(&mut spool, 0, b"0", at(0));
    keep(&mut spool, 1, b"1", at(1));
    let sending = spool.next(at(1)).0.unwrap();
    assert_eq!(keep(&mut spool, 2, b"2", at(2)), sum([1]));
    let another = spool.next(at(2)).0.unwrap();
    assert!(matches!(spool.store(load(3), &[b"3"], at(3)).0, Err(SpoolError::NoRoom)));
    spool.remove(sending);
    assert_eq!(keep(&mut spool, 4, b"4", at(4)), sum([]));
    spool.put_back(another);
    assert_eq!(drain(&mut spool, at(9)).0, [b"2", b"4"]);
}

#[test]
fn only_one_process_replays() {
    let dir = temp();
    let open = || Spool::open(dir.path().into(), PLENTY);
    let (mut first, mut second) = (open(), open());
    fill(&mut first, 0..4);
    let claimed = first.next(at(9)).0.unwrap();
    assert!(second.next(at(9)).0.is_none());
    keep(&mut second, 4, &[4], at(4));
    first.remove(claimed);
    let left = first.next(at(9)).0.unwrap();
    assert!(second.next(at(9)).0.is_none());
    drop(first);
    assert_eq!(left.bytes, [1]);
    assert_eq!(drain(&mut second, at(9)).0, [vec![1], vec![2], vec![3], vec![4]]);
}

#[test]
fn who_has_nothing_left_lets_the_other_replay() {
    let dir = temp();
    let open = || Spool::open(dir.path().into(), PLENTY);
    let (mut first, mut second) = (open(), open());
    keep(&mut first, 0, &[0], at(0));
    assert_eq!(drain(&mut first, at(9)).0, [vec![0]]);
    keep(&mut first, 1, &[1], at(1));
    assert_eq!(drain(&mut second, at(9)).0, [vec![1]]);
    // What the first one still believes to be there does not come twice.
    assert_eq!(drain(&mut first, at(9)), (vec![], Counts::default()));
}

#[test]
fn nothing_is_counted_twice_that_another_process_took() {
    let dir = temp();
    let limits = Limits { files: 40, ..PLENTY };
    let (mut first, mut second) = (Spool::open(dir.path().into(), limits), Spool::open(dir.path().into(), limits));
    fill(&mut first, 0..40);
    assert_eq!(drain(&mut second, at(50)).0.len(), 40);
    assert_eq!(keep(&mut first, 40, &[40], at(50)), sum([]));
}

#[test]
fn the_bounds_hold_although_two_processes_store() {
    let dir = temp();
    for files in [3, 64] {
        let limits = Limits { files, bytes: 100 * files as u64, ..PLENTY };
        let mut spools = [Spool::open(dir.path().into(), limits), Spool::open(dir.path().into(), limits)];
        for second in 0..200 {
            let spool = &mut spools[usize::from(second % 3 == 0)];
            spool.store(load(0), &[&[0; 90]], at(second)).0.unwrap();
            assert!(names(dir.path()).len() <= files + files / 16);
        }
    }
}

#[cfg(unix)]
#[test]
fn only_we_ourselves_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = temp();
    let path = dir.path().join("a/b");
    let mut spool = Spool::open(path.clone(), PLENTY);
    keep(&mut spool, 1, b"1", at(0));
    keep(&mut spool, 2, b"2", at(0));
    let claimed = spool.next(at(0)).0.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(names(&path).len(), 2);
    names(&path).iter().for_each(|name| assert_eq!(mode(&path.join(name)), 0o600));
    assert_eq!(mode(&path.join("lock")), 0o600);
    spool.remove(claimed);
}
