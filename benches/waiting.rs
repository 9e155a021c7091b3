//! Measures whether the spans that wait in a trace make other spans of the same trace dearer.
//!
//! ```sh
//! cargo bench -p opentelemetry-sentry-benches --bench waiting
//! ```
//!
//! A root stays open with 70,000 ended spans below it, or with none. Meanwhile 50 other roots of the same trace end every
//! second, as when a job queue is replayed. It prints the CPU time of all threads, as a part of one core, for both. Needs
//! Linux's `/proc`.

use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sentry_benches::{
    doors::{accepted, provider, sentry},
    timing::pace,
};

/// Roots a second.
const RATE: u32 = 50;

fn main() {
    let is_smoke = env::args().any(|argument| argument == "--test");
    let (seconds, waiting) = if is_smoke { (1, 7_000) } else { (20, 70_000) };
    for waiting in [0, waiting] {
        let part = measure(waiting, seconds);
        println!("{waiting:6} spans wait: {:.2} % of a core for {RATE} roots a second", part * 100.0);
    }
}

fn measure(waiting: usize, seconds: u32) -> f64 {
    let processor = sentry(accepted());
    let tracer_provider = provider(processor.clone());
    let tracer = tracer_provider.tracer("waiting");
    let trace_id = TraceId::from_bytes([7; 16]);
    let caller = SpanContext::new(trace_id, SpanId::from_bytes([1; 8]), TraceFlags::SAMPLED, true, TraceState::NONE);
    let cx = Context::new().with_remote_span_context(caller);
    let open = cx.with_span(tracer.start_with_context("job", &cx));
    for _ in 0..waiting {
        drop(tracer.start_with_context("step", &open));
    }
    // Until the worker has picked them up.
    while processor.stats().spans_pending < waiting as u64 {
        thread::yield_now();
    }
    let (start, before) = (Instant::now(), cpu_time());
    for number in 0..RATE * seconds {
        drop(tracer.start_with_context("request", &cx));
        pace(start, number + 1, RATE);
    }
    (cpu_time() - before).as_secs_f64() / start.elapsed().as_secs_f64()
}

/// The CPU time of this process, in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace()).expect("a name in parentheses");
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(10 * ticks)
}
