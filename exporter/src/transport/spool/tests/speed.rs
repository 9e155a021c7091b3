//! Measures the speed. It runs on demand only, because it asserts nothing about time:
//! `cargo test --release -p opentelemetry-sentry-exporter --lib spool::tests::speed -- --ignored --nocapture`

use std::{env, io::Write};

use super::*;

#[test]
#[ignore = "prints speeds"]
fn speeds() {
    let dir = env::var_os("SPOOL_SPEED_DIRECTORY").map_or_else(temp, |dir| tempfile::tempdir_in(dir).unwrap());
    let mut out = std::io::stdout();
    let mut say = |what: &str, since: Instant| {
        writeln!(out, "{what}: {:.1} ms", since.elapsed().as_secs_f64() * 1e3).unwrap();
    };
    let body = vec![b'x'; 2048];
    let record = Record { counts: Counts::transaction(3), parts: [&body[..100], &body[100..]] };
    let call = vec![record; 500];
    let mut spool = open(dir.path());

    let start = Instant::now();
    (0..10).for_each(|_| assert_eq!(spool.store(&call, at(0)).kept, 500));
    say("store 5,000 records of 2 KB in calls of 1 MB", start);

    let start = Instant::now();
    (0..100).for_each(|_| assert_eq!(spool.store(&call[..1], at(0)).kept, 1));
    say("store 100 records of 2 KB one by one", start);

    let start = Instant::now();
    (0..90).for_each(|_| assert_eq!(spool.store(&call, at(0)).kept, 500));
    say("store 45,000 more in calls of 1 MB", start);

    let start = Instant::now();
    let mut count = 0;
    loop {
        let taken = spool.take(64, usize::MAX, at(1));
        count += taken.records.len();
        spool.remove(&handles(&taken.records));
        if taken.is_empty {
            break;
        }
    }
    assert_eq!(count, 50_100);
    say("take and remove 50,100 in batches of 64", start);

    (0..10).for_each(|_| assert_eq!(spool.store(&call, at(2)).kept, 500));
    let start = Instant::now();
    for _ in 0..1000 {
        let taken = spool.take(1, usize::MAX, at(2));
        spool.put_back(&handles(&taken.records));
    }
    say("take and put back 1,000 times", start);
    let start = Instant::now();
    for _ in 0..1000 {
        let taken = spool.take(1, usize::MAX, at(2));
        spool.remove(&handles(&taken.records));
    }
    say("take and remove 1,000 one by one", start);
}
