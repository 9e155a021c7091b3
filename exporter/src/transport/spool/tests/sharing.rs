//! Several spools in one directory.

use super::*;

#[test]
fn two_spools_never_have_the_same_record() {
    let dir = temp();
    let (mut first, mut second) = (open(dir.path()), open(dir.path()));
    let _ = store(&mut first, 0..2, 10, at(0));
    // The first one has its segment open.
    assert_eq!(drain(&mut second, at(1)), (vec![], NOTHING));
    let out = first.take(1, usize::MAX, at(1)).records;
    assert_eq!(drain(&mut second, at(2)), (vec![], NOTHING));
    first.put_back(&handles(&out));
    // Noticed a second later.
    assert_eq!(drain(&mut second, at(2)), (vec![], NOTHING));
    assert_eq!(drain(&mut second, at(3)), (vec![0, 1], NOTHING));
    // What the first one still has in its index is neither handed out twice nor lost.
    assert_eq!(drain(&mut first, at(3)), (vec![], NOTHING));
}

#[test]
fn each_takes_what_the_other_has_not_locked() {
    let dir = temp();
    for id in 0..4 {
        let _ = keep(&mut open(dir.path()), id, 10, at(id.into()));
    }
    let (mut first, mut second) = (open(dir.path()), open(dir.path()));
    let ours = first.take(1, usize::MAX, at(9)).records;
    let theirs = second.take(1, usize::MAX, at(9)).records;
    assert_eq!((ids(&ours), ids(&theirs)), (vec![0], vec![1]));
    drop(second);
    assert_eq!(drain(&mut first, at(10)).0, [1, 2, 3]);
}

#[test]
fn the_limit_holds_although_several_processes_store() {
    let dir = temp();
    let limit = 64_000;
    let mut spools = [0; 3].map(|_| Spool::open(SpoolOptions { max_bytes: limit, ..options(dir.path()) }, at(0)));
    for second in 0..500_u64 {
        let spool = &mut spools[second as usize % 7 % 3];
        let _ = keep(spool, 0, 700, at(second));
        let sizes = files(dir.path()).into_iter().map(|file| fs::metadata(file).unwrap().len());
        // Each may add a segment before it looks again.
        assert!(sizes.sum::<u64>() <= limit + 3 * limit / 16);
    }
}

#[test]
fn a_segment_that_is_full_can_be_sent_by_another_process() {
    let dir = temp();
    let mut first = Spool::open(SpoolOptions { max_bytes: 16_000, ..options(dir.path()) }, at(0));
    let _ = store(&mut first, 0..5, 400, at(0));
    assert_eq!(drain(&mut open(dir.path()), at(1)), ((0..4).collect(), NOTHING));
    assert_eq!(drain(&mut first, at(2)), (vec![4], NOTHING));
}

#[test]
fn an_empty_file_of_a_dead_process_is_removed() {
    let dir = temp();
    let _ = keep(&mut open(dir.path()), 0, 10, at(0));
    let file = only_file(dir.path());
    for len in [0, 7, 16] {
        let name = Name { time: 0, writer: len, number: 0 };
        fs::write(dir.path().join(name.to_string()), &fs::read(&file).unwrap()[..len as usize]).unwrap();
    }
    let mut spool = open(dir.path());
    assert_eq!(drain(&mut spool, at(1)), (vec![0], NOTHING));
    assert!(files(dir.path()).is_empty() && spool.troubles.reported.is_empty());
}
