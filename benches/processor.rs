//! The cost of ending spans for the thread that ends them, and the losses at full speed: our processor compared with
//! OpenTelemetry's batch processor.
//!
//! Measured on the trace of one request, 21 spans, see [`service`](opentelemetry_sentry_benches::service). The batch
//! processor has an exporter that only counts, and a queue with room for everything ([`doors::QUEUE`]), as dropping is
//! cheaper than keeping. Ours has an HTTP client that accepts at once. At the end the bench checks that both exported all
//! spans, and panics if one is missing. Each provider has the sampler that belongs to its processor: the SDK's, or ours
//! with its own requests excluded.
//!
//! ```sh
//! cargo bench -p opentelemetry-sentry-benches --bench processor                  # time and losses
//! cargo bench -p opentelemetry-sentry-benches --bench processor -- time          # one of them
//! cargo bench -p opentelemetry-sentry-benches --bench processor -- losses
//! cargo bench -p opentelemetry-sentry-benches --bench processor -- instructions  # needs valgrind
//! cargo bench -p opentelemetry-sentry-benches --bench processor -- bytes
//! ```
//!
//! `time` is the time of the threads that make spans, from their common start to their common end, as medians over
//! repetitions in which the processors take turns. It includes the work of the processors' own threads as far as the
//! machine has too few cores for all threads.
//!
//! `instructions` counts the thread that makes spans, and all threads; requests are accepted without a socket. The bench runs
//! itself under valgrind, as
//!
//! ```sh
//! valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file=FILE \
//!     target/release/deps/processor-… traces sentry api 1 500  # or: stock, stream; tracing; 0.1; 0
//! ```
//!
//! and takes the totals of `FILE-01`, the main thread, and of all files, once with traces and once without, so that the set-up
//! and the wait for the end do not count. The figure is the median of several such pairs.
//!
//! `stream` is our processor with streamed spans instead of transactions. `bytes` are those of the requests' bodies, as they
//! are sent with gzip, for both forms.
//!
//! `losses` uses all defaults and a real HTTP ingest on loopback. It exits with 1 if a lost span was not counted, or if
//! the root of a trace arrived without all of its children.

use std::{
    collections::HashMap,
    env,
    process::ExitCode,
    sync::{Barrier, atomic::Ordering},
    thread,
    time::Instant,
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sentry_benches::{
    doors::{self, Door, PATIENCE},
    instructions::counted,
    service::{self, SPANS, Through},
    timing::median,
};
use opentelemetry_sentry_exporter::{SentryExporter, Stats, TraceLifecycle, testing::LocalIngest};
use tracing::dispatcher;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // `cargo bench -- --test` runs everything once, as a smoke test.
    let effort = if arguments.contains(&"--test") { SMOKE } else { FULL };
    match arguments[..] {
        ["traces", door, through, rate, number, ..] => traces(door, through, rate, number),
        ["instructions", ..] => instructions(effort),
        ["bytes", ..] => bytes(effort),
        ["time", ..] => time(effort),
        ["losses", ..] => return losses(effort),
        _ => {
            time(effort);
            return losses(effort);
        }
    }
    ExitCode::SUCCESS
}

/// How much work is done for one figure.
#[derive(Clone, Copy)]
struct Effort {
    repetitions: usize,
    /// Under valgrind, where only the scheduling of the threads differs between runs.
    runs: usize,
    /// Traces of each thread in each repetition. All of them must fit into [`doors::QUEUE`].
    traces: usize,
    /// Traces that end together, for the losses.
    open: usize,
    /// Traces in a row at full speed, for the losses.
    many: usize,
}

const FULL: Effort = Effort { repetitions: 41, runs: 3, traces: 500, open: 200, many: 4800 };
const SMOKE: Effort = Effort { repetitions: 1, runs: 1, traces: 1, open: 2, many: 2 };

