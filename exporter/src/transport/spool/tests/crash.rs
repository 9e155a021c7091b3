//! `kill -9`, at fifty different moments.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use super::*;

/// Where the child stores; without it, it is no child.
const DIRECTORY: &str = "SPOOL_TEST_DIRECTORY";

const DEADLINE: Duration = Duration::from_secs(60);

/// An envelope that tells its number; of different lengths.
fn envelope(number: u64) -> Vec<u8> {
    let mut bytes = format!(
        "{number}
"
    )
    .into_bytes();
    bytes.resize(bytes.len() + number as usize % 7 * 2000, number as u8);
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
    std::str::from_utf8(line).unwrap().parse().unwrap()
}

#[test]
#[ignore = "the child of the test below"]
fn stores_until_it_is_killed() {
    let Some(dir) = env::var_os(DIRECTORY) else { return };
    let mut spool = Spool::open(dir.into(), PLENTY);
    // Not `println!`, which the test harness would keep.
    let mut out = io::stdout();
    for count in 0.. {
        // One is being sent while another is stored.
        let spooled = if count % 3 == 2 { spool.next(at(count)).0 } else { None };
        let bytes = envelope(count);
        // In small pieces, so that many a kill comes in between.
        let parts: Vec<_> = bytes.chunks(100).collect();
        spool.store(load(0), &parts, at(count)).0.unwrap();
        writeln!(out, "\nstored {count}").unwrap();
        if let Some(spooled) = spooled {
            writeln!(out, "\nsent {}", number(&spooled.bytes)).unwrap();
            spool.remove(spooled);
        }
        assert!(count < 100_000, "nobody kills it");
    }
}

fn start(dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["stores_until_it_is_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_process_loses_nothing_that_it_had_stored_and_leaves_nothing_torn() {
    let mut left_over = BTreeMap::new();
    for round in 0..50 {
        let dir = temp();
        let mut child = start(dir.path());
        let deadline = Instant::now() + DEADLINE;
        // Some rounds end when something is being written or sent, and others when so many files are there.
        let is_time = |names: &[String]| match round % 3 {
            0 => names.iter().any(|name| name.ends_with(".part")) && names.len() > round / 3,
            1 => names.iter().any(|name| name.ends_with(".sending")) && names.len() > round / 3,
            _ => names.len() > round / 2,
        };
        while !is_time(&names(dir.path())) {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "the child stores nothing");
            thread::yield_now();
        }
        child.kill().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let (mut stored, mut sent) = (BTreeSet::new(), BTreeSet::new());
        for line in lines {
            match line.split_once(' ').map(|(word, number)| (word, number.parse::<u64>())) {
                Some(("stored", Ok(number))) => drop(stored.insert(number)),
                Some(("sent", Ok(number))) => drop(sent.insert(number)),
                _ => {}
            }
        }
        child.wait().unwrap();
        for name in names(dir.path()) {
            *left_over.entry(name.rsplit_once('.').unwrap().1.to_owned()).or_insert(0) += 1;
        }

        let (replayed, lost) = drain(&mut Spool::open(dir.path().into(), PLENTY), at(0));
        assert_eq!(lost, Counts::default());
        let numbers: Vec<_> = replayed.iter().map(|bytes| number(bytes)).collect();
        assert!(numbers.is_sorted(), "the oldest first");
        replayed.iter().zip(&numbers).for_each(|(bytes, number)| assert!(*bytes == envelope(*number), "{number}"));
        let replayed: BTreeSet<_> = numbers.into_iter().collect();
        assert!(stored.iter().all(|number| replayed.contains(number) || sent.contains(number)), "round {round}");
        assert!(replayed.len() + sent.len() >= stored.len());
        assert!(names(dir.path()).iter().all(|name| name.ends_with(".part")), "all was replayed");
    }
    // Else it shows nothing of processes that die in the middle.
    assert!(left_over.contains_key("part") && left_over.contains_key("sending"), "{left_over:?}");
}
