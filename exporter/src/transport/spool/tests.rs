mod clock;
mod crash;
mod damage;
mod laws;
mod sharing;
mod speed;
mod trouble;

use std::{
    fs,
    path::Path,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;
use web_time::Instant;

use super::{trouble::Trouble, *};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

const DAY: Duration = Duration::from_secs(86_400);

/// A number of seconds after the start, on both clocks.
fn at(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now { instant: *START + since, wall: wall() + since }
}

fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn options(dir: &Path) -> SpoolOptions {
    SpoolOptions::new(dir.into())
}

fn open(dir: &Path) -> Spool {
    Spool::open(options(dir), at(0))
}

/// Counts that differ from all others, also in a sum.
fn load(id: u32) -> Counts {
    Counts { transactions: 1, spans: 1 << id, ..Counts::NOTHING }
}

fn sum(ids: impl IntoIterator<Item = u32>) -> Counts {
    ids.into_iter().map(load).fold(Counts::default(), |mut sum, counts| {
        sum += counts;
        sum
    })
}

fn own(ids: impl IntoIterator<Item = u32>) -> Lost {
    Lost { own: sum(ids), ..Lost::default() }
}

fn foreign(ids: impl IntoIterator<Item = u32>) -> Lost {
    Lost { foreign: sum(ids), ..Lost::default() }
}

const NOTHING: Lost = Lost { own: Counts::NOTHING, foreign: Counts::NOTHING };

/// A body that names its record, with this many bytes.
fn body(id: u32, len: usize) -> Vec<u8> {
    let mut bytes = format!("{id}\n").into_bytes();
    bytes.resize(len.max(bytes.len()), id as u8);
    bytes
}

fn id(body: &[u8]) -> u32 {
    std::str::from_utf8(body.split(|byte| *byte == b'\n').next().unwrap()).unwrap().parse().unwrap()
}

/// Stores records in one call.
fn store(spool: &mut Spool, ids: impl IntoIterator<Item = u32>, len: usize, now: Now) -> Stored {
    let bodies: Vec<_> = ids.into_iter().map(|id| (id, body(id, len))).collect();
    let records: Vec<_> =
        bodies.iter().map(|(id, body)| Record { counts: load(*id), parts: [&body[..1], &body[1..]] }).collect();
    spool.store(&records, now)
}

/// Stores one record, which must succeed.
fn keep(spool: &mut Spool, id: u32, len: usize, now: Now) -> Lost {
    let Stored { kept, error, lost } = store(spool, [id], len, now);
    assert!(kept == 1 && error.is_none(), "{error:?}");
    lost
}

/// Checks a record that was handed out.
fn check(record: &Spooled) -> u32 {
    let whole = [&record.headers[..], &record.items[..]].concat();
    let id = id(&whole);
    assert_eq!((whole, record.counts), (body(id, record.headers.len() + record.items.len()), load(id)));
    assert_eq!(record.headers.len(), 1, "split where it was stored");
    id
}

fn ids(records: &[Spooled]) -> Vec<u32> {
    records.iter().map(check).collect()
}

fn handles(records: &[Spooled]) -> Vec<RecordId> {
    records.iter().map(|record| record.id).collect()
}

/// Takes and removes everything that is left.
fn drain(spool: &mut Spool, now: Now) -> (Vec<u32>, Lost) {
    let (mut all, mut total) = (Vec::new(), Lost::default());
    loop {
        let Taken { records, lost, is_empty } = spool.take(7, usize::MAX, now);
        total += lost;
        all.extend(ids(&records));
        spool.remove(&handles(&records));
        if is_empty {
            return (all, total);
        }
    }
}

/// The files in a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn only_file(dir: &Path) -> PathBuf {
    let [file] = &files(dir)[..] else { panic!("one file") };
    file.clone()
}

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_oldest_comes_first_and_an_empty_directory_is_left() {
    let dir = temp();
    let mut spool = open(dir.path());
    for second in 0..5 {
        assert_eq!(store(&mut spool, [2 * second, 2 * second + 1], 100, at(second.into())).kept, 2);
    }
    assert_eq!(files(dir.path()).len(), 1, "one segment");
    assert_eq!(drain(&mut spool, at(9)), ((0..10).collect(), NOTHING));
    assert!(files(dir.path()).is_empty());
    assert_eq!(spool.bytes(), 0);
}

