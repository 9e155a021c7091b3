//! Other processes: `kill -9` at many different moments, and several that store and send at once.

use std::{
    collections::BTreeSet,
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use super::{file_system::FileSystem, *};

/// The directory of the child. Without this variable the test does nothing.
const DIRECTORY: &str = "SEGMENTS_TEST_DIRECTORY";
/// The first number that the child stores.
const FIRST: &str = "SEGMENTS_TEST_FIRST";

fn numbered(number: u64) -> Vec<u8> {
    let mut bytes = format!("{number}\n").into_bytes();
    bytes.resize(bytes.len() + number as usize % 7 * 300, number as u8);
    bytes
}

fn number(record: &Spooled) -> u64 {
    let bytes = [&record.headers[..], &record.items[..]].concat();
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
    let number = std::str::from_utf8(line).unwrap().parse().unwrap();
    assert_eq!(bytes, numbered(number), "torn");
    number
}

fn keep_number(spool: &mut Spool, number: u64, now: Now) {
    let bytes = numbered(number);
    let parts = bytes.split_at(1);
    let stored = spool.store(&[Record { counts: load(0), parts: [parts.0, parts.1] }], now);
    assert_eq!(stored.kept, 1, "{:?}", stored.error);
}

#[test]
#[ignore = "the child of a test below"]
fn stores_until_it_is_killed() {
    let Some(dir) = env::var_os(DIRECTORY) else { return };
    let mut spool = open(Path::new(&dir));
    // In tiny pieces, so that many a kill comes between two of them. What is written survives the kill without a sync.
    let write =
        |file: &_, offset, bytes: &[u8]| (FileSystem::default().write)(file, offset, &bytes[..bytes.len().min(10)]);
    spool.folder.disk = FileSystem { write, sync: |_| Ok(()), ..FileSystem::default() };
    // Not `println!`, which the test harness would keep.
    let mut out = io::stdout();
    for count in 0..100_000 {
        keep_number(&mut spool, count, at(0));
        writeln!(out, "\nstored {count}").unwrap();
        if count % 5 == 4 {
            let taken = spool.take(2, usize::MAX, at(0)).records;
            taken.iter().for_each(|record| writeln!(out, "\nsent {}", number(record)).unwrap());
            spool.remove(&handles(&taken));
        }
    }
}

#[test]
#[ignore = "the child of a test below"]
fn stores_and_sends() {
    let (Some(dir), Some(first)) = (env::var_os(DIRECTORY), env::var(FIRST).ok()) else { return };
    let first: u64 = first.parse().unwrap();
    let mut spool = open(Path::new(&dir));
    let mut out = io::stdout();
    for step in 0..300 {
        // A simulated second for each step, so that what the others release is noticed.
        let now = at(step);
        keep_number(&mut spool, first + step, now);
        let taken = spool.take(3, usize::MAX, now);
        assert_eq!(taken.lost, NOTHING);
        let (sent, failed) = taken.records.split_at(taken.records.len().min(2));
        sent.iter().for_each(|record| writeln!(out, "\nsent {}", number(record)).unwrap());
        spool.remove(&handles(sent));
        spool.put_back(&handles(failed));
    }
    writeln!(out, "\nend").unwrap();
}

fn start(test: &str, dir: &Path, first: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, dir)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The output of a child: a word and a number in each line.
fn lines(child: &mut Child) -> impl Iterator<Item = (String, u64)> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.filter_map(|line| {
        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
        Some((word.to_owned(), number.parse().ok()?)).filter(|(word, _)| ["stored", "sent", "end"].contains(&&**word))
    })
}

/// Some kills come while a record is written, but how many is chance. `damage` has the files that end after each byte.
#[test]
fn a_killed_process_loses_nothing_that_it_had_stored_and_leaves_nothing_torn() {
    for round in 0..40 {
        let dir = temp();
        let mut child = start("stores_until_it_is_killed", dir.path(), 0);
        let mut lines = lines(&mut child);
        // The child dies somewhere in what follows this line.
        let mut said: Vec<_> = lines.by_ref().take(round * 3 + 1).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        said.extend(lines);
        let of = |word| said.iter().filter(move |(said, _)| said == word).map(|(_, number)| *number);
        let (stored, sent): (BTreeSet<_>, BTreeSet<_>) = (of("stored").collect(), of("sent").collect());

        let before: u64 = files(dir.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        let mut spool = open(dir.path());
        let taken = spool.take(usize::MAX, usize::MAX, at(1));
        assert_eq!((taken.lost, taken.is_empty), (NOTHING, true));
        let numbers: BTreeSet<_> = taken.records.iter().map(number).collect();
        assert_eq!(numbers.len(), taken.records.len(), "once");
        assert!(stored.iter().all(|number| numbers.contains(number) || sent.contains(number)), "round {round}");
        assert!(!taken.records.is_empty() && before > 0);
        spool.remove(&handles(&taken.records));
        assert!(files(dir.path()).is_empty());
    }
}

#[test]
fn processes_that_store_and_send_at_once_send_each_record_once() {
    let dir = temp();
    let mut children: Vec<_> = (0..3).map(|child| start("stores_and_sends", dir.path(), child * 1000)).collect();
    let mut sent = Vec::new();
    for child in &mut children {
        let said: Vec<_> = lines(child).collect();
        assert_eq!(said.last().map(|(word, _)| &word[..]), Some("end"), "the child has failed");
        sent.extend(said.iter().filter(|(word, _)| word == "sent").map(|(_, number)| *number));
        child.wait().unwrap();
    }
    let mut spool = open(dir.path());
    loop {
        let taken = spool.take(100, usize::MAX, at(1000));
        assert_eq!(taken.lost, NOTHING);
        sent.extend(taken.records.iter().map(number));
        spool.remove(&handles(&taken.records));
        if taken.is_empty {
            break;
        }
    }
    sent.sort_unstable();
    let all: Vec<_> = (0..3).flat_map(|child| child * 1000..child * 1000 + 300).collect();
    assert!(sent == all, "{} of {}", sent.len(), all.len());
    assert!(files(dir.path()).is_empty());
}
