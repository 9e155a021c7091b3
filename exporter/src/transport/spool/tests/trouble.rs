//! Torn, flipped, foreign, full, read-only, vanished.

use std::{
    fs::{File, OpenOptions},
    os::unix,
};

use super::*;

/// The one file that waits in a directory.
fn only_file(dir: &Path) -> PathBuf {
    let [name] = &names(dir)[..] else { panic!("one file") };
    dir.join(name)
}

#[test]
fn a_torn_file_is_never_handed_out() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    let bytes = b"{\"event_id\":\"1\"}\n{\"type\":\"transaction\"}\n{}\n";
    for length in 0..bytes.len() {
        keep(&mut spool, 1, bytes, at(0));
        fs::write(only_file(dir.path()), &bytes[..length]).unwrap();
        assert_eq!(drain(&mut spool, at(0)), (vec![], sum([1])), "{length}");
        assert!(names(dir.path()).is_empty());
    }
    keep(&mut spool, 1, bytes, at(0));
    fs::write(only_file(dir.path()), [&bytes[..], b"\n"].concat()).unwrap();
    assert_eq!(drain(&mut spool, at(0)), (vec![], sum([1])));
    assert_eq!(spool.troubles.told, [Trouble::Damaged]);
}

#[test]
fn a_flipped_bit_is_never_handed_out() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    let bytes = b"{\"event_id\":\"1\"}\n{}\n";
    for bit in 0..bytes.len() * 8 {
        keep(&mut spool, 1, bytes, at(0));
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(only_file(dir.path()), flipped).unwrap();
        assert_eq!(drain(&mut spool, at(0)), (vec![], sum([1])), "{bit}");
    }
}

#[test]
fn damage_is_told_again_after_it_was_over() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    for whole in [false, false, true, false, false] {
        keep(&mut spool, 1, b"1", at(0));
        if !whole {
            fs::write(only_file(dir.path()), b"").unwrap();
        }
        assert_eq!(drain(&mut spool, at(0)).0.len(), usize::from(whole));
    }
    assert_eq!(spool.troubles.told, [Trouble::Damaged, Trouble::Damaged]);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = temp();
    let ours = |number, size: u64| {
        let name = Name { time: 0, writer: 0, number, counts: load(0), size, checksum: checksum(&[b"secret"]) };
        dir.path().join(name.file_name(Stage::Waiting))
    };
    let outside = temp();
    let secret = outside.path().join("secret");
    fs::write(&secret, b"secret").unwrap();
    fs::write(dir.path().join("notes.txt"), b"mine").unwrap();
    fs::write(dir.path().join("1.envelope"), b"mine").unwrap();
    fs::create_dir(ours(1, 6)).unwrap();
    fs::create_dir(dir.path().join("more")).unwrap();
    #[cfg(unix)]
    unix::fs::symlink(&secret, ours(2, 6)).unwrap();
    let before = names(dir.path());

    let mut spool = Spool::open(dir.path().into(), Limits { files: 1, age: Duration::from_secs(1), ..PLENTY });
    keep(&mut spool, 1, b"1", at(0));
    assert_eq!(keep(&mut spool, 2, b"2", at(0)), sum([1]));
    assert_eq!(drain(&mut spool, at(1)), (vec![b"2".to_vec()], Counts::default()));
    assert_eq!(names(dir.path()), before);
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
    assert_eq!(spool.troubles.told, [Trouble::Foreign]);
}

#[cfg(unix)]
#[test]
fn a_link_that_takes_a_files_place_is_not_followed() {
    let (dir, outside) = (temp(), temp());
    let secret = outside.path().join("secret");
    fs::write(&secret, b"1").unwrap();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    keep(&mut spool, 1, b"1", at(0));
    let file = only_file(dir.path());
    fs::remove_file(&file).unwrap();
    unix::fs::symlink(&secret, &file).unwrap();
    assert_eq!(drain(&mut spool, at(0)), (vec![], Counts::default()));
    assert!(secret.exists() && file.is_symlink());
}