#[test]
fn a_new_spool_hands_out_what_the_last_one_left_and_marks_it_as_foreign() {
    let dir = temp();
    let mut first = open(dir.path());
    let _ = store(&mut first, [0, 1], 10, at(0));
    let taken = first.take(1, usize::MAX, at(0)).records;
    assert!(taken[0].is_own);
    assert_eq!(first.close(), NOTHING);
    assert!(matches!(store(&mut first, [2], 10, at(0)).error, Some(SpoolError::Closed)));
    assert!(first.take(1, usize::MAX, at(0)).is_empty);
    first.remove(&handles(&taken));

    let taken = open(dir.path()).take(9, usize::MAX, at(0)).records;
    assert_eq!(ids(&taken), [0, 1]);
    assert!(taken.iter().all(|record| !record.is_own));
}

#[test]
fn an_empty_envelope_is_kept_too() {
    let dir = temp();
    let mut spool = open(dir.path());
    let _ = spool.store(&[Record { counts: load(1), parts: [b"", b""] }], at(0));
    let taken = spool.take(9, usize::MAX, at(0));
    assert!(taken.is_empty && taken.records.len() == 1 && taken.records[0].items.is_empty());
}

#[test]
fn only_what_is_put_back_is_handed_out_again() {
    let dir = temp();
    let mut spool = open(dir.path());
    let _ = store(&mut spool, 0..4, 10, at(0));
    let out = spool.take(2, usize::MAX, at(0)).records;
    assert_eq!(ids(&out), [0, 1]);
    let rest = spool.take(9, usize::MAX, at(0));
    assert_eq!(ids(&rest.records), [2, 3]);
    assert!(rest.is_empty);
    spool.put_back(&handles(&out)[1..]);
    spool.put_back(&handles(&rest.records)[..1]);
    let again = spool.take(9, usize::MAX, at(0)).records;
    assert_eq!(ids(&again), [1, 2]);
    spool.remove(&handles(&again));
    spool.remove(&handles(&rest.records)[1..]);
    // After the last one is put back, the segment is read again without those that are done.
    spool.put_back(&handles(&out)[..1]);
    assert_eq!(drain(&mut spool, at(0)), (vec![0], NOTHING));
}

#[test]
fn a_record_may_be_given_back_twice() {
    let dir = temp();
    let mut spool = open(dir.path());
    let _ = store(&mut spool, 0..3, 10, at(0));
    let out = handles(&spool.take(2, usize::MAX, at(0)).records);
    spool.remove(&out[..1]);
    spool.put_back(&out);
    spool.put_back(&out);
    spool.remove(&out);
    assert_eq!(drain(&mut spool, at(0)), (vec![1, 2], NOTHING));
}

#[test]
fn no_more_is_taken_than_asked_for() {
    let dir = temp();
    let mut spool = open(dir.path());
    let _ = store(&mut spool, 0..6, 100, at(0));
    assert!(spool.take(0, usize::MAX, at(0)).records.is_empty());
    assert!(spool.take(9, 0, at(0)).records.is_empty());
    assert_eq!(ids(&spool.take(9, 1, at(0)).records), [0]);
    assert_eq!(ids(&spool.take(9, 101, at(0)).records), [1, 2]);
    let taken = spool.take(9, 300, at(0));
    assert_eq!(ids(&taken.records), [3, 4, 5]);
    assert!(!taken.is_empty && spool.take(9, 1, at(0)).is_empty);
}

#[test]
fn records_of_every_size_come_back() {
    let dir = temp();
    // Segments of 128 KB.
    let mut spool = Spool::open(SpoolOptions { max_bytes: 2 << 20, ..options(dir.path()) }, at(0));
    let sizes = [1, 64 * 1024, 64 * 1024 + 1, 100, 140_000, 100, 256 * 1024 - 1, 300_000];
    let bodies: Vec<_> = (0..).zip(sizes).map(|(id, len)| (id, body(id, len))).collect();
    let records: Vec<_> =
        bodies.iter().map(|(id, body)| Record { counts: load(*id), parts: [&body[..1], &body[1..]] }).collect();
    assert_eq!(spool.store(&records, at(0)).kept, sizes.len());
    let total: usize = sizes.iter().sum();
    assert!(spool.bytes() >= total as u64);
    assert_eq!(drain(&mut spool, at(0)), ((0..8).collect(), NOTHING));
}

