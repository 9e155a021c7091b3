//! Allocations and time of extraction, injection and sampling, compared with the SDK's own propagators and sampler.
//!
//! Every call of the global allocator during a call counts; growing a block counts as one. Allocations in the carrier's
//! `get`, `get_all` and `set` are counted separately, as no propagator can avoid them. The carrier has room for what is
//! injected, and making it is not counted. Times are medians over repetitions in which the sides take turns. The time
//! of `extract` includes dropping the context, the time of `inject` excludes making and dropping the carrier, and the
//! time of `should_sample` excludes making the context in which the span starts.

use std::{collections::HashMap, hint::black_box};

use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
};
use opentelemetry_sdk::trace::ShouldSample;
use opentelemetry_sentry_benches::{
    Carrier, HEADERS, composite,
    counting::{Count, Counting, count, in_carrier},
    headers_without_trace, local_context, sentry,
    timing::Effort,
};

use self::sampler::{Fresh, RATE, STARTS, samplers};

#[expect(dead_code, reason = "only the samplers and their input are shared with that bench")]
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
        let counts = sides.map(|side| count(|| drop(carrier.read(|inner| side.extract(&Separately(inner))))));
        let calls = sides.map(|side| |(): &mut ()| drop(black_box(black_box(&carrier).extract(side))));
        print_row(&row_name::<C>(name), counts, effort.time(calls, || ()));
    }
    let came_in = C::with(&HEADERS);
    let passed_on: [Outgoing<'_>; 2] = [(&ours, came_in.extract(&ours)), (&theirs, came_in.extract(&theirs))];
    let new_trace: [Outgoing<'_>; 2] = [(&ours, local_context()), (&theirs, local_context())];
    for (name, sides) in [("inject", &passed_on), ("inject, new trace", &new_trace)] {
        let counts = sides.each_ref().map(|(side, cx)| {
            let mut carrier = C::with_room();
            count(|| carrier.write(|inner| side.inject_context(cx, &mut Separately(inner))))
        });
        let calls = sides.each_ref().map(|(side, cx)| |carrier: &mut C| carrier.inject(*side, black_box(cx)));
        print_row(&row_name::<C>(name), counts, effort.time(calls, C::with_room));
    }
}

/// A propagator and the context that it injects.
type Outgoing<'a> = (&'a dyn TextMapPropagator, Context);

fn row_name<C: Carrier>(name: &str) -> String {
    format!("{:9} | {name}", C::NAME)
}

fn print_row(name: &str, [ours, theirs]: [Count; 2], [our_time, their_time]: [f64; 2]) {
    let ratio = our_time / their_time;
    println!("{name:37} | {ours} {our_time:8.0} ns | {theirs} {their_time:8.0} ns | {ratio:5.2}");
}

/// A carrier whose allocations are counted separately.
struct Separately<C>(C);

impl Extractor for Separately<&dyn Extractor> {
    fn get(&self, key: &str) -> Option<&str> {
        in_carrier(|| self.0.get(key))
    }

    fn keys(&self) -> Vec<&str> {
        in_carrier(|| self.0.keys())
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        in_carrier(|| self.0.get_all(key))
    }
}

impl Injector for Separately<&mut dyn Injector> {
    fn set(&mut self, key: &str, value: String) {
        in_carrier(|| self.0.set(key, value));
    }

    fn reserve(&mut self, additional: usize) {
        in_carrier(|| self.0.reserve(additional));
    }
}
