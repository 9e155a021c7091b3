//! Checks that memory stays flat and that every span is accounted for, over millions of spans at full speed.
//!
//! ```sh
//! cargo bench -p opentelemetry-sentry-benches --bench soak -- 2000000        # most spans are dropped
//! cargo bench -p opentelemetry-sentry-benches --bench soak -- 2000000 paced  # no span is dropped
//! ```
//!
//! One thread makes traces of 21 spans as fast as it can. The HTTP client accepts at once, so only the processor limits
//! the speed. With `paced` it waits at each reading until everything was sent, and a lost span is a failure, too. It
//! reads resident memory every 10,000 spans and prints it every 100,000. It exits with 1 if a span was neither sent nor
//! counted as dropped, or if the peak of the second half is above that of the first half by more than a tenth plus
//! [`MARGIN`]. Needs Linux's `/proc`.

use std::{env, process::ExitCode, time::Instant};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sentry_benches::{
    doors::{self, PATIENCE, resident_bytes},
    service::{SPANS, Through},
};
use opentelemetry_sentry_exporter::SentrySpanProcessor;

/// The number of spans, unless the command names one.
const TOTAL: usize = 2_000_000;

/// How often memory is read, in spans.
const READ_EVERY: usize = 10_000;

/// How often it is printed, in readings.
const PRINT_EVERY: usize = 10;

/// Bytes by which the peak may move without a leak: the allocator keeps freed blocks for two threads, and how many spans
/// wait at the moment of a reading depends on scheduling.
const MARGIN: usize = 16 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo bench -- --test` makes few spans, as a smoke test.
    let is_smoke = arguments.iter().any(|argument| argument == "--test");
    let total = arguments.iter().find_map(|argument| argument.parse().ok());
    let total = total.unwrap_or(if is_smoke { READ_EVERY } else { TOTAL });
    let is_paced = arguments.iter().any(|argument| argument == "paced");

    let start = Instant::now();
    let processor = doors::sentry(doors::accepted());
    let provider = doors::provider(processor.clone());
    let (made, peaks) = make_spans(total, &provider.tracer("soak"), &processor, is_paced);
    let made_in = start.elapsed();
    let flushed = processor.flush(PATIENCE);
    let stats = processor.stats();
    println!("made in {made_in:.1?}, flushed after {:.1?}: {flushed:?}", start.elapsed());
    println!("{stats}");
    let at_the_end = resident_bytes();
    println!("peaks of the halves: {} and {}; at the end {}", mib(peaks[0]), mib(peaks[1]), mib(at_the_end));

    let dropped = stats.spans_dropped();
    let is_counted = stats.spans_received == made as u64 && stats.spans_received == stats.spans_sent + dropped;
    // A smoke test is too short: all buffers still grow to their size.
    let is_flat = is_smoke || peaks[1] <= peaks[0] + peaks[0] / 10 + MARGIN;
    println!("every span accounted for: {}", if is_counted { "yes" } else { "NO" });
    println!("memory flat: {}", if is_flat { "yes" } else { "NO" });
    let is_well = is_counted && is_flat && !(is_paced && dropped > 0);
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes at least `total` spans. Returns how many, and the peaks of resident memory in both halves.
fn make_spans(
    total: usize,
    tracer: &SdkTracer,
    processor: &SentrySpanProcessor,
    is_paced: bool,
) -> (usize, [usize; 2]) {
    let (mut made, mut readings) = (0, 0);
    let mut peaks = [0, 0];
    while made < total {
        Through::Api.make_trace(tracer);
        made += SPANS;
        if made / READ_EVERY == readings {
            continue;
        }
        readings += 1;
        if is_paced {
            // An error means lost spans, which the statistics have.
            let _ = processor.flush(PATIENCE);
        }
        let resident = resident_bytes();
        let peak = &mut peaks[usize::from(made > total / 2)];
        *peak = resident.max(*peak);
        if readings % PRINT_EVERY == 0 {
            println!("{made:9} spans, VmRSS {}", mib(resident));
        }
    }
    (made, peaks)
}

fn mib(bytes: usize) -> String {
    format!("{:6.1} MiB", bytes as f64 / f64::from(1 << 20))
}