#[test]
fn the_oldest_make_room() {
    let dir = temp();
    let mut spool = Spool::open(SpoolOptions { max_bytes: 16_000, ..options(dir.path()) }, at(0));
    // A segment for each, as it is closed at a thousand bytes.
    let room = |bytes| bytes - record::HEADER.len() - record::HEAD;
    (0..16).for_each(|id| assert_eq!(keep(&mut spool, id, room(1000), at(id.into())), NOTHING));
    assert_eq!(keep(&mut spool, 16, room(1000), at(16)), own([0]));
    assert_eq!(keep(&mut spool, 17, room(2000), at(17)), own([1, 2]));
    assert_eq!(spool.bytes(), 16_000);
    let other = SpoolOptions { max_bytes: 8_000, ..options(dir.path()) };
    let mut other = Spool::open(other, at(18));
    // The newest is still open, so its writer has it locked.
    assert_eq!(keep(&mut other, 18, room(4000), at(18)), foreign(3..15));
    assert_eq!(drain(&mut other, at(19)), (vec![15, 16, 18], NOTHING));
    assert_eq!(drain(&mut spool, at(19)), (vec![17], NOTHING));
}

#[test]
fn what_is_done_is_not_lost_when_its_segment_makes_room() {
    let dir = temp();
    let mut spool = Spool::open(SpoolOptions { max_bytes: 16_000, ..options(dir.path()) }, at(0));
    let _ = store(&mut spool, 0..3, 200, at(0));
    let out = spool.take(3, usize::MAX, at(0)).records;
    spool.remove(&handles(&out)[..1]);
    spool.put_back(&handles(&out)[1..2]);
    let result = store(&mut spool, [4], 15_500, at(1));
    assert!(matches!(result, Stored { kept: 0, error: Some(SpoolError::NoRoom), lost: NOTHING }));
    spool.put_back(&handles(&out)[2..]);
    assert_eq!(keep(&mut spool, 4, 15_500, at(1)), own([1, 2]));
    assert_eq!(drain(&mut spool, at(1)), (vec![4], NOTHING));
}

#[test]
fn a_record_that_is_larger_than_the_limit_stops_only_itself() {
    let dir = temp();
    let mut spool = Spool::open(SpoolOptions { max_bytes: 1000, ..options(dir.path()) }, at(0));
    let bodies = [body(0, 20), body(1, 2000), body(2, 20)];
    let records: Vec<_> =
        (0..).zip(&bodies).map(|(id, body)| Record { counts: load(id), parts: [&body[..1], &body[1..]] }).collect();
    let stored = spool.store(&records, at(0));
    assert!(matches!(stored, Stored { kept: 1, error: Some(SpoolError::TooLarge), lost: NOTHING }));
    assert_eq!(spool.store(&records[2..], at(0)).kept, 1);
    assert_eq!(drain(&mut spool, at(0)), (vec![0, 2], NOTHING));
}

#[test]
fn many_tiny_segments_count_as_blocks_and_are_not_all_opened_at_once() {
    let dir = temp();
    for second in 0..40 {
        let _ = keep(&mut Spool::open(options(dir.path()), at(second)), second as u32, 10, at(second));
    }
    let mut spool = Spool::open(options(dir.path()), at(50));
    assert_eq!(spool.bytes(), 40 * 4096);
    assert_eq!(drain(&mut spool, at(50)), ((0..40).collect(), NOTHING));
    for second in 0..100 {
        let _ = keep(&mut Spool::open(options(dir.path()), at(second)), 0, 10, at(second));
    }
    let mut spool = Spool::open(options(dir.path()), at(100));
    let taken = spool.take(1000, usize::MAX, at(100));
    assert!(taken.is_empty && taken.records.len() == 64);
    spool.remove(&handles(&taken.records));
    assert_eq!(spool.take(1000, usize::MAX, at(100)).records.len(), 36);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = temp();
    let path = dir.path().join("a/b");
    let mut spool = open(&path);
    let _ = keep(&mut spool, 1, 10, at(0));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&only_file(&path))), (0o700, 0o600));
}
