//! Compares the memory that spans and envelopes take with the bytes that are counted for them.
//!
//! ```sh
//! cargo bench -p opentelemetry-sentry-benches --bench memory
//! ```
//!
//! | case | what waits |
//! | --- | --- |
//! | open | 300 ended spans below each of 600 open roots, whose caller sent a `tracestate` of 8 KB |
//! | single | traces of one span, for a server that never answers, until buffer and queue are full |
//!
//! It exits with 1 if the resident memory above the idle process is more than 1.5 times the counted bytes plus 16 MiB.
//! Each case runs in a process of its own. Needs Linux's `/proc`.

use std::{
    env,
    process::{Command, ExitCode},
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sentry_benches::doors::{accepted, provider, resident_bytes, sentry, unanswered};
use opentelemetry_sentry_exporter::{SentrySpanProcessor, Stats};

const CASES: [&str; 2] = ["open", "single"];

/// What may be resident beside the counted bytes.
const MARGIN: usize = 16 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_smoke = arguments.iter().any(|argument| argument == "--test");
    let size = if is_smoke { 10 } else { 1 };
    match arguments.iter().find(|argument| CASES.contains(&argument.as_str())).map(String::as_str) {
        Some("open") => open(600 / size),
        Some(_) => single(400_000 / size),
        None => {
            let run = |case: &&str| {
                let this = env::current_exe().expect("the path of this program");
                let status = Command::new(this).arg(case).args(is_smoke.then_some("--test")).status();
                status.is_ok_and(|status| status.success())
            };
            let failed = CASES.iter().filter(|case| !run(case)).count();
            ExitCode::from(u8::from(failed > 0))
        }
    }
}

fn open(roots: u64) -> ExitCode {
    let idle = resident_bytes();
    let processor = sentry(accepted());
    let tracer_provider = provider(processor.clone());
    let tracer = tracer_provider.tracer("memory");
    // W3C allows 32 members of 256 characters each.
    let member = |number: usize| (format!("vendor{number}"), "x".repeat(250));
    let state = TraceState::from_key_value((0..32).map(member)).expect("a valid tracestate");
    let mut contexts = Vec::new();
    for number in 1..=roots {
        let trace_id = TraceId::from_bytes(u128::from(number).to_be_bytes());
        let caller = SpanContext::new(trace_id, SpanId::from_bytes([1; 8]), TraceFlags::SAMPLED, true, state.clone());
        let cx = Context::new().with_remote_span_context(caller);
        let root = tracer.start_with_context("request", &cx);
        let cx = cx.with_span(root);
        for _ in 0..300 {
            let step = tracer.span_builder("step").with_attributes([KeyValue::new("step.name", "a name")]);
            drop(step.start_with_context(&tracer, &cx));
        }
        contexts.push(cx);
    }
    verdict("open", idle, &processor)
}

fn single(traces: u64) -> ExitCode {
    let idle = resident_bytes();
    let processor = sentry(unanswered());
    let tracer_provider = provider(processor.clone());
    let tracer = tracer_provider.tracer("memory");
    for _ in 0..traces {
        drop(tracer.start("work"));
    }
    // What is ready is packed until the queue is full.
    let _ = processor.flush(Duration::from_secs(5));
    verdict("single", idle, &processor)
}

fn verdict(case: &str, idle: usize, processor: &SentrySpanProcessor) -> ExitCode {
    let Stats { pending_bytes, queued_bytes, .. } = processor.stats();
    let counted = (pending_bytes + queued_bytes) as usize;
    let resident = resident_bytes().saturating_sub(idle);
    let limit = counted + counted / 2 + MARGIN;
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!("{case}: {:.1} MiB counted, {:.1} MiB resident, limit {:.1} MiB", mib(counted), mib(resident), mib(limit));
    ExitCode::from(u8::from(resident > limit))
}
