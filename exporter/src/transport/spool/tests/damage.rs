//! Torn, flipped, and files that are not ours.

use std::fs::File;

use super::{file_system::FileSystem, *};

const LEN: usize = 20;
/// Of a record with its head.
const STEP: usize = record::HEAD + LEN;

/// A segment with the records 0 to 4, in a directory of its own.
fn segment() -> (TempDir, Spool, PathBuf, Vec<u8>) {
    let dir = temp();
    let mut spool = open(dir.path());
    spool.folder.disk = FileSystem { sync: |_| Ok(()), sync_directory: |_| Ok(()), ..FileSystem::default() };
    assert_eq!(store(&mut spool, 0..5, LEN, at(0)).kept, 5);
    let file = only_file(dir.path());
    let bytes = fs::read(&file).unwrap();
    assert_eq!(bytes.len(), record::HEADER.len() + 5 * STEP);
    (dir, spool, file, bytes)
}

#[test]
fn a_torn_tail_is_ignored_and_everything_before_it_is_read() {
    let (dir, spool, file, bytes) = segment();
    drop(spool);
    for len in 0..=bytes.len() {
        fs::write(&file, &bytes[..len]).unwrap();
        let mut spool = open(dir.path());
        let whole = len.saturating_sub(record::HEADER.len()) / STEP;
        assert_eq!(drain(&mut spool, at(0)), ((0..whole as u32).collect(), NOTHING), "{len}");
        assert!(files(dir.path()).is_empty());
        assert!(spool.troubles.reported.is_empty(), "a crash is no damage");
    }
}

#[test]
fn a_flipped_bit_costs_one_record_and_is_counted_by_the_spool_that_stored_it() {
    for bit in record::HEADER.len() * 8..(record::HEADER.len() + 5 * STEP) * 8 {
        let (dir, mut spool, file, mut bytes) = segment();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, bytes).unwrap();
        let (record, place) = ((bit / 8 - record::HEADER.len()) / STEP, (bit / 8 - record::HEADER.len()) % STEP);
        let hit = record as u32;
        let (all, lost) = drain(&mut spool, at(0));
        let expected: Vec<u32> = match place {
            // Its state: it is not done.
            0 => (0..5).collect(),
            // Its length: the way is lost.
            1..5 => (0..hit).collect(),
            _ => (0..5).filter(|id| *id != hit).collect(),
        };
        assert_eq!(lost, own((0..5).filter(|id| !expected.contains(id))), "{bit}");
        assert_eq!(all, expected, "{bit}");
        assert!(files(dir.path()).is_empty());
        assert_eq!(spool.troubles.reported.contains(&Trouble::Damaged), lost != NOTHING, "{bit}");
    }
}

#[test]
fn a_flipped_bit_in_what_another_process_stored_is_counted_where_the_head_is_whole() {
    for byte in record::HEADER.len()..record::HEADER.len() + 5 * STEP {
        let (dir, spool, file, mut bytes) = segment();
        drop(spool);
        bytes[byte] ^= 4;
        fs::write(&file, bytes).unwrap();
        let (record, place) = ((byte - record::HEADER.len()) / STEP, (byte - record::HEADER.len()) % STEP);
        let hit = record as u32;
        let (all, lost) = drain(&mut open(dir.path()), at(0));
        let expected: Vec<u32> = match place {
            0 => (0..5).collect(),
            1..5 => (0..hit).collect(),
            _ => (0..5).filter(|id| *id != hit).collect(),
        };
        assert_eq!(all, expected, "{byte}");
        assert_eq!(lost, if place >= record::HEAD { foreign([hit]) } else { NOTHING }, "{byte}");
        assert!(files(dir.path()).is_empty());
    }
}