/// Makes a number of traces on this thread, and does nothing else.
fn traces(door: &str, through: &str, rate: &str, number: &str) {
    let rate = rate.parse().expect("a rate");
    let door = Door::named(door, rate).expect("stock or sentry");
    let through = Through::ALL.into_iter().find(|(name, _)| *name == through).expect("api or tracing").1;
    let number = number.parse().expect("a number");
    dispatcher::with_default(&door.dispatch(), || run(&door, through, number));
    let exported = door.drain();
    assert!(rate < 1.0 || exported == (number * SPANS) as u64, "nothing may be lost");
}

fn run(door: &Door, through: Through, number: usize) {
    let tracer = door.tracer();
    (0..number).for_each(|_| through.make_trace(&tracer));
}

fn time(effort: Effort) {
    println!("time of {} traces of {SPANS} spans on each thread, medians of {}\n", effort.traces, effort.repetitions);
    println!("{:20} | {:>15} | {:>15} | ratio", "", "stock, µs/trace", "ours, µs/trace");
    for (name, through) in Through::ALL {
        for threads in [1, 2] {
            let doors = Door::NAMES.map(|name| Door::named(name, 1.0).expect("one of these"));
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..effort.repetitions {
                for (door, times) in doors.iter().zip(&mut times) {
                    times.push(seconds(door, through, threads, effort.traces) / effort.traces as f64 * 1e6);
                    door.drain();
                }
            }
            let made = (effort.repetitions * threads * effort.traces * SPANS) as u64;
            doors.iter().for_each(|door| assert_eq!(door.drain(), made, "nothing may be lost"));
            let [stock, ours] = times.map(median);
            println!("{name:8}, {threads} thread(s) | {stock:15.2} | {ours:15.2} | {:5.2}", ours / stock);
        }
    }
}

/// From the common start of the threads to their common end.
fn seconds(door: &Door, through: Through, threads: usize, number: usize) -> f64 {
    let (dispatch, barrier) = (door.dispatch(), Barrier::new(threads));
    let make = || {
        dispatcher::with_default(&dispatch, || {
            barrier.wait();
            let start = Instant::now();
            run(door, through, number);
            (start, Instant::now())
        })
    };
    let times: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let start = times.iter().map(|(start, _)| *start).min().expect("a thread");
    times.iter().map(|(_, end)| end.duration_since(start).as_secs_f64()).fold(0.0, f64::max)
}

fn instructions(effort: Effort) {
    println!("instructions of each span, from {} traces of {SPANS} spans\n", effort.traces);
    println!(
        "{:8} | rate | {:8} | {:>14} | {:>14} | ratio | {:>14} | to ours",
        "", "threads", "stock, a span", "ours, a span", "stream, a span"
    );
    for (name, rate) in [("api", "1"), ("tracing", "1"), ("api", "0.1")] {
        let [stock, ours] = Door::NAMES;
        let counts = [stock, ours, Door::STREAM].map(|door| {
            let pair =
                |_| ["0", &effort.traces.to_string()].map(|number| counted(&["traces", door, name, rate, number]));
            (0..effort.runs).map(pair).collect::<Vec<_>>()
        });
        for (threads, place) in [("caller's", 0), ("all", 1)] {
            let [stock, ours, stream] = counts.each_ref().map(|pairs| {
                let cost = |[none, some]: &[[f64; 2]; 2]| (some[place] - none[place]) / (effort.traces * SPANS) as f64;
                median(pairs.iter().map(cost).collect())
            });
            println!(
                "{name:8} | {rate:4} | {threads:8} | {stock:14.0} | {ours:14.0} | {:5.3} | {stream:14.0} | {:5.2}",
                ours / stock,
                stream / ours
            );
        }
    }
}

fn bytes(effort: Effort) {
    println!("bytes of the requests' bodies for {} traces of {SPANS} spans\n", effort.traces);
    for (name, lifecycle) in [("ours", TraceLifecycle::Transactions), ("stream", TraceLifecycle::Stream)] {
        let (exporter, bytes) = doors::weighed();
        let door = Door::sentry(1.0, exporter.with_lifecycle(lifecycle));
        run(&door, Through::Api, effort.traces);
        assert_eq!(door.drain(), (effort.traces * SPANS) as u64, "nothing may be lost");
        println!("{name:8} | {:10.0} / trace", bytes.load(Ordering::Relaxed) as f64 / effort.traces as f64);
    }
}

