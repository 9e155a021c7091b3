//! How often extraction, injection and sampling allocate, and how long they take, beside the SDK's own.
//!
//! Counted is every call of the global allocator from the beginning of a call to its end; growing a
//! block counts as one. What the carrier does in its `get`, `get_all` and `set` is counted apart: no propagator can
//! save it. Not counted is what makes the carrier, which has room for what is injected. Times are medians of
//! repetitions in which both sides take turns; that of `extract` includes dropping the context, that of `inject` does
//! not include making and dropping the carrier, that of `should_sample` not the context in which the span starts.

#![expect(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::HashMap,
    env, fmt,
    hint::black_box,
    time::Instant,
};

use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
};
use opentelemetry_sdk::trace::ShouldSample;
use opentelemetry_sentry_benches::{Carrier, HEADERS, composite, headers_without_trace, local_context, sentry};

use self::sampler::{Fresh, RATE, STARTS, samplers};

#[expect(dead_code, reason = "what it measures is measured here, too; the rest is that bench's own")]
mod sampler;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    // `cargo bench -- --test` asks for a sign of life.
    let effort = if env::args().any(|arg| arg == "--test") { SMOKE } else { FULL };
    println!("each side: allocations of the propagator + of the carrier (bytes of both), time\n");
    println!("{:37} | {:28} | {:28} | ratio", "", "SentryPropagator", "TraceContext + Baggage");
    rows::<HeaderMap>(effort);
    rows::<HashMap<String, String>>(effort);
    println!("\n{:37} | {:28} | {:28} | ratio", "", "SentrySampler", "ParentBased(TraceIdRatioBased)");
    sampler_rows(effort);
}

fn sampler_rows(effort: Effort) {
    let samplers = samplers(RATE);
    let sides: [&dyn ShouldSample; 2] = samplers.each_ref().map(|(_, sampler)| &**sampler);
    for start in STARTS {
        let counts = sides.map(|side| {
            let mut fresh = [start.fresh(), start.fresh()].into_iter();
            count(|| drop(fresh.next().map(|fresh| fresh.sample(side))))
        });
        let calls = sides.map(|side| |fresh: &mut Fresh| drop(black_box(black_box(fresh).sample(side))));
        print_row(&format!("should_sample | {}", start.name), counts, effort.time(calls, || start.fresh()));
    }
}

fn rows<C: Carrier>(effort: Effort) {
    let (ours, theirs) = (sentry(), composite());
    for (name, headers) in [("extract", &HEADERS[..]), ("extract, no trace headers", headers_without_trace())] {
        let carrier = C::with(headers);
        let sides: [&dyn TextMapPropagator; 2] = [&ours, &theirs];
        let counts = sides.map(|side| count(|| drop(carrier.read(|inner| side.extract(&Apart(inner))))));
        let calls = sides.map(|side| |(): &mut ()| drop(black_box(black_box(&carrier).extract(side))));
        print_row(&row_name::<C>(name), counts, effort.time(calls, || ()));
    }
    let came_in = C::with(&HEADERS);
    let passed_on: [Outgoing<'_>; 2] = [(&ours, came_in.extract(&ours)), (&theirs, came_in.extract(&theirs))];
    let new_trace: [Outgoing<'_>; 2] = [(&ours, local_context()), (&theirs, local_context())];
    for (name, sides) in [("inject", &passed_on), ("inject, new trace", &new_trace)] {
        let counts = sides.each_ref().map(|(side, cx)| {
            let mut carrier = C::with_room();
            count(|| carrier.write(|inner| side.inject_context(cx, &mut Apart(inner))))
        });
        let calls = sides.each_ref().map(|(side, cx)| |carrier: &mut C| carrier.inject(*side, black_box(cx)));
        print_row(&row_name::<C>(name), counts, effort.time(calls, C::with_room));
    }
}

/// A propagator and what it injects.
type Outgoing<'a> = (&'a dyn TextMapPropagator, Context);

fn row_name<C: Carrier>(name: &str) -> String {
    format!("{:9} | {name}", C::NAME)
}

fn print_row(name: &str, [ours, theirs]: [Count; 2], [our_time, their_time]: [f64; 2]) {
    let ratio = our_time / their_time;
    println!("{name:37} | {ours} {our_time:8.0} ns | {theirs} {their_time:8.0} ns | {ratio:5.2}");
}

/// How often something is done for one figure.
#[derive(Clone, Copy)]
struct Effort {
    repetitions: usize,
    calls: usize,
}

const FULL: Effort = Effort { repetitions: 401, calls: 250 };
const SMOKE: Effort = Effort { repetitions: 1, calls: 1 };

impl Effort {
    /// The nanoseconds that one call of either side takes, on a fresh `C` each.
    fn time<C>(self, sides: [impl Fn(&mut C); 2], fresh: impl Fn() -> C) -> [f64; 2] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..self.repetitions {
            for (side, times) in sides.iter().zip(&mut times) {
                let mut carriers: Vec<_> = (0..self.calls).map(|_| fresh()).collect();
                let start = Instant::now();
                carriers.iter_mut().for_each(side);
                times.push(start.elapsed().as_secs_f64() * 1e9 / self.calls as f64);
            }
        }
        times.map(median)
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Allocations so far, or those of one call.
#[derive(Clone, Copy)]
struct Count {
    own: usize,
    carrier: usize,
    bytes: usize,
    in_carrier: bool,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:3} + {:2} ({:4})", self.own, self.carrier, self.bytes)
    }
}

thread_local! {
    /// Needs no allocation of its own and no destructor.
    static COUNT: Cell<Count> = const { Cell::new(Count { own: 0, carrier: 0, bytes: 0, in_carrier: false }) };
}

/// Counts a call, after one that makes what is made only once.
fn count(mut call: impl FnMut()) -> Count {
    call();
    let before = COUNT.get();
    call();
    let after = COUNT.get();
    Count {
        own: after.own - before.own,
        carrier: after.carrier - before.carrier,
        bytes: after.bytes - before.bytes,
        ..after
    }
}

/// A carrier whose allocations are counted apart.
struct Apart<C>(C);

impl Extractor for Apart<&dyn Extractor> {
    fn get(&self, key: &str) -> Option<&str> {
        apart(|| self.0.get(key))
    }

    fn keys(&self) -> Vec<&str> {
        apart(|| self.0.keys())
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        apart(|| self.0.get_all(key))
    }
}

impl Injector for Apart<&mut dyn Injector> {
    fn set(&mut self, key: &str, value: String) {
        apart(|| self.0.set(key, value));
    }

    fn reserve(&mut self, additional: usize) {
        apart(|| self.0.reserve(additional));
    }
}

fn apart<R>(carrier: impl FnOnce() -> R) -> R {
    COUNT.set(Count { in_carrier: true, ..COUNT.get() });
    let result = carrier();
    COUNT.set(Count { in_carrier: false, ..COUNT.get() });
    result
}

/// The system's allocator, counted.
struct Counting;

impl Counting {
    fn note(bytes: usize) {
        let count = COUNT.get();
        let (own, carrier) = (usize::from(!count.in_carrier), usize::from(count.in_carrier));
        COUNT.set(Count {
            own: count.own + own,
            carrier: count.carrier + carrier,
            bytes: count.bytes + bytes,
            ..count
        });
    }
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::note(new_size);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
