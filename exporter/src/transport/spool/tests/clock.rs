//! Ages are right although the wall clock jumps.

use super::*;

/// A moment on the monotonic clock, with a wall clock that is wrong.
fn jumped(seconds: u64, wall: SystemTime) -> Now {
    Now { wall, ..at(seconds) }
}

fn aged(dir: &Path, seconds: u64, now: Now) -> Spool {
    Spool::open(SpoolOptions { max_age: Duration::from_secs(seconds), ..options(dir) }, now)
}

#[test]
fn what_is_too_old_is_lost_when_it_is_taken_and_not_before() {
    let dir = temp();
    let mut spool = aged(dir.path(), 160, at(0));
    (0..3).for_each(|id| assert_eq!(keep(&mut spool, id, 10, at(u64::from(id) * 3)), NOTHING));
    assert_eq!(files(dir.path()).len(), 1);
    let taken = spool.take(1, usize::MAX, at(160)).records;
    assert_eq!(ids(&taken), [0]);
    spool.put_back(&handles(&taken));
    assert_eq!(drain(&mut spool, at(164)), (vec![2], own([0, 1])));
    assert!(files(dir.path()).is_empty());
}

#[test]
fn a_segment_is_closed_when_it_spans_a_sixteenth_of_the_age() {
    let dir = temp();
    let mut spool = aged(dir.path(), 160, at(0));
    for second in [0, 10, 11, 21, 22] {
        let _ = keep(&mut spool, second as u32, 10, at(second));
    }
    assert_eq!(files(dir.path()).len(), 3);
}

#[test]
fn storing_removes_what_is_too_old() {
    let dir = temp();
    let mut spool = aged(dir.path(), 160, at(0));
    let _ = store(&mut spool, 0..3, 10, at(0));
    let _ = keep(&mut spool, 3, 10, at(11));
    assert_eq!(keep(&mut spool, 4, 10, at(170)), NOTHING);
    assert_eq!(keep(&mut spool, 5, 10, at(181)), own(0..3));
    assert_eq!(drain(&mut spool, at(181)), (vec![4, 5], own([3])));
}

#[test]
fn the_wall_clock_counts_from_process_to_process() {
    let dir = temp();
    let _ = keep(&mut aged(dir.path(), 160, at(0)), 0, 10, at(0));
    // Each process has a monotonic clock of its own.
    let later = |seconds| jumped(0, wall() + Duration::from_secs(seconds));
    let mut spool = aged(dir.path(), 160, later(160));
    let taken = spool.take(1, usize::MAX, later(160)).records;
    assert_eq!(ids(&taken), [0]);
    drop(spool);
    let mut spool = aged(dir.path(), 160, later(161));
    assert_eq!(drain(&mut spool, later(161)), (vec![], foreign([0])));
}

#[test]
fn a_clock_that_jumps_expires_nothing_of_a_running_process() {
    for wall in [wall() + 100 * DAY, wall() - 100 * DAY, UNIX_EPOCH, UNIX_EPOCH - DAY] {
        let dir = temp();
        let _ = keep(&mut open(dir.path()), 0, 10, at(0));
        let mut spool = Spool::open(SpoolOptions { max_bytes: 64_000, ..options(dir.path()) }, at(0));
        let _ = keep(&mut spool, 1, 10, at(1));
        let mut other = open(dir.path());
        let _ = keep(&mut other, 2, 10, at(2));
        drop(other);
        let now = jumped(3, wall);
        // Into the open segment, into a new one, and by another process that started later.
        let _ = keep(&mut spool, 3, 10, now);
        let _ = keep(&mut spool, 4, 5000, now);
        let mut other = open(dir.path());
        let _ = keep(&mut other, 5, 10, now);
        drop(other);
        let (mut all, lost) = drain(&mut spool, jumped(10, wall));
        all.sort_unstable();
        assert_eq!((all, lost), ((0..6).collect(), NOTHING), "{wall:?}");
    }
}

#[test]
fn a_clock_that_jumps_keeps_nothing_for_ever() {
    for wall in [wall() + 100 * DAY, UNIX_EPOCH] {
        let dir = temp();
        let mut spool = aged(dir.path(), 160, at(0));
        let _ = keep(&mut spool, 0, 10, jumped(1, wall));
        assert_eq!(drain(&mut spool, jumped(162, wall)), (vec![], own([0])));
    }
}

#[test]
fn a_name_in_the_far_future_ages_from_the_moment_it_is_seen() {
    let dir = temp();
    let future = jumped(0, wall() + 1000 * DAY);
    let _ = keep(&mut aged(dir.path(), 160, future), 0, 10, future);
    let mut spool = aged(dir.path(), 160, at(0));
    let taken = spool.take(1, usize::MAX, at(160)).records;
    assert_eq!(ids(&taken), [0]);
    spool.put_back(&handles(&taken));
    assert_eq!(drain(&mut spool, at(161)), (vec![], foreign([0])));
}

#[test]
fn what_another_process_stores_later_is_not_older_than_the_listing_before() {
    let dir = temp();
    let mut spool = open(dir.path());
    let mut other = open(dir.path());
    // The wall clock was ten days slow for the other process, and is right again.
    let _ = keep(&mut other, 0, 10, jumped(5, wall() - 10 * DAY));
    drop(other);
    assert_eq!(drain(&mut spool, at(10)), (vec![0], NOTHING));
}

#[test]
fn the_order_is_that_of_the_names() {
    let dir = temp();
    for (id, second) in [(0, 50), (1, 30), (2, 40)] {
        let _ = keep(&mut open(dir.path()), id, 10, at(second));
    }
    assert_eq!(drain(&mut open(dir.path()), at(60)), (vec![1, 2, 0], NOTHING));
}
