//! The time of extraction and injection, compared with the SDK's propagators on the same carrier.

use std::collections::HashMap;

use criterion::{BatchSize, Criterion, criterion_main};
use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sentry_benches::{Carrier, HEADERS, composite, headers_without_trace, local_context, sentry};

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

/// All groups. `criterion_group!` would make a function without documentation.
fn propagation() {
    let mut criterion = Criterion::default().configure_from_args();
    extract::<HeaderMap>(&mut criterion);
    extract::<HashMap<String, String>>(&mut criterion);
    inject::<HeaderMap>(&mut criterion);
    inject::<HashMap<String, String>>(&mut criterion);
}

criterion_main!(propagation);
