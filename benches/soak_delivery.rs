//! Checks that every span is accounted for and that memory, threads and sockets stay flat while a server fails at random.
//!
//! ```sh
//! cargo bench -p opentelemetry-sentry-benches --bench soak_delivery -- [seconds, default 600]
//! cargo bench -p opentelemetry-sentry-benches --bench soak_delivery -- 600 kills
//! ```
//!
//! One thread makes [`RATE`] traces of 21 spans a second; undelivered envelopes go to a spool directory. The server is a
//! process of its own on loopback. It answers at random as `Fault::draw` says, and is down for 3 s every 20 s. At the
//! end it accepts everything, and [`CALM`] is the time to deliver what waits. The bench exits with 1
//!
//! | unless | |
//! | --- | --- |
//! | received = sent + dropped + kept | in the exporter's own numbers |
//! | made = accepted + dropped | by the server's count; no event is accepted twice and nothing is left on disk |
//! | memory | the peak of the second half is at most that of the first plus a tenth and [`MEMORY_MARGIN`] |
//! | threads, sockets | at most as many as in the first half plus [`THREADS_MARGIN`] and [`SOCKETS_MARGIN`] |
//!
//! With `kills` the exporter is in processes that are killed after 2 to 30 s each and share the spool directory. It then
//! exits with 1 if a kill loses more than was made in ten seconds, if one repeats more than was in flight, or if the last
//! process leaves something on disk.
//!
//! Needs Linux's `/proc`.

#[path = "soak_delivery/kills.rs"]
mod kills;
#[path = "soak_delivery/server.rs"]
mod server;
#[path = "soak_delivery/usage.rs"]
mod usage;

use std::{
    env, fs, io,
    path::Path,
    process::{self, ExitCode},
    time::{Duration, Instant},
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sentry_benches::{
    doors,
    service::{SPANS, Through},
    timing::pace,
};
use opentelemetry_sentry_exporter::{SentryExporter, SentrySpanProcessor};

use self::{server::Server, usage::Usage};

/// Traces a second.
const RATE: u32 = 300;

/// How often usage is printed, and how often it is read.
const PRINT_EVERY: Duration = Duration::from_secs(10);
const READ_EVERY: Duration = Duration::from_millis(500);

/// The time to deliver or store everything once the server accepts again. A request that hangs takes 30 s of it.
const CALM: Duration = Duration::from_secs(60);

/// The timeout of the shutdown.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Bytes by which the peak may move without a leak, as outages differ in length.
const MEMORY_MARGIN: usize = 16 << 20;

/// The same for threads. There is no reason for more.
const THREADS_MARGIN: usize = 1;

/// The same for sockets: the number of requests in flight is chance, up to 64.
const SOCKETS_MARGIN: usize = 32;

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == server::COMMAND) {
        return server::serve().map(|()| ExitCode::SUCCESS);
    }
    match &arguments[..] {
        [command, dsn, directory] if command == kills::COMMAND => kills::make(dsn, directory),
        _ => {}
    }
    // `cargo bench -- --test` runs for a few seconds, as a smoke test.
    let smoke = arguments.iter().any(|argument| argument == "--test").then_some(4);
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok()).or(smoke).unwrap_or(600);

    let directory = env::temp_dir().join(format!("soak-delivery-{}", process::id()));
    let soak = if arguments.iter().any(|argument| argument == "kills") { kills::soak } else { soak };
    let result = soak(Duration::from_secs(seconds), &directory);
    fs::remove_dir_all(&directory)?;
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn soak(duration: Duration, directory: &Path) -> io::Result<bool> {
    let mut server = Server::start()?;
    let exporter = SentryExporter::builder().with_dsn(server.dsn()).with_spool_dir(directory);
    let processor = doors::sentry(exporter);
    // Kept, as dropping it shuts down.
    let provider = doors::provider(processor.clone());
    let (made, peaks) = pour(duration, &provider.tracer("soak"), &processor);

    server.calm()?;
    let deadline = Instant::now() + CALM;
    while processor.stats().spans_pending > 0 && Instant::now() < deadline {
        // An error means lost spans, which the statistics have.
        let _ = processor.flush(Duration::from_secs(1));
    }
    let closed = processor.shutdown(SHUTDOWN);
    let stats = processor.stats();
    println!("shutdown: {closed:?}; {stats}");
    println!("kept on disk in all: {} spans", stats.spans_spooled);

    let counted = server.stop()?;
    println!("{counted}, in halves: {} | {}", peaks[0], peaks[1]);
    let spans = SPANS as u64;
    let dropped = stats.spans_dropped();
    Ok(judge([
        ("received = sent + dropped + kept", stats.spans_received == stats.spans_sent + dropped + stats.spans_spooled),
        ("sent = accepted", stats.transactions_sent == counted.accepted),
        ("made = accepted + dropped", made * spans == counted.accepted * spans + dropped),
        ("nothing is left on disk", segments_in(directory)? == 0 && stats.spans_spooled == 0),
        ("nothing was accepted twice", counted.repeats == 0),
        ("memory is flat", peaks[1].memory <= peaks[0].memory + peaks[0].memory / 10 + MEMORY_MARGIN),
        ("threads do not grow", peaks[1].threads <= peaks[0].threads + THREADS_MARGIN),
        ("sockets do not grow", peaks[1].sockets <= peaks[0].sockets + SOCKETS_MARGIN),
    ]))
}

/// Prints which laws hold. Returns whether all do.
fn judge<const N: usize>(laws: [(&str, bool); N]) -> bool {
    for (law, holds) in laws {
        println!("{law}: {}", if holds { "yes" } else { "NO" });
    }
    laws.iter().all(|(_, holds)| *holds)
}

/// Makes traces for this time. Returns how many, and the peaks of usage in both halves.
fn pour(duration: Duration, tracer: &SdkTracer, processor: &SentrySpanProcessor) -> (u64, [Usage; 2]) {
    let start = Instant::now();
    let (mut made, mut peaks) = (0, [Usage::default(); 2]);
    let (mut read_at, mut print_at) = (READ_EVERY, PRINT_EVERY);
    while start.elapsed() < duration {
        pace(start, made, RATE);
        Through::Api.make_trace(tracer);
        made += 1;
        let elapsed = start.elapsed();
        if elapsed < read_at {
            continue;
        }
        read_at += READ_EVERY;
        let usage = Usage::now();
        let half = usize::from(elapsed > duration / 2);
        peaks[half] = peaks[half].max(usage);
        if elapsed >= print_at {
            print_at += PRINT_EVERY;
            let stats = processor.stats();
            let (pending, kept) = (stats.spans_pending, stats.spans_spooled);
            println!("{:4} s  {usage}  pending {pending:6}  kept {kept:6}  {stats}", elapsed.as_secs());
        }
    }
    (u64::from(made), peaks)
}

/// The number of spool files in the folders of a directory.
fn segments_in(directory: &Path) -> io::Result<usize> {
    let mut count = 0;
    for folder in fs::read_dir(directory)? {
        for file in fs::read_dir(folder?.path())? {
            count += usize::from(file?.path().extension().is_some_and(|kind| kind == "segment"));
        }
    }
    Ok(count)
}
