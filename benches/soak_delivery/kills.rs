//! A process that is killed again and again loses only what waited in its memory.

use std::{
    env,
    io::{self, BufRead, BufReader, ErrorKind},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sentry_benches::{
    doors,
    service::{SPANS, Through},
    timing::pace,
};
use opentelemetry_sentry_exporter::SentryExporter;

use crate::{
    CALM, RATE, SHUTDOWN, segments_in,
    server::{Server, random},
};

/// The argument that makes this program the process that is killed. The DSN and the spool directory follow.
pub(crate) const COMMAND: &str = "make";

/// How long a process lives at least and at most, in milliseconds.
const LIFE: (u64, u64) = (2_000, 30_000);

/// What waits for five seconds is on disk within the next five.
const IN_MEMORY: u64 = 10;

/// Requests that are out when a process is killed. The server may have accepted them although the answer was not read.
const IN_FLIGHT: u64 = 64;

/// Makes traces, and prints how many were made and dropped, until this process is killed.
pub(crate) fn make(dsn: &str, directory: &str) -> ! {
    let processor = doors::sentry(SentryExporter::builder().with_dsn(dsn).with_spool_dir(directory));
    let tracer = doors::provider(processor.clone()).tracer("soak");
    let start = Instant::now();
    for made in 1.. {
        Through::Api.make_trace(&tracer);
        println!("{made} {}", processor.stats().spans_dropped() / SPANS as u64);
        pace(start, made, RATE);
    }
    unreachable!("it is killed before 4 billion traces")
}

/// Kills processes that share a spool directory, lets a last one deliver what is on disk, and judges.
pub(crate) fn soak(duration: Duration, directory: &Path) -> io::Result<bool> {
    let mut server = Server::start()?;
    let (mut made, mut dropped, mut kills) = (0, 0, 0);
    let start = Instant::now();
    while start.elapsed() < duration {
        let life = Duration::from_millis(LIFE.0 + random() % (LIFE.1 - LIFE.0));
        let (made_now, dropped_now) = live(&server.dsn(), directory, life.min(duration))?;
        (made, dropped, kills) = (made + made_now, dropped + dropped_now, kills + 1);
        println!("{:4} s  killed after {life:.1?}: made {made_now}, dropped {dropped_now}", start.elapsed().as_secs());
    }

    server.calm()?;
    let heir = doors::sentry(SentryExporter::builder().with_dsn(server.dsn()).with_spool_dir(directory));
    let deadline = Instant::now() + CALM;
    while segments_in(directory)? > 0 && Instant::now() < deadline {
        // An error means lost spans, which the statistics have.
        let _ = heir.flush(Duration::from_secs(1));
    }
    let closed = heir.shutdown(SHUTDOWN);
    let stats = heir.stats();
    println!("shutdown of the last process: {closed:?}; {stats}");
    dropped += stats.spans_dropped() / SPANS as u64;

    let counted = server.stop()?;
    let distinct = counted.accepted - counted.repeats;
    let lost = (made - dropped).saturating_sub(distinct);
    println!("{counted}; traces made {made}, dropped {dropped}, lost by {kills} kills: {lost}");
    Ok(crate::judge([
        ("nothing is left on disk", segments_in(directory)? == 0),
        (
            "a kill loses at most what was made in ten seconds",
            lost <= kills * (u64::from(RATE) * IN_MEMORY + IN_FLIGHT),
        ),
        ("a kill repeats at most what was in flight", counted.repeats <= kills * IN_FLIGHT),
    ]))
}

/// Lets a process live for a while and kills it. Returns how many traces it made and dropped.
fn live(dsn: &str, directory: &Path, life: Duration) -> io::Result<(u64, u64)> {
    let mut command = Command::new(env::current_exe()?);
    let mut child = command.arg(COMMAND).arg(dsn).arg(directory).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().ok_or(ErrorKind::BrokenPipe)?).lines();
    let last = thread::spawn(move || lines.map_while(Result::ok).last().unwrap_or_default());
    thread::sleep(life);
    child.kill()?;
    child.wait()?;
    let last = last.join().map_err(|_| ErrorKind::Other)?;
    let numbers = last.split_once(' ').and_then(|(made, dropped)| Some((made.parse().ok()?, dropped.parse().ok()?)));
    numbers.ok_or_else(|| ErrorKind::InvalidData.into())
}