#[test]
fn damage_is_counted_once_however_often_the_segment_is_read() {
    for byte in [record::HEAD + 2, 10, STEP + 10, STEP + 2, 3 * STEP + 1] {
        let (_dir, mut spool, file, mut bytes) = segment();
        bytes[record::HEADER.len() + byte] ^= 64;
        fs::write(&file, bytes).unwrap();
        let mut total = Lost::default();
        for _ in 0..3 {
            let Taken { records, lost, .. } = spool.take(9, usize::MAX, at(0));
            total += lost;
            spool.put_back(&handles(&records));
        }
        let (all, lost) = drain(&mut spool, at(0));
        total += lost;
        assert_eq!(total, own((0..5).filter(|id| !all.contains(id))), "{byte}");
        assert!(all.len() < 5);
    }
}

#[test]
fn what_is_damaged_is_counted_exactly_when_its_segment_is_too_old() {
    let (_dir, mut spool, file, mut bytes) = segment();
    let out = spool.take(1, usize::MAX, at(0)).records;
    // The way from the second record to the others is lost.
    bytes[record::HEADER.len() + STEP + 1] ^= 1;
    fs::write(&file, bytes).unwrap();
    spool.remove(&handles(&out));
    assert_eq!(keep(&mut spool, 9, LEN, at(4 * DAY.as_secs())), own(1..5));
}

#[test]
fn what_is_damaged_while_it_is_out_is_counted_too() {
    let (_dir, mut spool, file, mut bytes) = segment();
    let out = spool.take(9, usize::MAX, at(0)).records;
    bytes[record::HEADER.len() + STEP + record::HEAD] ^= 1;
    bytes[record::HEADER.len() + 2 * STEP + 9] ^= 1;
    fs::write(&file, bytes).unwrap();
    spool.put_back(&handles(&out));
    assert_eq!(drain(&mut spool, at(0)), (vec![0, 3, 4], own([1, 2])));
}

#[test]
fn files_of_other_programs_are_left_alone() {
    let dir = temp();
    let ours = |number| dir.path().join(Name { time: 0, writer: 0, number }.to_string());
    let outside = temp();
    let secret = outside.path().join("secret");
    fs::write(&secret, record::HEADER).unwrap();
    fs::write(dir.path().join("notes.txt"), b"mine").unwrap();
    fs::write(ours(1), b"otel-sentry\0\xff\0\0\0 of a later version").unwrap();
    fs::write(ours(2), b"x").unwrap();
    fs::create_dir(ours(3)).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&secret, ours(4)).unwrap();
    let before = files(dir.path());

    let mut spool = Spool::open(SpoolOptions { max_bytes: 1000, ..options(dir.path()) }, at(0));
    assert_eq!(keep(&mut spool, 1, 800, at(0)), NOTHING);
    assert_eq!(keep(&mut spool, 2, 800, at(0)), own([1]));
    for second in 0..5 {
        let expected = if second == 0 { vec![2] } else { vec![] };
        assert_eq!(drain(&mut spool, at(second)), (expected, NOTHING));
    }
    assert_eq!(files(dir.path()), before);
    assert_eq!(fs::read(&secret).unwrap(), record::HEADER);
    assert_eq!(spool.troubles.reported, [Trouble::Foreign]);
    assert_eq!(spool.bytes(), 0);
}

#[test]
fn a_large_file_with_a_plausible_name_is_not_read() {
    let dir = temp();
    // Sparse: it takes no room.
    let path = dir.path().join(Name { time: 0, writer: 0, number: 0 }.to_string());
    let file = File::create(&path).unwrap();
    file.set_len(10 << 30).unwrap();
    let mut spool = open(dir.path());
    // It is foreign, as it has no header.
    assert_eq!(keep(&mut spool, 1, 10, at(0)), NOTHING);
    assert_eq!(drain(&mut spool, at(0)), (vec![1], NOTHING));
    // With a header it is a segment whose first record is damaged.
    fs::write(&path, record::HEADER).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(10 << 30).unwrap();
    let mut spool = open(dir.path());
    assert_eq!(drain(&mut spool, at(0)), (vec![], NOTHING));
    assert!(files(dir.path()).is_empty());
}
