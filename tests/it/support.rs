//! What the tests of this folder share.

#[path = "../support/client.rs"]
mod client;

use std::{
    collections::{BTreeMap, HashMap},
    env,
    error::Error,
    fmt, io,
    process::Command,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use opentelemetry::{
    SpanId, TraceId,
    propagation::Extractor,
    trace::{Tracer, TracerProvider},
};
use opentelemetry_sdk::{Resource, error::OTelSdkResult, trace::IdGenerator};
use opentelemetry_sentry::{
    FlushError, Sentry, SentryBuilder, SentryExporter, SentrySpanProcessor, Stats,
    exporter::{
        DropReason,
        testing::{Envelope, LocalIngest},
    },
};

pub(crate) use self::client::{Answering, Client};

/// Only a test that hangs waits this long, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The DSN of a server that a test replaces with an HTTP client of its own.
pub(crate) const NO_SERVER: &str = "http://public@127.0.0.1:1/1";

/// Sends every trace to this DSN.
pub(crate) fn sentry_at(dsn: impl Into<String>) -> SentryBuilder {
    Sentry::builder().with_dsn(dsn).with_traces_sample_rate(1.0)
}

/// An ingest, and a builder that sends every trace to it.
pub(crate) fn sentry_to_ingest() -> (LocalIngest, SentryBuilder) {
    let ingest = LocalIngest::start().expect("a free port");
    let builder = sentry_at(ingest.dsn()).with_resource(Resource::builder_empty().build());
    (ingest, builder.with_release("shop@1.2.3"))
}

/// An exporter that sends to an ingest.
pub(crate) fn exporter_to(ingest: &LocalIngest) -> SentryExporter {
    SentryExporter::builder().with_dsn(ingest.dsn()).build().expect("a valid setup")
}

/// A span processor that sends to an ingest.
pub(crate) fn processor_to(ingest: &LocalIngest) -> SentrySpanProcessor {
    exporter_to(ingest).into()
}

/// An error of an application, with its cause.
#[derive(Debug)]
pub(crate) struct NoStock(pub(crate) io::Error);

impl fmt::Display for NoStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no stock")
    }
}

impl Error for NoStock {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "this never happens: {what}");
        thread::yield_now();
    }
}

/// Flushes through the SDK, whose flushes time out after five seconds, until one succeeds.
pub(crate) fn flush_patiently(flush: impl Fn() -> OTelSdkResult) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = flush() {
        assert!(Instant::now() < deadline, "{error}");
    }
}

/// Checks the result of a shutdown that has to give up on spans, and returns the reason under which they are counted.
///
/// The worker says how many spans it gave up on, and counts them under `reason`. If it gets no CPU for that in time, the
/// caller stops waiting for it and counts them itself.
#[track_caller]
pub(crate) fn assert_gave_up(
    result: Result<(), FlushError>,
    spans: u64,
    timeout: Duration,
    reason: DropReason,
) -> DropReason {
    match result {
        Err(FlushError::Timeout(elapsed)) if elapsed == timeout => DropReason::Shutdown,
        result => {
            assert_eq!(result, Err(FlushError::Undelivered { spans }));
            reason
        }
    }
}

/// Makes `count` traces of one span.
pub(crate) fn end_spans(sentry: &Sentry, count: usize) {
    let tracer = sentry.tracer_provider().tracer("test");
    for _ in 0..count {
        tracer.start("work");
    }
}

/// Spans that were dropped, by reason. Checks that every received span is accounted for.
pub(crate) fn dropped(stats: &Stats) -> BTreeMap<DropReason, u64> {
    assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped() + stats.spans_spooled, "{stats}");
    stats.dropped.iter().map(|(reason, dropped)| (*reason, dropped.spans)).collect()
}

/// The sum of all client reports: reason and category to quantity.
pub(crate) fn reported(envelopes: &[Envelope]) -> BTreeMap<(String, String), u64> {
    let items = envelopes.iter().flat_map(Envelope::items).filter(|item| item.item_type() == "client_report");
    let mut all = BTreeMap::new();
    for report in items.map(|item| item.json().expect("JSON")) {
        for event in report["discarded_events"].as_array().expect("a list") {
            let text = |key: &str| event[key].as_str().expect("a text").to_owned();
            *all.entry((text("reason"), text("category"))).or_default() +=
                event["quantity"].as_u64().expect("a number");
        }
    }
    all
}

/// An entry of the map that [`reported`] returns.
pub(crate) fn pair(reason: &str, category: &str, quantity: u64) -> ((String, String), u64) {
    ((reason.to_owned(), category.to_owned()), quantity)
}

/// Runs an ignored test of this binary in a process of its own, without the proxies of this one.
pub(crate) fn run_alone(test: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(env::current_exe().expect("a file"));
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let output = command.envs(variables.iter().copied()).output().expect("a process");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{test} with {variables:?}:\n{out}\n{err}");
}

/// Headers with several lines of a name, as a request has them.
#[derive(Debug, Default)]
pub(crate) struct Headers(pub(crate) HashMap<String, Vec<String>>);

impl Headers {
    pub(crate) fn new<const N: usize>(lines: [(&str, &str); N]) -> Self {
        Self(lines.into_iter().map(|(name, line)| (name.to_owned(), vec![line.to_owned()])).collect())
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.first().map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        Some(self.0.get(key)?.iter().map(String::as_str).collect())
    }
}

/// Generates the trace id that a test chose, and consecutive span ids.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) trace_id: TraceId,
    pub(crate) last_span: Mutex<u64>,
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.trace_id
    }

    fn new_span_id(&self) -> SpanId {
        let mut last = self.last_span.lock().expect("no panic");
        *last += 1;
        SpanId::from_bytes(last.to_be_bytes())
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}