fn losses(effort: Effort) -> ExitCode {
    println!("\nlosses with everything at its default, from one thread at full speed, to an ingest on loopback\n");
    println!("{:30} | {}", "", Arrived::COLUMNS);
    let mut code = ExitCode::SUCCESS;
    let mut row = |name: String, traces, make: fn(&SdkTracer, usize)| {
        let arrived = Arrived::of(traces, make);
        println!("{name:30} | {}", arrived.row());
        if !arrived.is_fair() {
            code = ExitCode::FAILURE;
        }
    };
    row(format!("{} traces end together", effort.open), effort.open, |tracer, number| {
        let roots: Vec<_> = (0..number).map(|_| service::begin(tracer)).collect();
        roots.iter().for_each(service::end_root);
    });
    row(format!("{} traces in a row", effort.many), effort.many, |tracer, number| {
        (0..number).for_each(|_| Through::Api.make_trace(tracer));
    });
    code
}

/// The traces that arrived, by the ingest and by the exporter's statistics.
struct Arrived {
    traces: usize,
    whole: usize,
    /// Only some of the spans arrived.
    torn: usize,
    /// The torn traces whose root arrived.
    torn_with_root: usize,
    transactions: usize,
    spans: usize,
    stats: Stats,
}

impl Arrived {
    const COLUMNS: &str =
        "traces: whole, torn (with root),  none | transactions |  spans: made, arrived,  lost | all counted";

    /// Makes traces, and waits for them to arrive.
    fn of(traces: usize, make: impl FnOnce(&SdkTracer, usize)) -> Self {
        let ingest = LocalIngest::start().expect("a free port");
        let processor = doors::sentry(SentryExporter::builder().with_dsn(ingest.dsn()));
        let provider = doors::provider(processor.clone());
        make(&provider.tracer("bench"), traces);
        // An error means lost spans, which the statistics have.
        let _ = processor.flush(PATIENCE);
        let transactions = ingest.transactions();
        let mut spans: HashMap<String, (usize, bool)> = HashMap::new();
        for transaction in &transactions {
            let trace = &transaction["contexts"]["trace"];
            let (number, has_root) = spans.entry(trace["trace_id"].to_string()).or_default();
            *number += 1 + transaction["spans"].as_array().map_or(0, Vec::len);
            *has_root |= trace.get("parent_span_id").is_none();
        }
        let whole = spans.values().filter(|(number, _)| *number == SPANS).count();
        let torn_with_root = spans.values().filter(|(number, has_root)| *number != SPANS && *has_root).count();
        Self {
            traces,
            whole,
            torn: spans.len() - whole,
            torn_with_root,
            transactions: transactions.len(),
            spans: spans.values().map(|(number, _)| number).sum(),
            stats: processor.stats(),
        }
    }

    /// Whether every loss was counted, and no root arrived without all of its children.
    fn is_fair(&self) -> bool {
        self.is_counted() && self.torn_with_root == 0
    }

    fn is_counted(&self) -> bool {
        let Self { stats, .. } = self;
        stats.spans_received == self.made()
            && stats.spans_sent == self.spans as u64
            && stats.spans_received == stats.spans_sent + stats.spans_dropped()
    }

    fn made(&self) -> u64 {
        (self.traces * SPANS) as u64
    }

    fn row(&self) -> String {
        let Self { traces, whole, torn, torn_with_root, transactions, spans, stats } = self;
        let none = traces - whole - torn;
        let lost = 100.0 * (1.0 - *spans as f64 / self.made() as f64);
        let counted = if self.is_counted() { "yes" } else { "NO" };
        let reasons = stats.dropped.iter().map(|(reason, dropped)| format!("{reason} {}", dropped.spans));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        format!(
            "{whole:13}, {torn:4} {:>11}, {none:5} | {transactions:12} | {:12}, {spans:7}, {lost:4.1}% | {counted} {reasons}",
            format!("({torn_with_root})"),
            self.made(),
        )
    }
}
