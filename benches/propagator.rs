//! The time of extraction and injection, compared with the SDK's propagators on the same carrier.
//!
//! With `-- instructions` it counts instructions instead, which needs valgrind: it runs itself as
//! `calls sentry extract 1000` (or `composite`, another row, and 0).

use std::{collections::HashMap, env, hint::black_box};

use criterion::{BatchSize, Criterion};
use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sentry_benches::{
    Carrier, HEADERS, composite, headers_without_trace, instructions::counted, local_context, sentry,
};

fn propagators() -> [(&'static str, Box<dyn TextMapPropagator>); 2] {
    [("sentry", Box::new(sentry())), ("composite", Box::new(composite()))]
}

fn extract<C: Carrier>(criterion: &mut Criterion) {
    for (name, headers) in [("trace headers", &HEADERS[..]), ("no trace headers", headers_without_trace())] {
        let carrier = C::with(headers);
        let mut group = criterion.benchmark_group(format!("extract, {name}, {}", C::NAME));
        for (side, propagator) in propagators() {
            group.bench_function(side, |bencher| bencher.iter(|| carrier.extract(&*propagator)));
        }
    }
}

fn inject<C: Carrier>(criterion: &mut Criterion) {
    let came_in = C::with(&HEADERS);
    for (name, is_passed_on) in [("passed on", true), ("new trace", false)] {
        let mut group = criterion.benchmark_group(format!("inject, {name}, {}", C::NAME));
        for (side, propagator) in propagators() {
            let cx = if is_passed_on { came_in.extract(&*propagator) } else { local_context() };
            let inject = |carrier: &mut C| carrier.inject(&*propagator, &cx);
            group.bench_function(side, |bencher| bencher.iter_batched_ref(C::with_room, inject, BatchSize::SmallInput));
        }
    }
}

fn propagation() {
    let mut criterion = Criterion::default().configure_from_args();
    extract::<HeaderMap>(&mut criterion);
    extract::<HashMap<String, String>>(&mut criterion);
    inject::<HeaderMap>(&mut criterion);
    inject::<HashMap<String, String>>(&mut criterion);
}

/// The rows of the table of instructions.
const ROWS: [&str; 5] =
    ["extract", "extract, Sentry's headers", "extract, no trace headers", "inject", "inject, new trace"];

/// The headers of a request from a browser with Sentry's SDK and nothing else that is about the trace.
fn headers_of_sentry() -> Vec<(&'static str, &'static str)> {
    let (baggage, _) = HEADERS[12].1.split_once(",tenant").expect("foreign members");
    [headers_without_trace(), &[HEADERS[11], ("baggage", baggage)]].concat()
}

/// Calls the propagator on this side for a row of the table, and does nothing else.
fn calls(side: &str, row: &str, number: &str) {
    let (_, propagator) = propagators().into_iter().find(|(name, _)| *name == side).expect("sentry or composite");
    let number: usize = number.parse().expect("a number");
    let extract = |headers: &[(&str, &str)]| {
        let carrier = HeaderMap::with(headers);
        (0..number).for_each(|_| drop(black_box(black_box(&carrier).extract(&*propagator))));
    };
    let inject = |cx| {
        let mut carrier = HeaderMap::with_room();
        (0..number).for_each(|_| black_box(&mut carrier).inject(&*propagator, black_box(&cx)));
    };
    match row {
        "extract" => extract(&HEADERS),
        "extract, Sentry's headers" => extract(&headers_of_sentry()),
        "extract, no trace headers" => extract(headers_without_trace()),
        "inject" => inject(HeaderMap::with(&HEADERS).extract(&*propagator)),
        "inject, new trace" => inject(local_context()),
        _ => panic!("not a row: {row}"),
    }
}

fn instructions() {
    println!("instructions of a call\n\n{:27} | {:>9} | {:>9} | ratio", "", "composite", "ours");
    for row in ROWS {
        let [ours, theirs] = propagators().map(|(side, _)| {
            let [none, some] = ["0", "1000"].map(|number| counted(&["calls", side, row, number])[0]);
            (some - none) / 1000.0
        });
        println!("{row:27} | {theirs:9.0} | {ours:9.0} | {:5.2}", ours / theirs);
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["calls", side, row, number, ..] => calls(side, row, number),
        ["instructions", ..] => instructions(),
        _ => propagation(),
    }
}
