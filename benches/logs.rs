//! The cost of a log record for the thread that emits it: our processor compared with one that does nothing.
//!
//! ```sh
//! cargo bench -p opentelemetry-sentry-benches --bench logs  # needs valgrind
//! ```
//!
//! A record is what the layer for `tracing` makes of `info!(order.items = 3, customer = "bob", paid = true, "order {} placed", 7)`:
//! severity, target, a formatted body, and five attributes with the place in the code. It is emitted inside a sampled span.
//! The queue has room for all records, as dropping is cheaper than keeping, and requests are accepted without a socket.
//!
//! The bench runs itself under valgrind, as `records none|sentry|left-out 2000`, once with records and once without, so that
//! the set-up and the wait for the end do not count. The figure is the median of several such pairs, for the thread that emits.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command},
    time::Duration,
};

use opentelemetry::{
    Context, InstrumentationScope,
    logs::{LogRecord, Logger, LoggerProvider, Severity},
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider},
};
use opentelemetry_sentry_benches::{
    doors::{PATIENCE, accepted},
    timing::median,
};
use opentelemetry_sentry_exporter::{LogFilter, SentryLogProcessor};

const NAMES: [&str; 3] = ["none", "sentry", "left-out"];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (records, runs) = if arguments.contains(&"--test") { (1, 1) } else { (2000, 5) };
    match arguments[..] {
        ["records", door, number, ..] => emit(door, number.parse().expect("a number")),
        _ => instructions(records, runs),
    }
}

fn instructions(records: usize, runs: usize) {
    println!("instructions of the emitting thread for a log record, median of {runs} runs of {records}\n");
    let [none, sentry, left_out] = NAMES.map(|door| {
        let cost = |_| (counted(door, records) - counted(door, 0)) / records as f64;
        median((0..runs).map(cost).collect())
    });
    println!("{:40} | {:>8} | ratio", "processor", "a record");
    println!("{:40} | {none:8.0} |", "does nothing");
    println!("{:40} | {sentry:8.0} | {:5.2}", "ours", sentry / none);
    println!("{:40} | {left_out:8.0} | {:5.2}", "ours, a filter leaves the record out", left_out / none);
}

/// The instructions of the main thread of `records`, as valgrind counts them.
fn counted(door: &str, number: usize) -> f64 {
    let out = env::temp_dir().join(format!("logs-{}.callgrind", process::id()));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--separate-threads=yes", "-q"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(env::current_exe().expect("a path")).args(["records", door, &number.to_string()]);
    let status = command.status().expect("valgrind is installed");
    assert!(status.success(), "{command:?}: {status}");
    // valgrind writes a file for each thread and one for all, which is empty.
    let files = (1..).map(|thread: usize| PathBuf::from(format!("{}-{thread:02}", out.display())));
    let files: Vec<_> = files.take_while(|file| file.exists()).collect();
    let text = fs::read_to_string(&files[0]).expect("valgrind wrote it");
    files.iter().chain([&out]).for_each(|file| drop(fs::remove_file(file)));
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"));
    line.and_then(|number| number.trim().parse().ok()).expect("a total")
}

/// Emits a number of records on this thread, and does nothing else.
fn emit(door: &str, number: usize) {
    let exporter = accepted().with_log_limit(1 << 20);
    let exporter = if door == "left-out" { exporter.with_ignore_logs([LogFilter::from("shop")]) } else { exporter };
    let ours = SentryLogProcessor::from(exporter.build().expect("a valid setup and a thread"));
    let builder = SdkLoggerProvider::builder();
    let provider = match door {
        "none" => builder.with_log_processor(Nothing).build(),
        _ => builder.with_log_processor(ours.clone()).build(),
    };
    let logger = provider.logger("");
    let ids = (TraceId::from(7), SpanId::from(7));
    let span = SpanContext::new(ids.0, ids.1, TraceFlags::SAMPLED, false, TraceState::NONE);
    let _active = Context::new().with_remote_span_context(span).attach();
    (0..number).for_each(|order| line(&logger, order));
    ours.flush(PATIENCE).expect("everything is accepted");
    let expected = if door == "sentry" { number as u64 } else { 0 };
    assert_eq!(ours.stats().logs_sent, expected, "nothing may be lost");
}

fn line(logger: &SdkLogger, order: usize) {
    if !logger.event_enabled(Severity::Info, "shop::orders", None) {
        return;
    }
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Info);
    record.set_severity_text("INFO");
    record.set_target("shop::orders");
    record.set_body(format!("order {order} placed").into());
    record.add_attribute("order.items", 3);
    record.add_attribute("customer", "bob".to_owned());
    record.add_attribute("paid", true);
    record.add_attribute("code.file.path", "src/orders.rs");
    record.add_attribute("code.line.number", 68);
    logger.emit(record);
}

/// A processor that does nothing.
#[derive(Debug)]
struct Nothing;

impl LogProcessor for Nothing {
    fn emit(&self, _: &mut SdkLogRecord, _: &InstrumentationScope) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
