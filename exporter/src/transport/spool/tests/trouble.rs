//! A disk that is full or read-only, a directory that is removed, a file system without locks: each is logged once.

use std::{cell::Cell, fs::File, io};

use super::{file_lock::TryLockError, file_system::FileSystem, *};

thread_local! {
    /// How many bytes the disk still has room for.
    static ROOM: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Whether other calls fail.
    static IS_BROKEN: Cell<bool> = const { Cell::new(false) };
}

fn broken() -> io::Error {
    io::Error::other("broken")
}

fn ok_unless_broken() -> io::Result<()> {
    if IS_BROKEN.get() { Err(broken()) } else { Ok(()) }
}

fn write(file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
    let len = bytes.len().min(ROOM.get());
    if len == 0 {
        return Err(io::ErrorKind::StorageFull.into());
    }
    ROOM.set(ROOM.get() - len);
    (FileSystem::default().write)(file, offset, &bytes[..len])
}

fn open_on(dir: &Path, disk: FileSystem) -> Spool {
    ROOM.set(usize::MAX);
    IS_BROKEN.set(false);
    let mut spool = open(dir);
    (spool.folder.disk, spool.window.disk) = (disk, disk);
    spool
}

#[test]
fn a_full_disk_takes_what_fits_and_is_reported_once() {
    for room in 0..200 {
        let dir = temp();
        let mut spool = open_on(dir.path(), FileSystem { write, ..FileSystem::default() });
        let _ = keep(&mut spool, 0, 10, at(0));
        ROOM.set(room);
        let stored = store(&mut spool, 1..4, 10, at(0));
        assert_eq!(stored.kept, (room / (record::HEAD + 10)).min(3), "{room}");
        assert_eq!(stored.error.is_some(), stored.kept < 3);
        let kept = stored.kept as u32;
        if kept < 3 {
            for _ in 0..3 {
                ROOM.set(0);
                let stored = store(&mut spool, [9], 10, at(0));
                assert!(
                    matches!(stored.error, Some(SpoolError::Io(error)) if error.kind() == io::ErrorKind::StorageFull)
                );
            }
            assert_eq!(spool.troubles.reported, [Trouble::Write]);
        }
        assert_eq!(files(dir.path()).len(), 1);
        ROOM.set(usize::MAX);
        assert_eq!(keep(&mut spool, 10, 10, at(0)), NOTHING);
        // Another process reads the file from the disk and finds nothing else.
        drop(spool);
        let expected: Vec<_> = (0..=kept).chain([10]).collect();
        assert_eq!(drain(&mut open(dir.path()), at(0)), (expected, NOTHING));
    }
}

#[test]
fn a_full_disk_leaves_no_file_behind_that_has_nothing_in_it() {
    let dir = temp();
    let mut spool = open_on(dir.path(), FileSystem { write, ..FileSystem::default() });
    for room in [0, 10, 16, 60] {
        ROOM.set(room);
        assert_eq!(store(&mut spool, [0], 100, at(0)).kept, 0);
        assert!(files(dir.path()).is_empty());
        assert_eq!(spool.bytes(), 0);
    }
}

#[test]
fn what_cannot_be_made_durable_is_not_kept_and_never_handed_out() {
    let dir = temp();
    let sync = |file: &File| ok_unless_broken().and_then(|()| file.sync_data());
    let truncate = |file: &File, len| ok_unless_broken().and_then(|()| file.set_len(len));
    let good = FileSystem::default();
    for disk in [FileSystem { sync, ..good }, FileSystem { sync, truncate, ..good }] {
        let mut spool = open_on(dir.path(), disk);
        let _ = keep(&mut spool, 0, 10, at(0));
        IS_BROKEN.set(true);
        for _ in 0..3 {
            let stored = store(&mut spool, 1..4, 10, at(0));
            assert!(matches!(stored, Stored { kept: 0, error: Some(SpoolError::Io(_)), lost: NOTHING }));
        }
        IS_BROKEN.set(false);
        let _ = keep(&mut spool, 5, 10, at(0));
        let out = spool.take(1, usize::MAX, at(0)).records;
        spool.put_back(&handles(&out));
        assert_eq!(drain(&mut spool, at(0)), (vec![0, 5], NOTHING));
        assert_eq!(spool.troubles.reported, [Trouble::Write]);
        assert!(files(dir.path()).is_empty());
    }
}

#[test]
fn a_record_whose_file_name_cannot_be_made_durable_is_not_kept() {
    let dir = temp();
    let sync_directory = |_: &Path| ok_unless_broken();
    let mut spool = open_on(dir.path(), FileSystem { sync_directory, ..FileSystem::default() });
    IS_BROKEN.set(true);
    for _ in 0..3 {
        assert_eq!(store(&mut spool, 0..4, 10, at(0)).kept, 0);
        assert!(files(dir.path()).is_empty());
    }
    IS_BROKEN.set(false);
    let _ = keep(&mut spool, 5, 10, at(0));
    // Only a new name needs it.
    IS_BROKEN.set(true);
    let _ = keep(&mut spool, 6, 10, at(0));
    assert_eq!(drain(&mut spool, at(0)), (vec![5, 6], NOTHING));
}

#[test]
fn what_cannot_be_read_waits_and_does_not_stop_the_others() {
    fn read(file: &File, offset: u64, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        // The first segment is the larger one.
        if IS_BROKEN.get() && file.metadata()?.len() > 500 {
            return Err(broken());
        }
        (FileSystem::default().read)(file, offset, len, bytes)
    }
    let dir = temp();
    let _ = keep(&mut open(dir.path()), 0, 1000, at(0));
    let _ = keep(&mut open(dir.path()), 1, 10, at(1));
    let mut spool = open_on(dir.path(), FileSystem { read, ..FileSystem::default() });
    IS_BROKEN.set(true);
    assert_eq!(drain(&mut spool, at(2)), (vec![1], NOTHING));
    (3..6).for_each(|second| assert_eq!(drain(&mut spool, at(second)), (vec![], NOTHING)));
    assert_eq!(spool.troubles.reported, [Trouble::Segment]);
    IS_BROKEN.set(false);
    assert_eq!(drain(&mut spool, at(7)), (vec![0], NOTHING));
    assert!(!spool.troubles.has(Trouble::Segment));
}

