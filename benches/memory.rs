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
//! | flood | 2 million spans in traces of 21, ended as fast as one thread can, for a server that accepts everything |
//! | stream | nothing for long: a million streamed spans that end below 100 roots, which stay open |
//!
//! It exits with 1 if the most memory that was resident above the idle process is more than 1.5 times the most bytes
//! that were counted, plus 16 MiB. What an allocator keeps of memory that was freed is resident, too. Each case runs in
//! a process of its own. Needs Linux's `/proc`.
//!
//! `-- traces` prints the memory of 100,000 open traces of two spans, as transactions and as a stream. It includes the spans
//! of the SDK.

use std::{
    env,
    process::{Command, ExitCode},
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use opentelemetry_sentry_benches::doors::{accepted, provider, resident_bytes, sentry, unanswered};
use opentelemetry_sentry_exporter::{SentryExporterBuilder, SentrySpanProcessor, Stats, TraceLifecycle};

const CASES: [&str; 4] = ["open", "single", "flood", "stream"];

/// What may be resident beside the counted bytes.
const MARGIN: usize = 16 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_smoke = arguments.iter().any(|argument| argument == "--test");
    let size = if is_smoke { 10 } else { 1 };
    match arguments.iter().find(|argument| CASES.contains(&argument.as_str())).map(String::as_str) {
        Some("open") => open(600 / size),
        Some("single") => single(400_000 / size),
        Some("flood") => flood(2_000_000 / 21 / size),
        Some(_) => stream(1_000_000 / size),
        None if arguments.iter().any(|argument| argument == "traces") => traces(100_000),
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
    let mut watch = Watch::start(accepted());
    let tracer = watch.tracer();
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
        watch.look();
    }
    watch.verdict("open")
}

fn single(traces: u64) -> ExitCode {
    let mut watch = Watch::start(unanswered());
    let tracer = watch.tracer();
    for _ in 0..traces {
        drop(tracer.start("work"));
        watch.look();
    }
    // What is ready is packed until the queue is full.
    let _ = watch.processor.flush(Duration::from_secs(5));
    watch.verdict("single")
}

fn flood(traces: u64) -> ExitCode {
    let mut watch = Watch::start(accepted());
    let tracer = watch.tracer();
    for _ in 0..traces {
        let cx = Context::new().with_span(tracer.start("request"));
        for _ in 0..20 {
            let step = tracer.span_builder("step").with_attributes([KeyValue::new("step.name", "a name")]);
            drop(step.start_with_context(&tracer, &cx));
        }
        drop(cx);
        watch.look();
    }
    watch.verdict("flood")
}

fn stream(spans: u64) -> ExitCode {
    let mut watch = Watch::start(accepted().with_lifecycle(TraceLifecycle::Stream));
    let tracer = watch.tracer();
    let roots: Vec<_> = (0..100).map(|_| Context::new().with_span(tracer.start("request"))).collect();
    for cx in roots.iter().cycle().take(spans as usize) {
        let step = tracer.span_builder("step").with_attributes([KeyValue::new("step.name", "a name")]);
        drop(step.start_with_context(&tracer, cx));
        watch.look();
    }
    watch.verdict("stream")
}

/// Each lifecycle holds its traces open while the next one is measured, so that no freed memory is used again.
fn traces(number: usize) -> ExitCode {
    let mut open = Vec::new();
    for lifecycle in [TraceLifecycle::Transactions, TraceLifecycle::Stream] {
        let mut watch = Watch::start(accepted().with_lifecycle(lifecycle));
        let tracer = watch.tracer();
        let begin = |_| {
            let root = Context::new().with_span(tracer.start("request"));
            drop(tracer.start_with_context("step", &root));
            root
        };
        let roots: Vec<_> = (0..number).map(begin).collect();
        (watch.looks, watch.resident) = (19, 0);
        watch.look();
        let bytes = watch.resident.saturating_sub(watch.idle);
        println!("{lifecycle:?}: {:.1} MiB, {} bytes a trace", bytes as f64 / f64::from(1 << 20), bytes / number);
        open.push((watch, roots));
    }
    ExitCode::SUCCESS
}

/// A pipeline, and the most memory that it took.
struct Watch {
    processor: SentrySpanProcessor,
    tracer_provider: SdkTracerProvider,
    idle: usize,
    counted: usize,
    resident: usize,
    looks: u64,
}

impl Watch {
    fn start(exporter: SentryExporterBuilder) -> Self {
        let idle = resident_bytes();
        let processor = sentry(exporter);
        let tracer_provider = provider(processor.clone());
        Self { processor, tracer_provider, idle, counted: 0, resident: 0, looks: 0 }
    }

    fn tracer(&self) -> SdkTracer {
        self.tracer_provider.tracer("memory")
    }

    /// Looks at both numbers after every twentieth trace, as each look costs time.
    fn look(&mut self) {
        self.looks += 1;
        if self.looks % 20 == 0 {
            let Stats { pending_bytes, queued_bytes, .. } = self.processor.stats();
            self.counted = self.counted.max((pending_bytes + queued_bytes) as usize);
            self.resident = self.resident.max(resident_bytes());
        }
    }

    fn verdict(mut self, case: &str) -> ExitCode {
        self.looks = 19; // so that it looks once more
        self.look();
        let resident = self.resident.saturating_sub(self.idle);
        let limit = self.counted + self.counted / 2 + MARGIN;
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        println!("{case}: {}", self.processor.stats());
        println!(
            "{case}: {:.1} MiB counted, {:.1} MiB resident, limit {:.1} MiB",
            mib(self.counted),
            mib(resident),
            mib(limit)
        );
        ExitCode::from(u8::from(resident > limit))
    }
}