#[test]
fn a_large_file_with_a_plausible_name_is_not_read() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), Limits { bytes: 1000, ..PLENTY });
    keep(&mut spool, 1, b"1", at(0));
    // Sparse: it takes no room.
    let (small, ten_gigabytes) = (only_file(dir.path()), 10 << 30);
    File::options().write(true).open(&small).unwrap().set_len(ten_gigabytes).unwrap();
    assert_eq!(drain(&mut spool, at(0)), (vec![], sum([1])));

    let large = Name { time: 0, writer: 0, number: 0, counts: load(2), size: ten_gigabytes, checksum: 0 };
    let path = dir.path().join(large.file_name(Stage::Waiting));
    File::create(&path).unwrap().set_len(ten_gigabytes).unwrap();
    keep(&mut spool, 3, b"3", at(0));
    assert_eq!(drain(&mut spool, at(0)), (vec![b"3".to_vec()], sum([2])));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn what_a_dead_process_was_writing_goes_when_it_is_old() {
    let dir = temp();
    let part = |number, now| {
        let name = Name { time: nanos(now), writer: 0, number, counts: load(0), size: 5, checksum: 0 };
        fs::write(dir.path().join(name.file_name(Stage::Part)), b"12").unwrap();
    };
    part(0, at(0));
    part(1, at(3000));
    part(2, at(1_000_000));
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    assert_eq!(drain(&mut spool, at(3600)), (vec![], Counts::default()));
    assert_eq!(names(dir.path()).len(), 2, "the one from the future is gone");
    assert_eq!(drain(&mut spool, at(3601)), (vec![], Counts::default()));
    assert_eq!(names(dir.path()).len(), 1);

    // And before that it takes room like any other, but stands for nothing.
    let mut spool = Spool::open(dir.path().into(), Limits { files: 1, ..PLENTY });
    assert_eq!(keep(&mut spool, 1, b"1", at(3602)), Counts::default());
    assert_eq!(drain(&mut spool, at(3602)).0, [b"1"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_once_and_leaves_nothing_behind() {
    fn full(path: &Path) -> io::Result<File> {
        File::create_new(path)?;
        OpenOptions::new().write(true).open("/dev/full")
    }
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    keep(&mut spool, 1, b"1", at(1));
    let create = std::mem::replace(&mut spool.folder.create, full);
    for _ in 0..3 {
        let (kept, lost) = spool.store(load(2), &[b"2"], at(2));
        assert!(matches!(kept, Err(SpoolError::Io(error)) if error.kind() == io::ErrorKind::StorageFull));
        assert_eq!((lost, names(dir.path()).len()), (Counts::default(), 1));
    }
    assert_eq!(spool.troubles.told, [Trouble::Write]);
    spool.folder.create = create;
    keep(&mut spool, 3, b"3", at(3));
    spool.folder.create = full;
    spool.store(load(4), &[b"4"], at(4)).0.unwrap_err();
    assert_eq!(spool.troubles.told, [Trouble::Write, Trouble::Write]);
    assert_eq!(drain(&mut spool, at(9)).0, [b"1", b"3"]);
}

#[test]
fn a_directory_that_cannot_be_is_told_once_and_used_when_it_can_be() {
    let dir = temp();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let mut spool = Spool::open(file.join("spool"), PLENTY);
    for _ in 0..3 {
        assert!(matches!(spool.store(load(1), &[b"1"], at(1)).0, Err(SpoolError::Io(_))));
        assert_eq!(drain(&mut spool, at(1)), (vec![], Counts::default()));
    }
    assert_eq!(spool.troubles.told, [Trouble::List]);
    fs::remove_file(&file).unwrap();
    keep(&mut spool, 2, b"2", at(2));
    assert_eq!(drain(&mut spool, at(2)).0, [b"2"]);
    assert_eq!(spool.troubles.told, [Trouble::List]);
}

#[test]
fn a_directory_that_vanishes_is_made_anew() {
    let dir = temp();
    let path = dir.path().join("spool");
    let mut spool = Spool::open(path.clone(), PLENTY);
    keep(&mut spool, 1, b"1", at(1));
    keep(&mut spool, 2, b"2", at(2));
    let claimed = spool.next(at(2)).0.unwrap();
    fs::remove_dir_all(&path).unwrap();
    keep(&mut spool, 3, b"3", at(3));
    spool.put_back(claimed);
    assert_eq!(spool.troubles.told, [Trouble::List]);
    // The lock went with the directory.
    let mut other = Spool::open(path.clone(), PLENTY);
    let claimed = other.next(at(3)).0.unwrap();
    assert!(spool.next(at(3)).0.is_none());
    other.remove(claimed);
    assert!(other.next(at(3)).0.is_none());

    fs::remove_dir_all(&path).unwrap();
    assert_eq!(drain(&mut spool, at(4)), (vec![], Counts::default()));
    keep(&mut spool, 4, b"4", at(4));
    assert_eq!(drain(&mut spool, at(4)).0, [b"4"]);
    assert_eq!(spool.troubles.told, [Trouble::List, Trouble::List]);
}

#[test]
fn nothing_more_is_sent_while_what_was_sent_cannot_be_removed() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    keep(&mut spool, 1, b"1", at(1));
    keep(&mut spool, 2, b"2", at(2));
    let sent = spool.next(at(2)).0.unwrap();
    let path = dir.path().join(sent.name.file_name(Stage::Sending));
    // A directory cannot be removed as a file can.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    spool.remove(sent);
    (0..3).for_each(|_| assert_eq!(drain(&mut spool, at(2)), (vec![], Counts::default())));
    assert_eq!(spool.troubles.told, [Trouble::Change]);
    fs::remove_dir(&path).unwrap();
    assert_eq!(drain(&mut spool, at(2)), (vec![b"2".to_vec()], Counts::default()));
}

#[test]
fn what_cannot_be_removed_does_not_stop_the_others() {
    let dir = temp();
    let mut spool = Spool::open(dir.path().into(), Limits { files: 47, ..PLENTY });
    fill(&mut spool, 0..47);
    let first = dir.path().join(&names(dir.path())[0]);
    fs::remove_file(&first).unwrap();
    fs::create_dir(&first).unwrap();
    assert_eq!(keep(&mut spool, 47, b"x", at(47)), sum([1]));
    assert_eq!(spool.troubles.told, [Trouble::Remove]);
}

#[test]
fn a_lock_that_cannot_be_opened_is_told_once() {
    let dir = temp();
    fs::create_dir(dir.path().join("lock")).unwrap();
    let mut spool = Spool::open(dir.path().into(), PLENTY);
    keep(&mut spool, 1, b"1", at(1));
    (0..3).for_each(|_| assert_eq!(drain(&mut spool, at(1)), (vec![], Counts::default())));
    assert_eq!(spool.troubles.told, [Trouble::Change]);
    fs::remove_dir(dir.path().join("lock")).unwrap();
    assert_eq!(drain(&mut spool, at(1)).0, [b"1"]);
}
