//! How often extraction, injection and sampling allocate, and how long they take, beside the SDK's own.
//!
//! Counted is every call of the global allocator from the beginning of a call to its end; growing a
//! block counts as one. What the carrier does in its `get`, `get_all` and `set` is counted apart: no propagator can
//! save it. Not counted is what makes the carrier, which has room for what is injected. Times are medians of
//! repetitions in which both sides take turns; that of `extract` includes dropping the context, that of `inject` does
//! not include making and dropping the carrier, that of `should_sample` not the context in which the span starts.

use std::{collections::HashMap, hint::black_box};

use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
};
use opentelemetry_sdk::trace::ShouldSample;
use opentelemetry_sentry_benches::{
    Carrier, HEADERS, composite,
    counting::{Count, Counting, apart, count},
    headers_without_trace, local_context, sentry,
    timing::Effort,
};

use self::sampler::{Fresh, RATE, STARTS, samplers};

#[expect(dead_code, reason = "what it measures is measured here, too; the rest is that bench's own")]
mod sampler;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let effort = Effort::asked_for();
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