#[test]
fn nothing_more_of_a_segment_is_sent_while_what_was_sent_cannot_be_marked() {
    let dir = temp();
    let mut spool = open_on(dir.path(), FileSystem { write, ..FileSystem::default() });
    let _ = store(&mut spool, 0..3, 10, at(0));
    let out = spool.take(1, usize::MAX, at(0)).records;
    ROOM.set(0);
    spool.remove(&handles(&out));
    (0..3).for_each(|second| assert_eq!(drain(&mut spool, at(second)), (vec![], NOTHING)));
    assert_eq!(spool.troubles.reported, [Trouble::Segment]);
    ROOM.set(usize::MAX);
    assert_eq!(drain(&mut spool, at(2)), (vec![1, 2], NOTHING));
    assert!(files(dir.path()).is_empty());
}

#[test]
fn a_directory_that_cannot_be_is_reported_once_and_used_when_it_can_be() {
    let dir = temp();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    for path in [file.clone(), file.join("spool"), dir.path().join("x".repeat(300))] {
        let mut spool = open(&path);
        for second in 0..3 {
            assert!(matches!(store(&mut spool, [0], 10, at(second)).error, Some(SpoolError::Io(_))));
            assert_eq!(drain(&mut spool, at(second)), (vec![], NOTHING));
        }
        assert_eq!(spool.troubles.reported, [Trouble::List]);
    }
    let mut spool = open(&file.join("spool"));
    fs::remove_file(&file).unwrap();
    let _ = keep(&mut spool, 2, 10, at(4));
    assert_eq!(drain(&mut spool, at(4)), (vec![2], NOTHING));
    assert_eq!(spool.troubles.reported, [Trouble::List]);
}

#[cfg(unix)]
#[test]
fn a_removed_directory_is_created_again_and_open_segments_lose_nothing() {
    let dir = temp();
    let path = dir.path().join("spool");
    let mut spool = open(&path);
    let _ = store(&mut spool, 0..3, 10, at(0));
    fs::remove_dir_all(&path).unwrap();
    let _ = keep(&mut spool, 3, 10, at(1));
    assert_eq!(spool.troubles.reported, [Trouble::List]);
    assert_eq!(drain(&mut open(&path), at(2)).0, [0; 0], "the new one is locked by its writer");
    let out = spool.take(2, usize::MAX, at(2)).records;
    assert_eq!(ids(&out), [0, 1]);
    spool.put_back(&handles(&out));
    assert_eq!(drain(&mut spool, at(3)), ((0..4).collect(), NOTHING));

    let _ = keep(&mut spool, 4, 10, at(4));
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(spool.close(), own([4]));
    assert!(!path.exists(), "nothing is written when it is closed");
}

#[test]
fn without_locks_each_sends_only_what_it_stored() {
    let lock = |_: &File| Err(TryLockError::Error(io::ErrorKind::Unsupported.into()));
    let disk = FileSystem { lock, ..FileSystem::default() };
    let dir = temp();
    let limits = |dir| SpoolOptions { max_bytes: 16_000, ..options(dir) };
    let spool = |second| {
        let mut spool = Spool::open(limits(dir.path()), at(second));
        (spool.folder.disk, spool.window.disk) = (disk, disk);
        spool
    };
    let (mut first, mut second) = (spool(0), spool(0));
    let _ = keep(&mut first, 0, 900, at(0));
    let _ = keep(&mut first, 1, 900, at(1));
    let _ = keep(&mut second, 2, 900, at(2));
    assert_eq!(drain(&mut second, at(3)), (vec![2], NOTHING));
    // Only its own segments make room.
    let stored = store(&mut second, [3], 15_000, at(4));
    assert!(matches!(stored, Stored { kept: 0, error: Some(SpoolError::NoRoom), lost: NOTHING }));
    assert_eq!(keep(&mut first, 3, 15_000, at(5)), own([0, 1]));
    assert_eq!(second.troubles.reported, [Trouble::Lock]);
    drop(first);
    assert_eq!(drain(&mut spool(6), at(6)), (vec![], NOTHING));
    // The segments of a dead process are removed when they are too old.
    let late = 4 * DAY.as_secs();
    let mut last = spool(late);
    assert_eq!(keep(&mut last, 4, 10, at(late)), foreign([3]));
}

#[test]
fn a_file_that_cannot_be_removed_does_not_stop_the_others() {
    let dir = temp();
    let _ = keep(&mut open(dir.path()), 0, 10, at(0));
    let _ = keep(&mut open(dir.path()), 1, 10, at(1));
    let file = files(dir.path())[0].clone();
    let mut spool = open(dir.path());
    let out = spool.take(1, usize::MAX, at(2)).records;
    // A directory cannot be removed as a file can.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    spool.remove(&handles(&out));
    (2..5).for_each(|second| assert_eq!(drain(&mut spool, at(second)).0.len(), usize::from(second == 2)));
    assert_eq!(spool.troubles.reported, [Trouble::Segment, Trouble::Foreign]);
}

#[test]
fn a_relative_path_stays_where_it_was() {
    let spool = Spool::open(options(Path::new("target/no-such-spool/..")), at(0));
    assert!(spool.folder.path().is_absolute());
    let _ = fs::remove_dir(spool.folder.path());
}
